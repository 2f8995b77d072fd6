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
from msgspec import Struct
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint

from lineside.cli.legacyhost import command as legacy_host
from lineside.cli.partner import command as partner
from lineside.cli.session import config_option, run_command, settings_of
from lineside.model.errors import ConfigurationError, LinesideError
from lineside.model.wording import did_you_mean
from lineside.testing.datagrams import DatagramEndpoint
from lineside.testing.ledger import LedgerFile
from lineside.testing.simulation import AS_PLANNED, Plan, Played, Simulation, Status, Summary


class PlainView:
    """One line for each second, with the rate since the line before."""

    every = 1.0

    def __init__(self) -> None:
        self._done = 0
        self._seconds = 0.0

    def line(self, status: Status) -> str:
        """Return the status as a line."""
        elapsed = status.seconds - self._seconds
        done = status.acked if status.answered else status.sent
        rate = (done - self._done) / elapsed if elapsed > 0 else 0.0
        self._done, self._seconds = done, status.seconds
        trouble = f"  ({status.trouble})" if status.trouble and status.connected < status.devices else ""
        what, errors = ("acknowledged", f"  {status.errors:,} errors") if status.answered else ("sent", "")
        return (
            f"{status.seconds:6.1f} s  {done:,} {what}  {rate:,.0f}/s{errors}  {status.reconnects:,} reconnects  "
            f"{status.connected}/{status.devices} connected{trouble}"
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
    commanded = [f"{summary.commands:,} commands"] if summary.commands else []
    if not summary.answered:
        sent = f"{summary.sent:,} lines sent ({summary.per_second:,.1f}/s), {summary.reconnects:,} reconnects"
        return [
            f"{devices}, {summary.seconds:.1f} s: {sent}",
            "the source answers nothing: what came of them is in `lineside status` and `lineside events list`",
            *commanded,
        ]
    acknowledged = f"{summary.acked:,} acknowledged ({summary.per_second:,.1f}/s)"
    cuts = f"{summary.reconnects:,} reconnects, {summary.resent:,} lines sent again"
    lines = [
        f"{devices}, {summary.seconds:.1f} s: {summary.sent:,} lines sent, {acknowledged}",
        f"{summary.errors:,} errors, {summary.unanswered:,} unanswered, {summary.unavailable:,} put off, {cuts}",
    ]
    if summary.p50_ms is not None:
        lines.append(f"from line to acknowledgement: p50 {summary.p50_ms:,.1f} ms, p99 {summary.p99_ms:,.1f} ms")
    return [*lines, *commanded]


class Place(Struct, frozen=True):
    """Where devices send to, and how they speak there."""

    endpoint: Callable[[Any], IStreamClientEndpoint]
    """Made once the reactor is there."""
    played: Played
    datagrams: bool = False


def place_of_lines(connect: str) -> Place:
    """Return the place of a source of JSON lines that answers.

    Raises:
        ConfigurationError: it is no place.

    """
    return Place(_stream(connect), AS_PLANNED)


def place_of_source(config: Path, name: str, connect: str | None, sample: Path | None, *, endless: bool) -> Place:
    """Return the place of a source as the configuration has it, or where ``connect`` says instead.

    Raises:
        LinesideError: there is no such source, or it cannot be played.

    """
    # What reads configurations takes its time, and is needed for this only.
    from lineside.assemble.simulated import datagram_place, played, reach  # noqa: PLC0415

    settings = settings_of(config, secrets=False)
    if name not in settings.sources:
        raise ConfigurationError([f'{config}: there is no source "{name}"{did_you_mean(name, settings.sources)}'])
    if name in settings.ssh_commands:
        raise ConfigurationError(
            [f"{config}: sources.{name} goes to its host by itself: play one with `lineside simulate legacy-host`"]
        )
    if name not in settings.lines:
        raise ConfigurationError([f"{config}: sources.{name} has no lines; only devices of lines can be played"])
    source = settings.lines[name]
    speech = played(name, source, sample, endless=endless)
    if connect is None:
        place = reach(name, source)
        if place.datagrams is None:
            assert place.stream is not None
            return Place(_stream(place.stream), speech)
        host, port = place.datagrams
    elif not source.datagrams:
        return Place(_stream(connect), speech)
    else:
        try:
            host, port = datagram_place(connect)
        except ValueError as wrong:
            raise ConfigurationError([f"lineside: --connect {connect}: {wrong}"]) from wrong
    return Place(lambda reactor: DatagramEndpoint(reactor, host, port), speech, datagrams=True)


def _stream(connect: str) -> Callable[[Any], IStreamClientEndpoint]:
    def endpoint(reactor: Any) -> IStreamClientEndpoint:
        try:
            made: IStreamClientEndpoint = clientFromString(reactor, connect)
        except (ValueError, TypeError, LookupError) as wrong:
            raise ConfigurationError(
                [f"lineside: --connect {connect}: {wrong or 'no endpoint'}; try tcp:127.0.0.1:7001"]
            ) from None
        return made

    return endpoint


async def simulate(reactor: Any, place: Place, plan: Plan, record: Path | None, as_json: bool) -> None:
    """Run a plan on a real reactor, and exit 1 where lines stay unanswered.

    Raises:
        ConfigurationError: the place is no endpoint.

    """
    endpoint = place.endpoint(reactor)
    with ExitStack() as closing:
        try:
            ledger = closing.enter_context(LedgerFile(record)) if record is not None else None
            simulation = Simulation(reactor, endpoint, plan, ledger, place.played)
            reactor.callWhenRunning(end_by_signal, reactor, simulation)
            summary = await simulation.run(*view(as_json, closing))
        except (LinesideError, OSError, ValueError) as failed:
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


@click.group(epilog="Example: lineside simulate scanner --source gate --devices 5 --rate 10")
def command() -> None:
    """Play devices, a trading partner or a legacy host against a running gateway."""


command.add_command(partner, "partner")
command.add_command(legacy_host, "legacy-host")


@click.command()
@click.option(
    "--source", metavar="NAME", help="The source to play against: in its framing and format, at its address."
)
@config_option
@click.option("--connect", metavar="ENDPOINT", help="Where the gateway is, for JSON lines: tcp:HOST:PORT.")
@click.option(
    "--from",
    "sample",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Send what a file has, one message a line, instead of made-up ones; --count or --seconds repeat it.",
)
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
def devices_of_lines(
    device: str,
    source: str | None,
    config: Path,
    connect: str | None,
    sample: Path | None,
    devices: int,
    rate: float | None,
    window: int,
    count: int | None,
    seconds: float | None,
    answer_timeout: float,
    as_json: bool,
    record: Path | None,
) -> None:
    """Play devices of one kind against a running gateway.

    They send JSON lines to --connect, or to a --source of the configuration as its own devices would, with values
    that fit its format. Each line is sent until it is answered, through any number of lost connections; a source
    that answers nothing is sent to, and no more. Ends by --count, by --seconds or by Ctrl-C, waits a while for the
    answers still owed, and prints a summary. Exits 1 when lines stay unanswered.
    """
    plan = Plan(device, devices, rate, window, count, seconds, answer_timeout)
    if source is not None:
        endless = count is not None or seconds is not None
        place = place_of_source(config, source, connect, sample, endless=endless)
    elif connect is None:
        raise ConfigurationError(["lineside: where to? Give --source NAME, or --connect tcp:HOST:PORT"])
    elif sample is not None:
        raise ConfigurationError(["lineside: --from needs --source, whose framing it is sent in"])
    else:
        place = place_of_lines(connect)
    if rate is None and place.datagrams:
        raise ConfigurationError(["lineside: datagrams have no answers that set the pace: give --rate"])
    run_command(simulate, place, plan, record, as_json)


def played_by(device: str) -> Callable[..., None]:
    """Return the callback of one kind's command."""
    callback = devices_of_lines.callback
    assert callback is not None

    def play(**given: Any) -> None:
        callback(device, **given)

    return play


for kind, what in {"scanner": "employee checkins", "counter": "stock counts"}.items():
    command.add_command(
        click.Command(
            kind,
            callback=played_by(kind),
            params=devices_of_lines.params,
            help=f"A {kind} sends {what}. {devices_of_lines.help}",
            short_help=f"Send {what}.",
            epilog=f"Example: lineside simulate {kind} --source gate --devices 5 --rate 10",
        )
    )
