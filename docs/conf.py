"""How Sphinx builds this documentation: `make docs`."""

import os
import re
from importlib.metadata import version as version_of
from pathlib import Path

from lineside.workshop.prose import LINK, outside_fences

project = "Lineside"
author = "The Lineside project"
version = release = version_of("lineside")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]  # docs/workshop is the top-level workshop/, which is a part of these pages too
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = f"Lineside {version}"

DOCS = Path(__file__).resolve().parent
COURSE = DOCS.parent / "workshop"


def follow_links(_app, docname, source):
    """Let links that are right in the repository be right in these pages too, from the course and to it.

    Pages of the course are named by the paths that Sphinx sees, for they are reached through a symbolic link; files
    outside of these pages are told in text.
    """
    folder = DOCS.joinpath(docname).resolve().parent

    def followed(link):
        path, _, anchor = link["to"].partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return link[0]
        target = Path(os.path.normpath(folder / path))
        if target.is_dir():
            target /= "README.md"
        if target.is_relative_to(COURSE) and target.suffix == ".md":
            # A chapter that is still to come has no page.
            text = link["text"].replace("`", "")
            return (
                f"{{doc}}`{text} </workshop/{target.relative_to(COURSE).with_suffix('')}>`"
                if target.exists()
                else text
            )
        if not folder.is_relative_to(COURSE) or target.is_relative_to(COURSE):
            return link[0]
        if target.is_relative_to(DOCS):
            return f"[{link['text']}](/{target.relative_to(DOCS)}{'#' if anchor else ''}{anchor})"
        return f"{link['text']} (`{target.relative_to(DOCS.parent)}`)"

    source[0] = outside_fences(source[0], lambda prose: LINK.sub(followed, prose))


def setup(app):
    """Connect what Sphinx does not do by itself."""
    app.connect("source-read", follow_links)
