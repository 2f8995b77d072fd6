"""A disk that fails: `faulty_disk.c`, compiled where that can be, between a process and its system calls."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from twisted.trial.unittest import SkipTest

from lineside.demo.children import Child

SOURCE = Path(__file__).with_suffix(".c")
ALWAYS = 0
HANGING = -1


@cache
def library() -> Path:
    """Return the compiled library; skips the test where nothing can compile it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SkipTest("there is no C compiler, so no disk can be made to fail")
    built = Path(mkdtemp(prefix="lineside-")) / "faulty_disk.so"
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-Wall", "-o", str(built), str(SOURCE), "-ldl"],
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        raise SkipTest(f"the library cannot be compiled here: {done.stderr.strip()}")
    return built


class FaultyDisk:
    """What goes wrong with the files below a directory, for processes that are started by `start`."""

    def __init__(self, under: Path, orders: Path) -> None:
        self._orders = orders
        self._struck = orders.with_name(orders.name + ".struck")
        self.environ = {
            "LD_PRELOAD": str(library()),
            "FAULTY_UNDER": str(under.resolve()),
            "FAULTY_ORDERS": str(orders.resolve()),
        }
        self.is_well()

    def start(
        self,
        reactor: Any,
        arguments: list[str],
        *,
        log: Path,
        environ: Mapping[str, str],
        line: Callable[[str], None] = lambda line: None,
    ) -> Child:
        """Start a command on this disk: a `lineside.demo.children.Start`."""
        return Child.start(reactor, arguments, log=log, environ={**environ, **self.environ}, line=line)

    def is_well(self) -> None:
        """Let everything through from now on."""
        self._order("")

    def refuses(self, call: str, ending: str = "*", *, error: int = errno.EIO, times: int = ALWAYS) -> None:
        """Let calls on files with this ending fail from now on.

        ``sync``, ``write``, ``grow`` or ``any``; or ``rest``: the next sync, and every call from then on.
        """
        self._order(f"{call} {ending} {error} {times} 0\n")

    def takes(self, milliseconds: int, call: str, ending: str = "*") -> None:
        """Let calls take so long from now on; `HANGING` for as long as nothing else is said."""
        self._order(f"{call} {ending} 0 {ALWAYS} {milliseconds}\n")

    @property
    def struck(self) -> int:
        """How many calls met what was said last; one that hangs is counted again and again."""
        return self._struck.stat().st_size if self._struck.exists() else 0

    def _order(self, order: str) -> None:
        # Whole in one step, and the count begins anew before anything can be counted.
        self._orders.write_text("")
        self._struck.unlink(missing_ok=True)
        coming = self._orders.with_name(self._orders.name + ".coming")
        coming.write_text(order)
        coming.replace(self._orders)
