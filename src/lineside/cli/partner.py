"""``lineside simulate partner``: a trading partner that sends order files to a drop box."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

import click
import msgspec

from lineside.cli.session import run_command
from lineside.model.errors import ConfigurationError, LinesideError
from lineside.testing.orders import csv_orders, edifact_order
from lineside.testing.partner import FileEntry, Hopeless, OrderFile, Partner, PartnerStatus
from lineside.testing.workload import new_run

FORMATS = {"csv": (csv_orders, "csv"), "edifact": (edifact_order, "edi")}


def order_files(kind: str, count: int, rows: int) -> list[OrderFile]:
    """Make files that no other run makes."""
    make, suffix = FORMATS[kind]
    random, run, today = Random(), new_run(), datetime.now(UTC).date()  # noqa: S311 (believable, not secret)
    return [
        OrderFile(f"orders-{run}-{number:05d}.{suffix}", make(random, run, number, rows, today))
        for number in range(1, count + 1)
    ]


def told(status: PartnerStatus) -> str:
    """Return how it stands as a line."""
    rows = ", ".join(f"{count:,} {what}" for what, count in status.rows.items()) or "no rows yet"
    trouble = f"  ({status.trouble})" if status.trouble else ""
    return (
        f"{status.seconds:6.1f} s  {status.sent:,} of {status.files:,} files sent  {status.answered:,} answered: "
        f"{rows}  {status.receipts:,} receipts  {status.reconnects:,} reconnects{trouble}"
    )


class Output:
    """What is told of a run, and recorded."""

    def __init__(self, ledger: BinaryIO | None, *, as_json: bool) -> None:
        self._ledger = ledger
        self._as_json = as_json

    def record(self, entry: FileEntry) -> None:
        """Append an entry, before what it tells of goes on."""
        if self._ledger is not None:
            try:
                self._ledger.write(msgspec.json.encode(entry) + b"\n")
                self._ledger.flush()
            except OSError as failed:
                raise Hopeless(f"cannot record: {failed.strerror}") from failed

    def show(self, status: PartnerStatus) -> None:
        """Print how it stands."""
        if not self._as_json:
            print(told(status), flush=True)

    def sum_up(self, status: PartnerStatus) -> None:
        """Print how it ended."""
        print(msgspec.json.encode(status).decode() if self._as_json else told(status), flush=True)


async def play(reactor: Any, way: dict[str, Any], files: list[OrderFile], patience: float, out: Output) -> None:
    """Run it on a real reactor, and exit 1 where files stay unanswered."""
    # What knows SSH takes its time, and is needed for this only.
    from lineside.assemble.partners import connector  # noqa: PLC0415

    partner = Partner(reactor, connector(reactor, **way), files, out.record, patience=patience)

    def end_by_signal() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: reactor.callFromThread(partner.end))

    reactor.callWhenRunning(end_by_signal)
    last = await partner.run(out.show, 1.0)
    out.sum_up(last)
    if last.unanswered:
        because = f": {last.trouble}" if last.trouble else ""
        raise LinesideError(f"{last.unanswered:,} files are unanswered{because}")


@click.command(
    epilog="Example: lineside simulate partner --connect tcp:127.0.0.1:2222 --user acme --key acme --known-hosts k",
    short_help="Send order files by SFTP, and collect the answers.",
)
@click.option(
    "--connect", metavar="ENDPOINT", required=True, help="Where the gateway's SSH server is: tcp:HOST:PORT."
)
@click.option("--user", required=True, help="The partner's name there.")
@click.option(
    "--key",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file of the partner's private key, without a passphrase.",
)
@click.option(
    "--known-hosts",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file that has the gateway's key, as ssh-keyscan writes it.",
)
@click.option("--fingerprint", help="Instead: the key's fingerprint, as `lineside ssh fingerprint` shows it.")
@click.option(
    "--format", "kind", type=click.Choice([*FORMATS]), default="csv", show_default=True, help="What files hold."
)
@click.option("--count", type=click.IntRange(1, 100_000), default=1, show_default=True, help="How many files.")
@click.option(
    "--rows", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Orders, or lines, of each file."
)
@click.option(
    "--answer-timeout",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds without anything new before it gives up.",
)
@click.option("--json", "as_json", is_flag=True, help="Print nothing but the summary, as one JSON object.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append what was sent, and what the answers said, to this file, as JSON lines.",
)
def command(
    connect: str,
    user: str,
    key: Path,
    known_hosts: Path | None,
    fingerprint: str | None,
    kind: str,
    count: int,
    rows: int,
    answer_timeout: float,
    as_json: bool,
    record: Path | None,
) -> None:
    """Play a trading partner against a running gateway: send made-up orders by SFTP, and collect the answers.

    A CSV has the columns order, item, qty and delivery_date; EDIFACT is ORDERS D.96A. Each file is sent until the
    gateway has it, through any number of lost connections, and waited for until its answer is the last one. Answers
    are removed once they are read. Exits 1 when files stay unanswered.
    """
    if (known_hosts is None) == (fingerprint is None):
        raise ConfigurationError(["lineside: by what is the gateway known? Give --known-hosts or --fingerprint"])
    way = {"connect": connect, "user": user, "key": key, "known_hosts": known_hosts, "fingerprint": fingerprint}
    with ExitStack() as closing:
        try:
            ledger = None if record is None else closing.enter_context(record.open("ab"))
        except OSError as failed:
            raise LinesideError(f"cannot record to {record}: {failed.strerror}") from failed
        files = order_files(kind, count, rows)
        run_command(play, way, files, answer_timeout, Output(ledger, as_json=as_json))
