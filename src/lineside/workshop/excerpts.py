"""Keep the code in the course's text the code that runs: ``python -m lineside.workshop.excerpts workshop``.

A comment on the line before a fence says where its code comes from::

    <!-- from example.py: Scanner.lineReceived, main -->
    <!-- from example.py -->

The first is filled with those objects, each with its decorators and the comments right above it, methods moved to
the left margin; the second with the whole file. With ``--check`` nothing is written.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

from lineside.model.wording import did_you_mean

MARK = re.compile(r"^<!-- from (?P<file>[^\s:]+)(?:: *(?P<names>.+?))? *-->$", re.MULTILINE)
FENCE = re.compile(
    r"\n(?P<ticks>`{3,})(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=ticks)[ \t]*$", re.MULTILINE | re.DOTALL
)
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".sh": "sh", ".txt": "text"}
"""What a fence that is filled with a file says it is, where it says nothing."""

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class NoExcerpt(Exception):
    """A fence cannot be filled; ``str()`` says why."""


def excerpt(source: str, names: Sequence[str]) -> str:
    """Return the objects that ``names`` name, in that order, as they stand in a Python source.

    Args:
        source: of a module.
        names: of functions, classes and assignments, dotted from the module on: ``Scanner.lineReceived``.
            ``imports`` stands for the module's imports.

    Raises:
        NoExcerpt: the source is not Python, or has no such object.

    """
    try:
        tree = ast.parse(source)
    except SyntaxError as wrong:
        raise NoExcerpt(f"is not Python: {wrong}") from wrong
    lines = source.splitlines()
    parts: list[tuple[str, bool]] = []
    for name in names:
        nodes = _imports(tree) if name == "imports" else [_find(tree, name)]
        first, last = _extent(nodes[0], lines)[0], _extent(nodes[-1], lines)[1]
        if isinstance(nodes[0], ast.Assign | ast.AnnAssign):
            last = _with_docstring(tree, nodes[0], last)
        text = dedent("\n".join(lines[first:last]))
        parts.append((text, isinstance(nodes[0], _Definition) and "." not in name))
    joined = parts[0][0]
    for (_, before), (text, after) in pairwise(parts):
        joined += ("\n\n\n" if before or after else "\n\n") + text
    return joined + "\n"


def _imports(tree: ast.Module) -> list[ast.stmt]:
    found: list[ast.stmt] = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    if not found:
        raise NoExcerpt("imports nothing")
    return found


def _find(tree: ast.Module, name: str) -> ast.stmt:
    node: ast.AST = tree
    for place, word in enumerate(name.split(".")):
        inside = dict(_named(node))
        if word not in inside:
            where = ".".join(name.split(".")[:place])
            raise NoExcerpt(f"has no {name!r}{did_you_mean(word, inside)}{f' in {where}' if where else ''}")
        node = inside[word]
    assert isinstance(node, ast.stmt)
    return node


def _named(node: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Yield what is defined in a module, class or function; under an ``if`` or a ``try`` too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            yield child.name, child
        elif isinstance(child, ast.Assign):
            for target in child.targets:
                if isinstance(target, ast.Name):
                    yield target.id, child
        elif isinstance(child, ast.AnnAssign):
            if isinstance(child.target, ast.Name):
                yield child.target.id, child
        elif isinstance(child, ast.stmt | ast.ExceptHandler):
            yield from _named(child)


def _extent(node: ast.stmt, lines: list[str]) -> tuple[int, int]:
    """Return the first line of a statement, its decorators and comments, and the line after its last one."""
    decorators = node.decorator_list if isinstance(node, _Definition) else []
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
    margin = " " * node.col_offset
    while first and lines[first - 1].startswith(f"{margin}#"):
        first -= 1
    assert node.end_lineno is not None
    return first, node.end_lineno


def _with_docstring(tree: ast.Module, node: ast.stmt, last: int) -> int:
    for parent in ast.walk(tree):
        body = getattr(parent, "body", None)
        if isinstance(body, list) and node in body[:-1]:
            after = body[body.index(node) + 1]
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and after.lineno == last + 1:
                assert after.end_lineno is not None
                return after.end_lineno
    return last


def filled(page: str, folder: Path) -> tuple[str, list[str]]:
    """Return a Markdown page with its excerpts filled, and the problems found, each with its line.

    Args:
        page: the text.
        folder: what the file names in it are relative to.

    """
    written, problems, place = "", [], 0
    for mark in MARK.finditer(page):
        where = f"line {page.count(chr(10), 0, mark.start()) + 1}"
        fence = FENCE.match(page, mark.end())
        if fence is None:
            problems.append(f"{where}: a fence (```python) must follow {mark[0]} on the next line")
            continue
        try:
            code = _code(folder / mark["file"], mark["names"])
        except NoExcerpt as wrong:
            problems.append(f"{where}: {mark['file']} {wrong}")
            continue
        language = fence["language"] or LANGUAGES.get(Path(mark["file"]).suffix, "")
        ticks = max(["```", *(f"`{run}" for run in re.findall(r"^ *(`{3,})", code, re.MULTILINE))], key=len)
        written += f"{page[place : mark.end()]}\n{ticks}{language}\n{code}{ticks}"
        place = fence.end()
    return written + page[place:], problems


def _code(file: Path, names: str | None) -> str:
    try:
        source = file.read_text(encoding="utf-8")
    except OSError as missing:
        raise NoExcerpt(f"cannot be read: {missing.strerror}") from missing
    if names is None:
        return source.rstrip("\n") + "\n"
    return excerpt(source, [name.strip() for name in names.split(",")])


def pages(paths: Sequence[Path]) -> list[Path]:
    """Return the Markdown files among ``paths``, and all those in folders among them."""
    return [page for path in paths for page in (sorted(path.rglob("*.md")) if path.is_dir() else [path])]


def main() -> None:
    """Fill or check pages; exit 1 where one has a problem or, with ``--check``, is not up to date."""
    arguments = argparse.ArgumentParser(prog="python -m lineside.workshop.excerpts", description=__doc__)
    arguments.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="Markdown files, or folders of them")
    arguments.add_argument("--check", action="store_true", help="write nothing; exit 1 if something would be")
    given = arguments.parse_args()
    wrong = False
    for page in pages(given.paths):
        text = page.read_text(encoding="utf-8")
        fresh, problems = filled(text, page.parent)
        for problem in problems:
            print(f"{page}, {problem}", file=sys.stderr)  # noqa: T201 (a command)
        wrong = wrong or bool(problems)
        if fresh == text:
            continue
        if given.check:
            wrong = True
            print(f"{page}: an excerpt is not what its file says now", file=sys.stderr)  # noqa: T201
        else:
            page.write_text(fresh, encoding="utf-8")
            print(f"{page}: filled")  # noqa: T201
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
