"""How Sphinx builds this documentation: `make docs`."""

from importlib.metadata import version as version_of

project = "Lineside"
author = "The Lineside project"
version = release = version_of("lineside")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = f"Lineside {version}"
