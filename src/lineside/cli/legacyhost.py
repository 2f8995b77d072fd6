"""``lineside simulate legacy-host``: an old Unix box that speaks SSH, and whose log grows."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import click
import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from lineside.cli.session import run_command
from lineside.model.errors import LinesideError
from lineside.testing.samples import frames_of
from lineside.testing.simulation import Plan, workload_of
from lineside.testing.workload import new_run


def lines_of(kind: str, sample: Path | None) -> Iterator[bytes]:
    """Return what is written to the log: a file's lines again and again, or what a device would say.

    Raises:
        LinesideError: the file cannot be read, or holds nothing.

    """
    if sample is None:
        return (line.payload for line in workload_of(Plan(kind), new_run(), 0))
    try:
        frames = frames_of(sample.read_bytes())
    except OSError as wrong:
        raise LinesideError(f"cannot read {sample}: {wrong.strerror}") from wrong
    if not frames:
        raise LinesideError(f"{sample} has no lines")
    return cycle(frames)


async def play(reactor: Any, seconds: float | None, as_json: bool, given: dict[str, Any]) -> None:
    """Run it on a real reactor until it is ended."""
    # What knows SSH takes its time, and is needed for this only.
    from lineside.assemble.legacyhosts import HostStatus, LegacyHost  # noqa: PLC0415

    def told(status: HostStatus) -> str:
        return (
            f"{status.seconds:6.1f} s  {status.written:,} lines written  {status.rotations:,} rotations  "
            f"{status.connections} connected  {status.log_ins:,} log-ins  {status.commands:,} commands  "
            f"{status.dropped:,} dropped"
        )

    host = LegacyHost(reactor, **given)
    over: Deferred[None] = Deferred()

    def end() -> None:
        if not over.called:
            over.callback(None)

    def end_by_signal() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: reactor.callFromThread(end))

    try:
        await host.start()
    except OSError as wrong:
        raise LinesideError(f"{given['folder']}: {wrong.strerror}") from wrong
    reactor.callWhenRunning(end_by_signal)
    if not as_json:
        print(f"{host.table}\n# the same is in {given['folder'] / 'source.toml'}; Ctrl-C ends it", flush=True)
    showing = LoopingCall(lambda: None if as_json else print(told(host.status), flush=True))
    shown = showing.start(1.0, now=False)
    ending = None if seconds is None else reactor.callLater(seconds, end)
    try:
        await over
    finally:
        if ending is not None and ending.active():
            ending.cancel()
        if showing.running:
            showing.stop()
        await shown
        await host.stop()
    print(msgspec.json.encode(host.status).decode() if as_json else told(host.status), flush=True)


@click.command(
    epilog="Example: lineside simulate legacy-host --directory legacy --rate 5 --drop-every 20",
    short_help="Be an old Unix box that speaks SSH, and whose log grows.",
)
@click.option(
    "--directory",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="legacy-host",
    show_default=True,
    help="Gets the host's keys, known_hosts, the client's key, and the table of a source.",
)
@click.option("--port", type=click.IntRange(0, 65_535), default=2222, show_default=True, help="On 127.0.0.1.")
@click.option(
    "--rate", type=click.FloatRange(0.01, 100_000), default=2.0, show_default=True, help="Lines a second."
)
@click.option(
    "--lines",
    "kind",
    type=click.Choice(["scanner", "counter"]),
    default="scanner",
    show_default=True,
    help="Whose lines: a scanner's or a counter's, as JSON.",
)
@click.option(
    "--from",
    "sample",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what a file has instead, one line after the other, again and again.",
)
@click.option("--drop-every", type=click.FloatRange(0.1), help="Cut all connections each so many seconds.")
@click.option("--rotate-every", type=click.IntRange(1), help="Rotate the log after so many lines.")
@click.option("--count", type=click.IntRange(1), help="Write no more lines than so many.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="End after so many seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print nothing but the summary, as one JSON object.")
def command(
    folder: Path,
    port: int,
    rate: float,
    kind: str,
    sample: Path | None,
    drop_every: float | None,
    rotate_every: int | None,
    count: int | None,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Play an old Unix box for a source of the type ssh-command: an SSH server on this machine alone.

    It knows `tail` (-n, -c, -f, -F), `cat` and `wc -c <`, of its log /var/log/scale.log and of what that was before
    it was rotated. It prints the table of a source that reads the log; append it to a configuration, and run the
    gateway.
    """
    given = {
        "folder": folder,
        "port": port,
        "lines": lines_of(kind, sample),
        "drop_every": drop_every,
        "rate": rate,
        "rotate_every": rotate_every,
        "count": count,
    }
    run_command(play, seconds, as_json, given)
