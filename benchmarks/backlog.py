"""What a gateway with a large backlog costs: memory, the rate of appends, and the time until its first answer.

The whole product: ``lineside run`` with a route to an ERP that is away, filled over loopback TCP. See
docs/performance.md.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import durable_lines
from durable_lines import CONFIGURATION, Unfit, free_port, running, wait_for

SHAPE = (8, 4_000)


@contextlib.contextmanager
def gateway(directory: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a gateway whose lines wait for an ERP that is away, on the journal in a directory."""
    port = free_port()
    configuration = directory / "lineside.toml"
    configuration.write_text(CONFIGURATION.format(port=port, routed="bench"))
    command = [sys.executable, "-m", "lineside", "run", "-c", str(configuration)]
    with running(command, directory) as process:
        wait_for(port, process, directory / "output")
        yield port, process


def load(port: int, seconds: float) -> dict[str, float]:
    """Run the generator against a gateway."""
    plan = {"port": port, "wire": "lines", "connections": SHAPE[0], "in_flight": SHAPE[1], "warm_up": 0.5}
    generator = subprocess.run(
        [
            sys.executable,
            str(durable_lines.HERE / "lines" / "generator.py"),
            json.dumps({**plan, "seconds": seconds, "timed": False}),
        ],
        capture_output=True,
        text=True,
        timeout=seconds + 90,
        check=False,
    )
    if generator.returncode:
        raise Unfit(generator.stderr.strip())
    result: dict[str, float] = json.loads(generator.stdout)
    return result


def resident(process: subprocess.Popen[bytes], field: str) -> float:
    """Return the memory of a process in MB: ``VmRSS`` now, ``VmHWM`` at its highest."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1_000
    raise Unfit(f"the kernel does not tell {field}")


def first_answer(port: int) -> None:
    """Send one line, and wait for its answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as device:
        device.sendall(b'{"kind":"count","item":"00001","qty":1}\n')
        if not device.recv(64).startswith(b"OK "):
            raise Unfit("the gateway did not store a line")


def measure(backlog: int, seconds: float, within: Path) -> dict[str, float]:
    """Fill a gateway, measure what it takes, restart it, and measure until its first answer."""
    with tempfile.TemporaryDirectory(prefix="backlog-", dir=within) as name:
        directory = Path(name)
        began = time.perf_counter()
        with gateway(directory) as (port, process):
            first_answer(port)
            first = round(time.perf_counter() - began, 2)
            result = load(port, seconds)
            stored, empty = result["answered"], result["counted"] / result["seconds"]
            while stored < backlog:
                stored += load(port, seconds)["answered"]
            result = load(port, seconds)
            row = {
                "backlog": stored,
                "resident_mb": resident(process, "VmRSS"),
                "highest_mb": resident(process, "VmHWM"),
                "empty_per_second": round(empty),
                "full_per_second": round(result["counted"] / result["seconds"]),
            }
        began = time.perf_counter()
        with gateway(directory) as (port, process):
            first_answer(port)
            row["first_answer_empty_s"] = first
            row["first_answer_s"] = round(time.perf_counter() - began, 2)
            row["restarted_mb"] = resident(process, "VmRSS")
    return row


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description="Measure a gateway with a large backlog.")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="events that wait (default 1,000,000)")
    parser.add_argument("--seconds", type=float, default=2.0, help="measured seconds of each run (default 2)")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where the data goes: a real disk")
    arguments = parser.parse_args()
    # As it is where a wheel was installed: Python would else compile every module at each start.
    compileall.compile_dir(str(durable_lines.HERE.parent / "src"), quiet=1)
    try:
        print(json.dumps(measure(arguments.backlog, arguments.seconds, arguments.directory.resolve()), indent=2))
    except (Unfit, OSError, subprocess.TimeoutExpired) as unfit:
        print(f"backlog: {unfit}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
