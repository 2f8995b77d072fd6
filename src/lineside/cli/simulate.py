"""``lineside simulate``: devices that send believable lines to a running gateway."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import msgspec
from twisted.internet.endpoints import clientFromString

from lineside.assemble.lifecycle import run_reactor
from lineside.model.errors import LinesideError
from lineside.testing.ledger import LedgerFile
from lineside.testing.simulation import Plan, Simulation, Status, Summary


class PlainView:
    """One line for each second, with the rate since the line before."""

    every = 1.0

    def __init__(self) -> None:
        self._acked = 0
        self._seconds = 0.0

    def line(self, status: Status) -> str:
        """Return the status as a line."""
        elapsed = status.seconds - self._seconds
        rate = (status.acked - self._acked) / elapsed if elapsed > 0 else 0.0
        self._acked, self._seconds = status.acked, status.seconds
        trouble = f"  ({status.trouble})" if status.trouble and status.connected < status.devices else ""
        return (
            f"{status.seconds:6.1f} s  {status.acked:,} acknowledged  {rate:,.0f}/s  {status.errors:,} errors  "
            f"{status.reconnects:,} reconnects  {status.connected}/{status.devices} connected{trouble}"
        )

    def show(self, status: Status) -> None:
        """Print it."""
        print(self.line(status), flush=True)


class LiveView(PlainView):
    """The same line, kept in its place on a terminal."""

    every = 0.25

    def __init__(self) -> None:
        super().__init__()
        from rich.live import Live  # noqa: PLC0415 - takes its time, and is needed on terminals only

        # Refreshed by the reactor's timer alone: no thread of its own.
        self._live = Live(auto_refresh=False, transient=True)
        self._live.start()

    def show(self, status: Status) -> None:
        """Draw it again."""
        from rich.text import Text  # noqa: PLC0415

        self._live.update(Text(self.line(status)), refresh=True)

    def close(self) -> None:
        """Give the line back."""
        self._live.stop()


def summary_lines(summary: Summary) -> list[str]:
    """Return the summary for a person."""
    devices = f"{summary.devices:,} {summary.device}{'s' if summary.devices > 1 else ''}"
    acknowledged = f"{summary.acked:,} acknowledged ({summary.per_second:,.1f}/s)"
    cuts = f"{summary.reconnects:,} reconnects, {summary.resent:,} lines sent again"
    lines = [
        f"{devices}, {summary.seconds:.1f} s: {summary.sent:,} lines sent, {acknowledged}",
        f"{summary.errors:,} errors, {summary.unanswered:,} unanswered, {summary.unavailable:,} put off, {cuts}",
    ]
    if summary.p50_ms is not None:
        lines.append(f"from line to acknowledgement: p50 {summary.p50_ms:,.1f} ms, p99 {summary.p99_ms:,.1f} ms")
    return lines


async def simulate(reactor: Any, connect: str, plan: Plan, record: Path | None, as_json: bool) -> None:
    """Run a plan on a real reactor, and exit 1 where lines stay unanswered."""
    try:
        endpoint = clientFromString(reactor, connect)
    except (ValueError, TypeError, LookupError) as wrong:
        click.echo(f"lineside: --connect {connect}: {wrong or 'no endpoint'}; try tcp:127.0.0.1:7001", err=True)
        raise SystemExit(2) from None
    with ExitStack() as closing:
        try:
            ledger = closing.enter_context(LedgerFile(record)) if record is not None else None
            simulation = Simulation(reactor, endpoint, plan, ledger)
            reactor.callWhenRunning(end_by_signal, reactor, simulation)
            summary = await simulation.run(*view(as_json, closing))
        except (LinesideError, OSError) as failed:
            raise SystemExit(complain(str(failed))) from None
    print(msgspec.json.encode(summary).decode() if as_json else "\n".join(summary_lines(summary)), flush=True)
    if summary.unanswered:
        raise SystemExit(complain(f"{summary.unanswered:,} lines are unanswered{because(summary)}"))
    if not summary.sent and summary.trouble:
        raise SystemExit(complain(f"no line could be sent{because(summary)}"))


def because(summary: Summary) -> str:
    """Return why there is no connection, to end a sentence."""
    return f": {summary.trouble}" if summary.trouble else ""


def complain(line: str) -> int:
    """Print an error, and return the exit code that goes with it."""
    click.echo(f"lineside: {line}", err=True)
    return 1


def view(as_json: bool, closing: ExitStack) -> tuple[Callable[[Status], None], float]:
    """Choose how the run is shown: not at all, on a terminal, or line by line."""
    if as_json:
        return (lambda _: None), 1.0
    if sys.stdout.isatty():
        live = LiveView()
        closing.callback(live.close)
        return live.show, live.every
    plain = PlainView()
    return plain.show, plain.every


def end_by_signal(reactor: Any, simulation: Simulation) -> None:
    """Let Ctrl-C and SIGTERM end the simulation; to be called once the reactor has set its own handlers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: reactor.callFromThread(simulation.end))


@click.command(epilog="Example: lineside simulate scanner --connect tcp:127.0.0.1:7001 --devices 5 --rate 10")
@click.argument("device", type=click.Choice(["scanner", "counter"]))
@click.option("--connect", required=True, metavar="ENDPOINT", help="The gateway's lines source: tcp:HOST:PORT.")
@click.option("--devices", type=click.IntRange(1, 5_000), default=1, show_default=True, help="How many devices.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Lines a second of each device. Without it: as fast as the answers come.",
)
@click.option(
    "--window",
    type=click.IntRange(1, 100_000),
    default=1,
    show_default=True,
    help="Unanswered lines a device may have.",
)
@click.option("--count", type=click.IntRange(1), help="End after so many lines, of all devices together.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="End after so many seconds.")
@click.option(
    "--answer-timeout",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds without any answer before a device reconnects.",
)
@click.option("--json", "as_json", is_flag=True, help="Print nothing but the summary, as one JSON object.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append what was sent, acknowledged and refused to this file, as JSON lines.",
)
def command(
    device: str,
    connect: str,
    devices: int,
    rate: float | None,
    window: int,
    count: int | None,
    seconds: float | None,
    answer_timeout: float,
    as_json: bool,
    record: Path | None,
) -> None:
    """Play DEVICE against a running gateway.

    A scanner sends employee checkins, a counter sends stock counts, as one JSON object a line. Each line is
    sent until it is answered, through any number of lost connections. Ends by --count, by --seconds or by
    Ctrl-C, waits a while for the answers still owed, and prints a summary. Exits 1 when lines stay unanswered.
    """
    plan = Plan(device, devices, rate, window, count, seconds, answer_timeout)
    run_reactor(simulate, connect, plan, record, as_json)
