"""How a command reaches the operations: through the running gateway, or else straight to the journal."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from twisted.internet.defer import CancelledError, Deferred

from lineside.assemble.importing import importing
from lineside.assemble.lifecycle import run_reactor
from lineside.cli.documents import json_line, plain_lines
from lineside.model.errors import ConfigurationError, LinesideError
from lineside.operations.control import NoGateway, RemoteOperations
from lineside.operations.requests import Request
from lineside.security.identity import LOCAL_USER

if TYPE_CHECKING:
    from lineside.assemble.settings import Settings

R = TypeVar("R")

config_option = click.option(
    "-c",
    "--config",
    "config",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default="lineside.toml",
    show_default=True,
    help="The configuration.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one value a line.")


def settings_of(config: Path, *, secrets: bool = True) -> Settings:
    """Load a configuration with the process's environment; false for ``secrets`` where none is needed.

    Raises:
        ConfigurationError: it is wrong, with every problem.

    """
    # pydantic and Jinja2 come with it: half a second that commands without a configuration need not spend.
    with importing():
        from lineside.assemble.config import load  # noqa: PLC0415

    return load(config, os.environ, secrets=secrets)


def run_command(main: Callable[..., Coroutine[Deferred[Any], Any, Any]], *arguments: object) -> None:
    """Run a command's coroutine on the reactor and exit; a `LinesideError` is its one line on stderr."""

    async def guarded(reactor: Any) -> None:
        try:
            await main(reactor, *arguments)
        except ConfigurationError as wrong:
            print(*wrong.problems, sep="\n", file=sys.stderr)
            raise SystemExit(2) from None
        except LinesideError as failed:
            print(f"lineside: {plain_lines(str(failed))}", file=sys.stderr)
            raise SystemExit(1) from None
        except BrokenPipeError:
            raise SystemExit(1) from None
        except CancelledError:
            return

    run_reactor(guarded)


class Session:
    """Operations by way of the gateway that holds the journal, or on the journal itself when none runs."""

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._remote = RemoteOperations(reactor, settings.journal.control_path)

    async def call(self, request: Request[R]) -> R:
        """Carry out one request.

        Raises:
            LinesideError: it failed.

        """
        try:
            return await self._remote.call(request)
        except NoGateway:
            path = self._settings.journal.path
            if not os.path.lexists(path):  # noqa: ASYNC240 (one look, and nothing else runs)
                # Making one here could make it another user's.
                raise LinesideError(f"there is no journal {path} yet; `lineside run` makes it") from None
            # The whole gateway comes with it; mostly one runs already, and is asked.
            with importing():
                from lineside.assemble.build import Offline  # noqa: PLC0415

            offline = Offline(self._reactor, self._settings)
            await offline.open()
            try:
                return await offline.operations.call(request, LOCAL_USER, f"command line, uid {os.getuid()}")
            finally:
                await offline.close()

    async def follow(self, request: Request[R]) -> AsyncIterator[R]:
        """Follow a stream of a running gateway.

        Raises:
            NoGateway: none runs, so nothing will ever come.

        """
        async for item in self._remote.follow(request):
            yield item


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    print(json_line(value), flush=True)
