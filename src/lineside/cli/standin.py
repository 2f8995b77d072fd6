"""``lineside standin``: an ERP to try things against."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import available_timezones

import click
import msgspec

from lineside.model.errors import LinesideError

PROBABILITY = click.FloatRange(0, 1)
SECONDS = click.FloatRange(min=0)


def _zone(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value not in available_timezones():
        raise click.BadParameter(f"{value} is no IANA time zone such as Europe/Berlin")
    return value


@click.command(epilog="Try: lineside standin --port 8000 --data erp.db --api-key key --api-secret secret")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes any free port."
)
@click.option("--interface", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The SQLite file; made when missing.",
)
@click.option("--api-key", required=True, help="Of the one user, Administrator.")
@click.option("--api-secret", required=True, help="Of the one user, Administrator.")
@click.option(
    "--time-zone", default="Europe/Berlin", show_default=True, callback=_zone, help="Of all times in documents."
)
@click.option(
    "--employees", type=click.IntRange(min=0), default=0, help="Have at least so many Employee documents."
)
@click.option("--latency", type=SECONDS, default=0, help="Seconds that every request waits.")
@click.option("--jitter", type=SECONDS, default=0, help="Up to so many seconds more, drawn for each request.")
@click.option(
    "--error-after-commit", type=PROBABILITY, default=0, help="How often a stored document is answered with a 500."
)
@click.option(
    "--error-before-commit", type=PROBABILITY, default=0, help="How often a transaction is undone, with a 500."
)
@click.option("--hang", type=PROBABILITY, default=0, help="How often a stored document is never answered.")
@click.option("--hang-before", type=PROBABILITY, default=0, help="How often nothing is done and never answered.")
@click.option("--down", type=SECONDS, default=0, help="Seconds after the start for which the port is shut.")
@click.option("--seed", type=int, help="Makes the choice of faults the same in every run.")
def command(
    port: int,
    interface: str,
    data: Path,
    api_key: str,
    api_secret: str,
    time_zone: str,
    employees: int,
    down: float,
    seed: int | None,
    **faults: float,
) -> None:
    """Run the Frappe-compatible stand-in: a small ERP with durable data, and with faults on request.

    It answers Frappe's REST API (versions 1 and 2) and prints one line, "listening on URL", once it does.
    Faults can also be turned while it runs: POST JSON to /_standin/faults.
    """
    from twisted.internet import task  # noqa: PLC0415 (--help needs no reactor)

    from lineside.standin.authentication import Credentials  # noqa: PLC0415
    from lineside.standin.faults import FaultKnobs, Faults  # noqa: PLC0415
    from lineside.standin.server import Service, StandinServer, serve_until_stopped  # noqa: PLC0415

    service = Service(
        data, Credentials(api_key, api_secret), port, interface, time_zone, employees=employees, down=down
    )
    knobs = FaultKnobs(Random(seed), msgspec.convert(faults, Faults))  # noqa: S311 (dice, no secret)

    async def main(reactor: Any) -> None:
        # Twisted's timers follow the wall clock otherwise, and jump when it is set.
        reactor.seconds = time.monotonic
        try:
            await serve_until_stopped(reactor, StandinServer(reactor, service, knobs), partial(print, flush=True))
        except LinesideError as failed:
            print(f"lineside: {failed}", file=sys.stderr)
            raise SystemExit(1) from failed

    _log_warnings()
    task.react(main)


def _log_warnings() -> None:
    from twisted.logger import (  # noqa: PLC0415
        FilteringLogObserver,
        LogLevel,
        LogLevelFilterPredicate,
        globalLogBeginner,
        textFileLogObserver,
    )

    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(LogLevel.warn)])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
