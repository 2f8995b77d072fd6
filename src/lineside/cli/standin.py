"""``lineside standin``: an ERP to try things against."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from zoneinfo import available_timezones

import click
import msgspec

from lineside.model.errors import LinesideError

PEM = click.Path(path_type=Path, dir_okay=False)
PROBABILITY = click.FloatRange(0, 1)
SECONDS = click.FloatRange(min=0)


def _zone(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value not in available_timezones():
        raise click.BadParameter(f"{value} is no IANA time zone such as Europe/Berlin")
    return value


FAULTS: dict[str, tuple[click.ParamType[Any], str]] = {
    "latency": (SECONDS, "Seconds that every request waits."),
    "jitter": (SECONDS, "Up to so many seconds more, drawn for each request."),
    "error-after-commit": (PROBABILITY, "How often a stored document is answered with a 500."),
    "error-before-commit": (PROBABILITY, "How often a transaction is undone, with a 500."),
    "deadlock": (PROBABILITY, "How often a change ends as QueryDeadlockError."),
    "lock-wait": (PROBABILITY, "How often a change waits for a row, and ends as QueryTimeoutError."),
    "lock-wait-seconds": (SECONDS, "How long it waits."),
    "hang": (PROBABILITY, "How often a stored document is never answered."),
    "hang-before": (PROBABILITY, "How often nothing is done and never answered."),
    "cut": (PROBABILITY, "How often an answer is cut in the middle."),
    "byte-delay": (SECONDS, "Seconds between any two bytes of an answer."),
    "wrong-content-type": (PROBABILITY, "How often JSON comes as text/html."),
    "bad-gateway": (PROBABILITY, "How often a proxy answers with an HTML 502."),
    "workers": (click.IntRange(min=0), "So many requests are served at a time; 0 for any number."),
    "service-time": (SECONDS, "Seconds that each request keeps its worker."),
}
"""The options that turn faults, by their names in `Faults`."""

Command = TypeVar("Command", bound=Callable[..., Any])


def fault_options(command: Command) -> Command:
    """Give a command an option for each fault; one that is not used is None."""
    for name, (kind, told) in reversed(FAULTS.items()):
        command = click.option(f"--{name}", type=kind, help=told)(command)
    return command


@click.command(epilog="Example: lineside standin --port 8000 --data erp.db --api-key key --api-secret secret")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes any free port."
)
@click.option("--interface", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--tls-cert", metavar="FILE", type=PEM, help="Serve https with this certificate and its chain (PEM).")
@click.option("--tls-key", metavar="FILE", type=PEM, help="The certificate's private key (PEM, no password).")
@click.option(
    "--data",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The SQLite file; made when missing.",
)
@click.option("--api-key", required=True, help="Of the one user that has a key.")
@click.option("--api-secret", required=True, help="Of the one user that has a key.")
@click.option("--user", default="Administrator", show_default=True, help="Whose key it is; made when missing.")
@click.option("--role", "roles", multiple=True, help="One of that user's roles. May be given again.")
@click.option(
    "--time-zone", default="Europe/Berlin", show_default=True, callback=_zone, help="Of all times in documents."
)
@click.option(
    "--employees", type=click.IntRange(min=0), default=0, help="Have at least so many Employee documents."
)
@click.option("--password", help="Of Administrator, to log in with; none can without.")
@click.option(
    "--doctypes",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="A JSON file, or a folder of them, with more DocTypes. May be given again.",
)
@click.option("--site", default="", help="The only name it answers to, in X-Frappe-Site-Name or Host.")
@click.option("--tracebacks/--no-tracebacks", default=True, help="The site's allow_error_traceback.")
@click.option("--rate-limit", type=SECONDS, default=0, help="Seconds of work allowed in each window.")
@click.option("--rate-window", type=click.FloatRange(min=0, min_open=True), default=10, help="Seconds of a window.")
@fault_options
@click.option("--down", type=SECONDS, default=0, help="Seconds after the start for which the port is shut.")
@click.option("--seed", type=int, help="Makes the choice of faults the same in every run.")
def command(
    port: int,
    interface: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    data: Path,
    api_key: str,
    api_secret: str,
    user: str,
    roles: tuple[str, ...],
    time_zone: str,
    employees: int,
    password: str | None,
    doctypes: tuple[Path, ...],
    site: str,
    tracebacks: bool,
    rate_limit: float,
    rate_window: float,
    down: float,
    seed: int | None,
    **faults: float | None,
) -> None:
    """Run the Frappe-compatible stand-in: a small ERP with durable data, and with faults on request.

    It answers Frappe's REST API (versions 1 and 2) and prints one line, "listening on URL", once it does.
    Faults and settings can also be turned while it runs: POST JSON to /_standin/faults and /_standin/settings.
    """
    from twisted.internet import task  # noqa: PLC0415 (--help needs no reactor)

    from lineside.standin.authentication import ADMINISTRATOR, Credentials  # noqa: PLC0415
    from lineside.standin.doctypes import read_library  # noqa: PLC0415
    from lineside.standin.faults import FaultKnobs, Faults  # noqa: PLC0415
    from lineside.standin.server import Service, StandinServer, serve_until_stopped  # noqa: PLC0415
    from lineside.standin.settings import Settings  # noqa: PLC0415
    from lineside.standin.tls import read_identity  # noqa: PLC0415

    if roles and user == ADMINISTRATOR:
        raise click.UsageError("--role goes with --user: Administrator may do everything without")
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    try:
        tls = None if tls_cert is None or tls_key is None else read_identity(tls_cert, tls_key)
    except LinesideError as wrong:
        raise click.UsageError(str(wrong)) from wrong
    try:
        library = read_library(*doctypes)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise click.BadParameter(str(wrong), param_hint="--doctypes") from wrong
    service = Service(
        data,
        Credentials(api_key, api_secret, user),
        port,
        interface,
        time_zone=time_zone,
        tls=tls,
        employees=employees,
        down=down,
        roles=tuple(dict.fromkeys(roles)),
        password=password,
        library=library,
        settings=Settings(
            allow_error_traceback=tracebacks, rate_limit=rate_limit, rate_window=rate_window, site=site
        ),
    )
    turned = {name: value for name, value in faults.items() if value is not None}
    knobs = FaultKnobs(Random(seed), msgspec.convert(turned, Faults))  # noqa: S311 (dice, no secret)

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
