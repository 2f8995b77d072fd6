"""The commented configuration to start from."""

from __future__ import annotations

from importlib.resources import files


def text() -> str:
    """Return the sample `lineside.toml`: valid as it stands, its secrets taken from the environment."""
    return files("lineside.assemble").joinpath("sample.toml").read_text(encoding="utf-8")
