"""Lines with senders' keys, acknowledged after they are synced: Lineside against Redis, side by side.

As `durable_lines`, but each line has a key that was never sent before, ascending on each connection. The gateway's
source has ``dedupe``; Redis runs a script that does the same (`lines.generator.DEDUPE`). After each run some lines
are sent again on both sides: they must be answered, and not be stored. See README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from durable_lines import ROUNDS, Lineside, Redis, Unfit, compare, machine, shapes_of, table
from lines.generator import DEDUPE, DEDUPE_SHA, framed, payload, scan_id

SHAPES = "8x4000,64x64"
AGAIN = 100
"""Lines of the first connection that are sent again."""


def send_again(port: int, wire: str) -> None:
    """Send the first lines once more, and wait for their answers.

    Raises:
        Unfit: an answer is an error, or they are not the same when sent twice.

    """
    frames = b"".join(framed(wire, payload(0, n), scan_id(0, n)) for n in range(AGAIN))
    answers = []
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(frames)
            file = connection.makefile("rb")
            answers.append([file.readline() for _ in range(AGAIN * (2 if wire == "keyed-redis" else 1))])
    if answers[0] != answers[1] or any(b"ERR" in answer or not answer for answer in answers[0]):
        raise Unfit(f"{wire}: lines that were sent again were told {answers[0][:2]}, then {answers[1][:2]}")


class KeyedRedis(Redis):
    """A Redis that knows each line's key for seven days."""

    wire = "keyed-redis"

    @classmethod
    @contextlib.contextmanager
    def start(cls, directory: Path) -> Iterator[Redis]:
        """Start it in an empty directory, and teach it the script."""
        with super().start(directory) as started:
            with socket.create_connection(("127.0.0.1", started.port), timeout=10) as connection:
                script = DEDUPE.encode()
                connection.sendall(b"*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$%d\r\n%s\r\n" % (len(script), script))
                told = connection.makefile("rb")
                if told.readline().strip() != b"$40" or told.readline().strip() != DEDUPE_SHA:
                    raise Unfit("Redis did not take the script")
            yield started

    def stored(self) -> int:
        """Return the stream's length, after some lines were sent again."""
        send_again(self.port, self.wire)
        return super().stored()


class KeyedLineside(Lineside):
    """A gateway whose source dedupes, with the journal's defaults: a key is known for seven days."""

    wire = "keyed-lines"
    dedupe = 'dedupe = "scan_id"'

    def stored(self) -> int:
        """Return how many events the journal holds, after some lines were sent again."""
        send_again(self.port, self.wire)
        return super().stored()


def main() -> None:
    """Run the comparison; exit 1 where it cannot be made."""
    parser = argparse.ArgumentParser(
        description="Compare durable lines with keys a second: Lineside against Redis with appendfsync always.",
        epilog="Example: python benchmarks/durable_keys.py --seconds 2 --shapes 64x64",
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="measured seconds of each run (default 5)")
    parser.add_argument(
        "--shapes", type=shapes_of, default=SHAPES, help=f"CONNECTIONSxIN_FLIGHT,... (default {SHAPES})"
    )
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where the data goes: a real disk")
    parser.add_argument("--plain", action="store_true", help="let Redis only store: one XADD, no look at the key")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    arguments = parser.parse_args()
    if not 0 < arguments.seconds <= 600:
        parser.error("--seconds must be above 0 and 600 at most")
    try:
        within = arguments.directory.resolve(strict=True)
        about = machine(within)
        rows = compare(
            arguments.shapes,
            arguments.seconds,
            within,
            KeyedLineside,
            lambda progress: print(progress, file=sys.stderr, flush=True),
            Redis if arguments.plain else KeyedRedis,
        )
    except KeyboardInterrupt:
        sys.exit(130)
    except (Unfit, OSError, subprocess.TimeoutExpired) as unfit:
        print(f"durable_keys: {unfit}", file=sys.stderr)
        sys.exit(1)
    if arguments.json:
        settings = {"rounds": ROUNDS, "seconds": arguments.seconds, "plain": arguments.plain}
        print(json.dumps({**settings, "machine": about, "shapes": rows}, indent=2))
    else:
        print(table(about, rows))


if __name__ == "__main__":
    main()
