"""Requests a second over HTTP: Lineside against uvicorn and Starlette, side by side.

Both get the same requests from the same generator, a process of its own, over keep-alive connections on loopback,
one at a time on each. ``GET /healthz`` is what a request costs; ``POST /api/v1/events/gate`` brings one event, and
is answered after its commit is synced. Lineside is the whole product, ``lineside run``. See README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from durable_lines import HERE, ROUNDS, START_WITHIN, WARM_UP, Unfit, free_port, machine, running, wait_for

SERVICES = HERE / "services"
KINDS = ("get", "post")
SHOWN = {"get": "GET /healthz", "post": "POST /events"}
GOALS = {"get": 0.64, "post": 2.0}
STATUS = {"get": "200", "post": "202"}
PEERS = ("uvicorn", "starlette", "httptools", "uvloop")
TICKS = os.sysconf("SC_CLK_TCK")

CONFIGURATION = """\
[journal]
path = "journal.db"

[http]
listen = "tcp:{port}:interface=127.0.0.1"

[sources.gate]
type = "http"
anonymous = true

# The measured events have no reader.
[sources.idle]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

[routes.count]
sources = ["idle"]
doctype = "Stock Count"
[routes.count.document]
item = "{{{{ item }}}}"
"""


class Server:
    """A server that is measured.

    Args:
        port: where it listens.
        process: of it.
        database: the SQLite file of its events.

    """

    name = ""
    events = ""
    """A query for how many there are."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], database: Path) -> None:
        self.port = port
        self._process = process
        self._database = database

    def processor_seconds(self) -> float:
        """Return what it used of the processors so far, in all its threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stored(self) -> int | None:
        """Stop it, and return how many events its file holds."""
        self._process.terminate()
        code = self._process.wait(30)
        if code not in {0, -15}:
            raise Unfit(f"{self.name} exited with {code}")
        with contextlib.closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as database:
            (stored,) = database.execute(self.events).fetchone()
            return int(stored)


class Lineside(Server):
    """A gateway with the journal's defaults and a source that nothing reads."""

    name = "lineside"
    events = "SELECT TOTAL(last - first + 1) FROM segment"

    @classmethod
    @contextlib.contextmanager
    def start(cls, directory: Path, kind: str) -> Iterator[Server]:
        """Start it in an empty directory."""
        port = free_port()
        configuration = directory / "lineside.toml"
        configuration.write_text(CONFIGURATION.format(port=port))
        command = [sys.executable, "-m", "lineside", "run", "-c", str(configuration)]
        with running(command, directory) as process:
            wait_for(port, process, directory / "output")
            yield cls(port, process, directory / "journal.db")


class Starlette(Server):
    """One process of uvicorn with an application of Starlette."""

    name = "starlette"
    events = "SELECT COUNT(*) FROM event"

    @classmethod
    @contextlib.contextmanager
    def start(cls, directory: Path, kind: str) -> Iterator[Server]:
        """Start it in an empty directory."""
        port = free_port()
        database = directory / "events.db"
        command = [sys.executable, str(SERVICES / "peer.py"), str(port), str(database)]
        with running(command, directory) as process:
            wait_for(port, process, directory / "output")
            yield cls(port, process, database)


class Sink(Server):
    """Answers at once and stores nothing: what the generator can do."""

    name = "sink"

    @classmethod
    @contextlib.contextmanager
    def start(cls, directory: Path, kind: str) -> Iterator[Server]:
        """Start it."""
        with running([sys.executable, str(SERVICES / "sink.py"), STATUS[kind]], directory) as process:
            deadline = time.monotonic() + START_WITHIN
            while not (said := (directory / "output").read_text()).endswith("\n"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Unfit(f"the sink did not start: {said}")
                time.sleep(0.02)
            yield cls(int(said), process, directory)

    def stored(self) -> None:
        """Return nothing: it keeps none."""


def measure(
    server: type[Lineside | Starlette | Sink], kind: str, connections: int, seconds: float, within: Path
) -> dict[str, Any]:
    """Run the generator once against a fresh server in a fresh directory, and check what was stored."""
    with (
        tempfile.TemporaryDirectory(prefix=f"{server.name}-", dir=within) as directory,
        server.start(Path(directory), kind) as started,
    ):
        plan = {
            "port": started.port,
            "kind": kind,
            "connections": connections,
            "warm_up": WARM_UP,
            "seconds": seconds,
        }
        used = started.processor_seconds()
        generator = subprocess.run(
            [sys.executable, str(SERVICES / "generator.py"), json.dumps(plan)],
            capture_output=True,
            text=True,
            timeout=WARM_UP + seconds + 90,
            check=False,
        )
        if generator.returncode:
            reason = generator.stderr.strip().splitlines()
            raise Unfit(f"{server.name}: {reason[-1] if reason else 'the generator failed'}")
        result: dict[str, Any] = json.loads(generator.stdout)
        result["cpu_us"] = 1_000_000 * (started.processor_seconds() - used) / result["answered"]
        stored = started.stored()
        expected = result["answered"] if kind == "post" else 0
        if stored is not None and stored != expected:
            raise Unfit(f"{server.name} acknowledged {expected} events and holds {stored}")
    result["per_second"] = result["counted"] / result["seconds"]
    return result


def median_of(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure."""

    def median(name: str) -> float:
        return float(statistics.median(result[name] for result in results))

    return {
        "per_second": round(median("per_second")),
        "runs": [round(result["per_second"]) for result in results],
        "cpu_us": round(median("cpu_us"), 1),
        "generator_busy": median("busy"),
        "p50_ms": round(median("p50_ms"), 3),
        "p99_ms": round(median("p99_ms"), 3),
    }


def compare(
    kinds: list[str], connections: int, seconds: float, within: Path, tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Measure each kind of request, Lineside and its peer in turn, and the generator's own bound."""
    rows = []
    for kind in kinds:
        tell(f"{SHOWN[kind]}: the generator alone")
        bound = measure(Sink, kind, connections, min(seconds, 2.0), within)
        runs: dict[str, list[dict[str, Any]]] = {"lineside": [], "starlette": []}
        for number in range(1, ROUNDS + 1):
            for server in (Lineside, Starlette):
                result = measure(server, kind, connections, seconds, within)
                runs[server.name].append(result)
                tell(f"{SHOWN[kind]}: {server.name} {number}/{ROUNDS}: {result['per_second']:,.0f} requests/s")
        lineside, starlette = median_of(runs["lineside"]), median_of(runs["starlette"])
        rows.append(
            {
                "kind": kind,
                "connections": connections,
                "generator_per_second": round(bound["per_second"]),
                "lineside": lineside,
                "starlette": starlette,
                "ratio": round(lineside["per_second"] / starlette["per_second"], 2),
                "cpu_ratio": round(starlette["cpu_us"] / lineside["cpu_us"], 2),
                "goal": GOALS[kind],
            }
        )
    return rows


def table(about: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Return the result for a person."""
    disk = f"fdatasync p50 {about['fdatasync_p50_ms']} ms, p99 {about['fdatasync_p99_ms']} ms"
    system = f"Linux {about['kernel']}, Python {about['python']}, {about['file_system']}"
    head = ("", "Lineside/s", "Starlette/s", "ratio", "goal", "generator/s", "busy")
    lines = [
        f"{about['cores']} cores ({about['cpu']}, load {about['load_average']} before), {system}, {disk}",
        f"{about['lineside']}; " + ", ".join(f"{name} {about[name]}" for name in PEERS),
        f"{rows[0]['connections']} keep-alive connections with a request each; medians of {ROUNDS} runs in turn",
        "",
        "{:>14}  {:>11}  {:>11}  {:>6}  {:>5}  {:>11}  {:>11}".format(*head),
    ]
    for row in rows:
        busy = f"{row['lineside']['generator_busy']:.0%} / {row['starlette']['generator_busy']:.0%}"
        lines.append(
            f"{SHOWN[row['kind']]:>14}  "
            f"{row['lineside']['per_second']:>11,}  {row['starlette']['per_second']:>11,}  "
            f"{row['ratio']:>6.2f}  {row['goal']:>5.2f}  {row['generator_per_second']:>11,}  {busy:>11}"
        )
        lines += [
            f"{name:>14}  p50 {row[name]['p50_ms']:.2f} ms, p99 {row[name]['p99_ms']:.2f} ms, "
            f"{row[name]['cpu_us']:.0f} µs of a processor for each"
            for name in ("lineside", "starlette")
        ]
    lines += [
        "",
        "generator/s: what the generator reaches against a server that answers at once and stores nothing.",
        "busy: the generator's share of a processor while it measured Lineside / Starlette.",
    ]
    return "\n".join(lines)


def kinds_of(text: str) -> list[str]:
    """Read ``get,post``."""
    kinds = [part.strip().lower() for part in text.split(",")]
    if not set(kinds) <= set(KINDS):
        raise argparse.ArgumentTypeError(f"{text!r} is not get, post or get,post")
    return kinds


def main() -> None:
    """Run the comparison; exit 1 where it cannot be made."""
    parser = argparse.ArgumentParser(
        description="Compare HTTP requests a second: Lineside against uvicorn and Starlette.",
        epilog="Example: python benchmarks/http_services.py --seconds 2 --requests get",
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="measured seconds of each run (default 5)")
    parser.add_argument("--requests", type=kinds_of, default="get,post", help="get,post (default: both)")
    parser.add_argument("--connections", type=int, default=64, help="keep-alive connections (default 64)")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where the data goes: a real disk")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    arguments = parser.parse_args()
    if not 0 < arguments.seconds <= 600:
        parser.error("--seconds must be above 0 and 600 at most")
    if not 1 <= arguments.connections <= 1_000:
        parser.error("--connections must be from 1 to 1000")
    try:
        within = arguments.directory.resolve(strict=True)
        about = machine(within, {name: version(name) for name in PEERS})
        rows = compare(
            arguments.requests,
            arguments.connections,
            arguments.seconds,
            within,
            lambda progress: print(progress, file=sys.stderr, flush=True),
        )
    except KeyboardInterrupt:
        sys.exit(130)
    except (Unfit, OSError, subprocess.TimeoutExpired) as unfit:
        print(f"http_services: {unfit}", file=sys.stderr)
        sys.exit(1)
    if arguments.json:
        settings = {"rounds": ROUNDS, "seconds": arguments.seconds}
        print(json.dumps({**settings, "machine": about, "requests": rows}, indent=2))
    else:
        print(table(about, rows))


if __name__ == "__main__":
    main()
