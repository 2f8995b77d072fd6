"""The user's own Python: functions by their names, from one folder and no other."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lineside.assemble.importing import importing
from lineside.model.wording import did_you_mean


class NoSuchCode(Exception):
    """There is no such function, or its module cannot be imported; the text is one line."""


def find_function(folder: Path, named: str) -> Callable[..., Any]:
    """Import ``module:function`` from a folder; the folder's modules may import each other.

    A module that is installed, or Python's own, is never meant: nothing but the folder is run because of what
    the configuration says.

    Raises:
        NoSuchCode: with what is wrong.

    """
    module_name, _, function_name = named.partition(":")
    top = module_name.partition(".")[0]
    if not folder.is_dir():
        raise NoSuchCode(f"there is no folder {folder} to find {module_name} in; make it, or set code.path")
    if not (folder / f"{top}.py").is_file() and not (folder / top).is_dir():
        there = sorted(each.stem for each in folder.glob("*.py"))
        raise NoSuchCode(f"there is no {top}.py in {folder}{did_you_mean(top, there)}")
    place = str(folder)
    if place not in sys.path:
        # At the end, so that no file there can stand in for a module of somebody else's.
        sys.path.append(place)
    importlib.invalidate_caches()
    try:
        with importing():
            module = importlib.import_module(module_name)
    except Exception as failed:
        raise NoSuchCode(f"{module_name} cannot be imported: {type(failed).__name__}: {failed}") from failed
    origin = getattr(module, "__file__", None)
    if origin is None or not Path(origin).resolve().is_relative_to(folder.resolve()):
        raise NoSuchCode(f"{module_name} is the name of a module that is installed; give your own another name")
    function = getattr(module, function_name, None)
    if not callable(function):
        there = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise NoSuchCode(f"{module_name} has no function {function_name}{did_you_mean(function_name, there)}")
    return function  # type: ignore[no-any-return]
