"""The user's own Python: functions by their names, from one folder and no other."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from lineside.assemble.importing import importing
from lineside.model.wording import did_you_mean


class NoSuchCode(Exception):
    """There is no such function, or its module cannot be imported; the text is one line."""


def find_function(folder: Path, named: str) -> Callable[..., Any]:
    """Import ``module:function`` from a folder; the folder's modules may import each other.

    A module that is installed, or Python's own, is never meant, nor one that a link in the folder leads to: nothing
    but the folder is run because of what the configuration says.

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
    place = str(folder.absolute())
    if place not in sys.path:
        # At the end, so that no file there can stand in for a module of somebody else's.
        sys.path.append(place)
    importlib.invalidate_caches()
    module = _module(folder, module_name)
    function = getattr(module, function_name, None)
    if not callable(function) or isinstance(function, type):
        there = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise NoSuchCode(f"{module_name} has no function {function_name}{did_you_mean(function_name, there)}")
    return function  # type: ignore[no-any-return]


def _module(folder: Path, name: str) -> ModuleType:
    """Import a module, and the packages that it is in before it; each is looked at before it runs."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        each = ".".join(parts[:depth])
        _look_at(_spec(each), each, folder)
        try:
            with importing():
                module = importlib.import_module(each)
        # A module may well call sys.exit: that must not end the gateway without a word.
        except (Exception, SystemExit) as failed:
            raise NoSuchCode(f"{each} cannot be imported: {_account(failed, folder)}") from failed
    return module


def _spec(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        # What it is to be in is no package, or it is one of Python's that came from no file.
        return None


def _look_at(spec: ModuleSpec | None, name: str, folder: Path) -> None:
    if spec is None and name not in sys.modules:
        raise NoSuchCode(f"there is no {name.replace('.', '/')}.py in {folder}")
    files: list[str] = []
    if spec is not None:
        files = [spec.origin] if spec.has_location and spec.origin else list(spec.submodule_search_locations or ())
    if any(Path(file).resolve().is_relative_to(folder.resolve()) for file in files):
        return
    for file in files:
        if Path(file).is_relative_to(folder.absolute()):
            raise NoSuchCode(f"{name} leads out of {folder}, to {Path(file).resolve()}; nothing there is run")
    raise NoSuchCode(f"{name} is the name of a module that is installed; give your own another name")


def _account(failed: BaseException, folder: Path) -> str:
    """Return in one line what a module raised, and where in the folder."""
    text = " ".join(f"{type(failed).__name__}: {failed}".split())
    if isinstance(failed, SyntaxError):
        return text
    inside = [
        frame
        for frame in extract_tb(failed.__traceback__)
        if Path(frame.filename).is_relative_to(folder.absolute())
    ]
    return f"{text} ({Path(inside[-1].filename).name}, line {inside[-1].lineno})" if inside else text
