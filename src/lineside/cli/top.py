"""`lineside top`: the running gateway on one page that is drawn anew each second."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.live import Live
from twisted.internet.defer import CancelledError, Deferred, TimeoutError  # noqa: A004 (Twisted's)
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.assemble.settings import Settings
from lineside.cli.page import page
from lineside.cli.session import config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console
from lineside.model.errors import LinesideError
from lineside.operations.control import RemoteOperations
from lineside.operations.requests import ShowOverview
from lineside.operations.results import Overview

REFRESH = 1.0
"""Seconds between two looks."""
PATIENCE = 5.0
"""Seconds that a gateway gets to answer."""
KEYS = "q ends, s most silent, b busiest"


@click.command(epilog="Example: lineside top --devices 40")
@click.option("--once", is_flag=True, help="Print one page and end, as where the output is no terminal.")
@click.option(
    "--devices", type=click.IntRange(0, 1000), default=10, show_default=True, help="Show at most so many."
)
@click.option("--silent", is_flag=True, help="Show the most silent devices instead of the busiest.")
@json_option
@config_option
def command(config: Path, once: bool, devices: int, silent: bool, as_json: bool) -> None:
    """Watch sources, devices, journal, routes, targets and alarms of the running gateway, until q or Ctrl-C.

    While no gateway runs it says so, and goes on when there is one again.
    """
    request = ShowOverview(devices=devices, order="silent" if silent else "busiest")
    settings = settings_of(config, secrets=False)
    if once or as_json or not (sys.stdout.isatty() and sys.stdin.isatty()):
        run_command(_once, settings, request, as_json)
    else:
        run_command(_watch, settings, request)


async def _once(reactor: Any, settings: Settings, request: ShowOverview, as_json: bool) -> None:
    overview = await RemoteOperations(reactor, settings.journal.control_path).call(request)
    if as_json:
        print_json(overview)
    else:
        console().print(page(overview), soft_wrap=True)


async def _watch(reactor: Any, settings: Settings, request: ShowOverview) -> None:
    remote = RemoteOperations(reactor, settings.journal.control_path)
    ended: Deferred[None] = Deferred()

    def end(failed: Failure | None = None) -> None:
        if not ended.called:
            ended.callback(failed)

    with ExitStack() as until_the_end:
        live = until_the_end.enter_context(Live(console=Console(), screen=True, auto_refresh=False))
        watch = Watch(remote.call, reactor, request, lambda drawn: live.update(drawn, refresh=True))
        keys = Keys(sys.stdin.fileno(), {"q": end, **watch.keys})
        until_the_end.callback(keys.close)
        reactor.addReader(keys)
        until_the_end.callback(reactor.removeReader, keys)
        # Ctrl-C stops the reactor, which waits for nobody: the terminal is to be given back before.
        reactor.addSystemEventTrigger("before", "shutdown", until_the_end.close)
        watch.start().addErrback(end)
        until_the_end.callback(watch.stop)
        await ended


class Watch:
    """Asks a gateway again and again, and draws what it says; what it does not say within `PATIENCE` is told.

    Args:
        ask: carries out a request.
        clock: when to ask, and for how long to wait.
        request: what to ask.
        draw: takes each page.

    """

    def __init__(
        self,
        ask: Callable[[ShowOverview], Any],
        clock: Any,
        request: ShowOverview,
        draw: Callable[[Any], object],
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._request = request
        self._draw = draw
        self._last: Overview | None = None
        # It waits for the answer: a slow gateway is asked less often.
        self._looking = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._looking.clock = clock
        self.keys: dict[str, Callable[[], object]] = {
            "s": lambda: self._show_devices("silent"),
            "b": lambda: self._show_devices("busiest"),
        }
        """What each key does."""

    def start(self) -> Deferred[LoopingCall]:
        """Draw a first page, and go on. The Deferred fails with what is an error of our own."""
        return self._looking.start(REFRESH)

    def stop(self) -> None:
        """Ask and draw no more."""
        if self._looking.running:
            self._looking.stop()

    async def _look(self) -> None:
        problem = None
        asked: Deferred[Overview] = Deferred.fromCoroutine(self._ask(self._request))
        try:
            self._last = await asked.addTimeout(PATIENCE, self._clock)
        except TimeoutError:
            problem = f"the gateway did not answer within {PATIENCE:g} s"
        except CancelledError:
            raise
        except LinesideError as away:
            problem = str(away)
        if self._looking.running:
            self._draw(page(self._last, problem, keys=KEYS))

    def _show_devices(self, order: Literal["busiest", "silent"]) -> None:
        self._request = ShowOverview(devices=self._request.devices, order=order)


@implementer(IReadDescriptor)
class Keys:
    """Single keys of a terminal. Give it to the reactor as a reader; `close` gives the terminal back."""

    def __init__(self, terminal: int, actions: dict[str, Callable[[], object]]) -> None:
        self._terminal = terminal
        self._actions = actions
        self._before = termios.tcgetattr(terminal)
        tty.setcbreak(terminal)

    def fileno(self) -> int:
        """Return the terminal."""
        return self._terminal

    def doRead(self) -> Any:
        """Do what the keys say that were pressed."""
        pressed = os.read(self._terminal, 100)
        if not pressed:
            return CONNECTION_DONE
        for key in pressed.decode(errors="replace"):
            if (action := self._actions.get(key)) is not None:
                action()
        return None

    def connectionLost(self, reason: object) -> None:
        """The terminal is gone, or the reactor ends."""

    def logPrefix(self) -> str:
        """Return the name for Twisted's log."""
        return "keys"

    def close(self) -> None:
        """Give the terminal back as it was."""
        termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._before)
