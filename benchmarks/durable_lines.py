"""Lines acknowledged after they are synced to disk: Lineside against Redis Streams, side by side.

Both get the same lines from the same generator, a process of its own, over loopback TCP. Lineside is the whole
product: ``lineside run`` with a source of lines. Redis is ``redis-server`` with ``appendonly yes`` and
``appendfsync always``, and each line is one XADD. Neither answers before its disk has the line. See README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROUNDS = 3
WARM_UP = 1.0
SHAPES = "8x4000,64x64,64x1"
START_WITHIN = 30.0


class Unfit(Exception):
    """The comparison cannot be made here; ``str()`` is the line to show."""


def free_port() -> int:
    """Return a loopback port that is free at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    """Return when something listens on the port.

    Raises:
        Unfit: it ended instead, or took too long; with the last line it wrote.

    """
    deadline = time.monotonic() + START_WITHIN
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            said = output.read_text(errors="replace").strip().splitlines()
            raise Unfit(f"{process.args!r} did not start: {said[-1] if said else 'it said nothing'}")
        time.sleep(0.01)


def started_on(process: subprocess.Popen[bytes], output: Path) -> int:
    """Return the port that a server prints when it serves.

    Raises:
        Unfit: it ended instead, or took too long.

    """
    deadline = time.monotonic() + START_WITHIN
    while not (said := output.read_text()).endswith("\n"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unfit(f"{process.args!r} did not start: {said}")
        time.sleep(0.02)
    return int(said)


@contextlib.contextmanager
def running(command: list[str], directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server; it is ended when the block ends, however it ends."""
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Redis:
    """A private ``redis-server`` that syncs its append-only file before it answers, and does nothing else."""

    name = "redis"
    wire = "redis"
    authority: str | None = None

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process

    @classmethod
    @contextlib.contextmanager
    def start(cls, directory: Path) -> Iterator[Redis]:
        """Start it in an empty directory."""
        program = shutil.which("redis-server")
        if program is None:
            raise Unfit("redis-server is not installed: apt-get install redis-server")
        port = free_port()
        settings = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(directory),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            # Redis' favour: no rewriting of the growing file while it is measured.
            "auto-aof-rewrite-percentage": "0",
        }
        arguments = [part for key, value in settings.items() for part in (f"--{key}", value)]
        with running([program, *arguments], directory) as process:
            wait_for(port, process, directory / "output")
            yield cls(port, process)

    def stored(self) -> int:
        """Return the stream's length."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(b"XLEN lines\r\n")
            return int(connection.makefile("rb").readline().strip().removeprefix(b":"))


class Lineside:
    """A gateway with the journal's defaults and a source that neither dedupes nor is read."""

    name = "lineside"
    wire = "lines"
    routed = "idle"
    dedupe = ""
    further = ""
    authority: str | None = None
    """The file with the CA of what it shows; None where it speaks no TLS."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], journal: Path) -> None:
        self.port = port
        self.process = process
        self._journal = journal

    @classmethod
    @contextlib.contextmanager
    def start(cls, directory: Path) -> Iterator[Lineside]:
        """Start it in an empty directory."""
        port = free_port()
        configuration = directory / "lineside.toml"
        text = CONFIGURATION.format(port=port, routed=cls.routed, dedupe=cls.dedupe)
        configuration.write_text(text + cls.further)
        command = [sys.executable, "-m", "lineside", "run", "-c", str(configuration)]
        with running(command, directory) as process:
            wait_for(port, process, directory / "output")
            yield cls(port, process, directory / "journal.db")

    def stored(self) -> int:
        """Stop the gateway, and return how many events its journal holds."""
        self.process.terminate()
        if self.process.wait(30) != 0:
            raise Unfit(f"the gateway exited with {self.process.returncode}")
        with contextlib.closing(sqlite3.connect(f"file:{self._journal}?mode=ro", uri=True)) as database:
            (stored,) = database.execute("SELECT TOTAL(last - first + 1) FROM segment").fetchone()
            return int(stored)


CONFIGURATION = """\
[journal]
path = "journal.db"

[sources.bench]
type = "lines"
listen = "tcp:{port}:interface=127.0.0.1"
format = "json"
ack = true
{dedupe}

# The measured lines have no reader, as Redis' stream has none, unless --route gives them this one:
# to an ERP that is away, for nothing listens on port 9.
[sources.idle]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

[routes.count]
sources = ["{routed}"]
doctype = "Stock Count"
[routes.count.document]
item = "{{{{ item }}}}"
"""


class RoutedLineside(Lineside):
    """A gateway whose measured lines wait for an ERP that is away."""

    routed = "bench"


class Sink:
    """Answers at once and stores nothing: what the generator can do."""

    name = "sink"
    wire = "lines"
    shows: tuple[str, ...] = ()
    """The files of its certificate and key, where it speaks TLS."""
    authority: str | None = None

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process

    @classmethod
    @contextlib.contextmanager
    def start(cls, directory: Path) -> Iterator[Sink]:
        """Start it."""
        with running([sys.executable, str(HERE / "lines" / "sink.py"), *cls.shows], directory) as process:
            yield cls(started_on(process, directory / "output"), process)

    def stored(self) -> None:
        """Return nothing: it keeps none."""


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return how long a running process was on a processor, in all threads, user and system (proc(5))."""
    # The program's name, in brackets, may hold blanks; behind it user's and system's time are the 12th and 13th.
    figures = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(figures[11]) + int(figures[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    server: type[Redis | Lineside | Sink], shape: tuple[int, int], seconds: float, within: Path
) -> dict[str, Any]:
    """Run the generator once against a fresh server in a fresh directory, and check what was stored."""
    connections, in_flight = shape
    with (
        tempfile.TemporaryDirectory(prefix=f"{server.name}-", dir=within) as directory,
        server.start(Path(directory)) as started,
    ):
        plan = {
            "port": started.port,
            "wire": started.wire,
            "connections": connections,
            "in_flight": in_flight,
            "warm_up": WARM_UP,
            "seconds": seconds,
            "timed": in_flight == 1,
            "authority": started.authority,
        }
        used = processor_seconds(started.process)
        generator = subprocess.run(
            [sys.executable, str(HERE / "lines" / "generator.py"), json.dumps(plan)],
            capture_output=True,
            text=True,
            timeout=WARM_UP + seconds + 90,
            check=False,
        )
        if generator.returncode:
            reason = generator.stderr.strip().splitlines()
            raise Unfit(f"{server.name}: {reason[-1] if reason else 'the generator failed'}")
        result: dict[str, Any] = json.loads(generator.stdout)
        used = processor_seconds(started.process) - used
        stored = started.stored()
        if stored is not None and stored != result["answered"]:
            raise Unfit(f"{server.name} acknowledged {result['answered']} lines and holds {stored}")
    result["per_second"] = result["counted"] / result["seconds"]
    result["processor_us"] = 1e6 * used / result["answered"]
    return result


def median_of(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure."""

    def median(name: str) -> float | None:
        values = [result[name] for result in results if result[name] is not None]
        return round(statistics.median(values), 3) if values else None

    return {
        "per_second": round(median("per_second") or 0.0),
        "runs": [round(result["per_second"]) for result in results],
        "processor_us": median("processor_us"),
        "generator_busy": median("busy"),
        "p50_ms": median("p50_ms"),
        "p99_ms": median("p99_ms"),
    }


def sync_times(within: Path, writes: int = 200) -> tuple[float, float]:
    """Return median and 99th percentile of ``fdatasync`` after 4 KiB appended, in milliseconds."""
    times = []
    with tempfile.TemporaryFile(dir=within, buffering=0) as file:
        for _ in range(writes):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(1_000 * (time.perf_counter() - began))
    times.sort()
    return round(times[len(times) // 2], 3), round(times[int(len(times) * 0.99)], 3)


def file_system(within: Path) -> str:
    """Return the type of the file system a directory lies on, as the kernel names it."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    holding = [(mount[1], mount[2]) for mount in mounts if within.is_relative_to(mount[1])]
    return max(holding, key=lambda mount: len(mount[0]))[1]


def machine(within: Path, peers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what the figures depend on; ``peers`` are the versions of what is compared, Redis if not given."""
    kind = file_system(within)
    if kind in {"tmpfs", "ramfs"}:
        raise Unfit(f"{within} is in memory ({kind}): name a directory on a disk with --directory")
    p50, p99 = sync_times(within)
    return {
        "cores": os.cpu_count(),
        "cpu": processor(),
        "load_average": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file_system": kind,
        "fdatasync_p50_ms": p50,
        "fdatasync_p99_ms": p99,
        **({"redis": version(["redis-server", "--version"])} if peers is None else peers),
        "lineside": version([sys.executable, "-m", "lineside", "--version"]),
    }


def processor() -> str:
    """Return the processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def version(command: list[str]) -> str:
    """Return what a program says of its version."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except FileNotFoundError:
        raise Unfit(f"{command[0]} is not installed: apt-get install redis-server") from None


def compare(
    shapes: list[tuple[int, int]],
    seconds: float,
    within: Path,
    gateway: type[Lineside],
    tell: Callable[[str], None],
    peer: type[Redis] = Redis,
) -> list[dict[str, Any]]:
    """Measure every shape, Lineside and Redis in turn, and the generator's own bound."""
    rows = []
    for shape in shapes:
        name = f"{shape[0]} x {shape[1]}"
        tell(f"{name}: the generator alone")
        bound = measure(Sink, shape, min(seconds, 2.0), within)
        runs: dict[str, list[dict[str, Any]]] = {"lineside": [], "redis": []}
        for number in range(1, ROUNDS + 1):
            for server in (gateway, peer):
                result = measure(server, shape, seconds, within)
                runs[server.name].append(result)
                tell(f"{name}: {server.name} {number}/{ROUNDS}: {result['per_second']:,.0f} lines/s")
        lineside, redis = median_of(runs["lineside"]), median_of(runs["redis"])
        rows.append(
            {
                "connections": shape[0],
                "in_flight": shape[1],
                "line_bytes": bound["line_bytes"],
                "generator_per_second": round(bound["per_second"]),
                "lineside": lineside,
                "redis": redis,
                "ratio": round(lineside["per_second"] / redis["per_second"], 2),
            }
        )
    return rows


def table(about: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Return the result for a person."""
    disk = f"fdatasync p50 {about['fdatasync_p50_ms']} ms, p99 {about['fdatasync_p99_ms']} ms"
    system = f"Linux {about['kernel']}, Python {about['python']}, {about['file_system']}"
    head = ("connections x in flight", "Lineside/s", "Redis/s", "ratio", "us a line", "generator/s", "busy")
    lines = [
        f"{about['cores']} cores ({about['cpu']}, load {about['load_average']} before), {system}, {disk}",
        f"{about['lineside']}; {about['redis']}",
        f"lines of {rows[0]['line_bytes']} bytes, acknowledged once synced; medians of {ROUNDS} runs in turn",
        "",
        "{:>24}  {:>11}  {:>11}  {:>6}  {:>13}  {:>11}  {:>11}".format(*head),
    ]
    for row in rows:
        shape = f"{row['connections']} x {row['in_flight']:,}"
        busy = f"{row['lineside']['generator_busy']:.0%} / {row['redis']['generator_busy']:.0%}"
        processor = f"{row['lineside']['processor_us']:.2f} / {row['redis']['processor_us']:.2f}"
        lines.append(
            f"{shape:>24}  {row['lineside']['per_second']:>11,}  {row['redis']['per_second']:>11,}  "
            f"{row['ratio']:>6.2f}  {processor:>13}  {row['generator_per_second']:>11,}  {busy:>11}"
        )
        lines += [
            f"{name:>24}  p50 {row[name]['p50_ms']:.2f} ms, p99 {row[name]['p99_ms']:.2f} ms"
            for name in ("lineside", "redis")
            if row[name]["p50_ms"] is not None
        ]
    lines += [
        "",
        "us a line: processor time that the process of Lineside / Redis spent on each, user and system.",
        "generator/s: what the generator reaches against a server that answers at once and stores nothing.",
    ]
    lines += ["busy: the generator's share of a processor while it measured Lineside / Redis."]
    return "\n".join(lines)


def shapes_of(text: str) -> list[tuple[int, int]]:
    """Read ``8x4000,64x1`` as connections and lines in flight."""
    shapes = []
    for part in text.split(","):
        connections, _, in_flight = part.strip().partition("x")
        if not (connections.isdecimal() and in_flight.isdecimal() and int(connections) and int(in_flight)):
            raise argparse.ArgumentTypeError(f"{part!r} is not CONNECTIONSxIN_FLIGHT, such as 64x1")
        shapes.append((int(connections), int(in_flight)))
    return shapes


def main() -> None:
    """Run the comparison; exit 1 where it cannot be made."""
    parser = argparse.ArgumentParser(
        description="Compare durable lines a second: Lineside against Redis Streams with appendfsync always.",
        epilog="Example: python benchmarks/durable_lines.py --seconds 2 --shapes 64x64,64x1",
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="measured seconds of each run (default 5)")
    parser.add_argument(
        "--shapes", type=shapes_of, default=SHAPES, help=f"CONNECTIONSxIN_FLIGHT,... (default {SHAPES})"
    )
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where the data goes: a real disk")
    parser.add_argument("--route", action="store_true", help="let the gateway's lines wait for an ERP that is away")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    arguments = parser.parse_args()
    if not 0 < arguments.seconds <= 600:
        parser.error("--seconds must be above 0 and 600 at most")

    def tell(progress: str) -> None:
        print(progress, file=sys.stderr, flush=True)

    try:
        within = arguments.directory.resolve(strict=True)
        about = machine(within)
        gateway = RoutedLineside if arguments.route else Lineside
        rows = compare(arguments.shapes, arguments.seconds, within, gateway, tell)
    except KeyboardInterrupt:
        sys.exit(130)
    except (Unfit, OSError, subprocess.TimeoutExpired) as unfit:
        print(f"durable_lines: {unfit}", file=sys.stderr)
        sys.exit(1)
    if arguments.json:
        settings = {"rounds": ROUNDS, "seconds": arguments.seconds, "route": arguments.route}
        print(json.dumps({**settings, "machine": about, "shapes": rows}, indent=2))
    else:
        print(table(about, rows))


if __name__ == "__main__":
    main()
