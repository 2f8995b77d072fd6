"""Deliveries a second to many clients of live channels: Lineside beside socket.io as Frappe uses it, and nchan.

One load for all, a process of its own, over loopback TCP. Lineside is the whole product: ``lineside run`` with
``[live]`` and a namespace in which clients publish. See README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt

from durable_lines import Redis, Unfit, free_port, processor, running, version, wait_for

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".tools" / "peers"
ROUNDS = 3
WARM_UP = 0.5
CLIENTS = "100,1000,5000"
BURST = 16
IN_FLIGHT = 8
"""Single messages on their way at a time, where they come as a flow."""
BOUND = 70.0
"""Milliseconds, of the 99th percentile in the paced loop."""
LADDER = [round(20 * 1.25**step) for step in range(25)]
"""Messages a second that the paced loop tries, up to the first that takes too long each time."""
ATTEMPTS = 3
PACED_TO = 1_000
"""Clients of the paced loop."""
EVENTS = 1_000
"""A second, from devices."""
READERS = (1, 10, 50)
"""Clients that see each of them."""
JWT_KEY = "fan-out-fan-out-fan-out-fan-out-"
TOKEN = jwt.encode({"sub": "bench", "meta": {"role": "operator"}}, JWT_KEY, algorithm="HS256")

CONFIGURATION = """\
[journal]
path = "journal.db"

[http]
listen = "tcp:{live}:interface=127.0.0.1"

[live]
jwt_key = "{key}"

[channels.pub]

[sources.gate]
type = "lines"
listen = "tcp:{lines}:interface=127.0.0.1"
format = "json"

[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

# Nothing is measured of what goes to an ERP: this route reads a source that gets nothing.
[sources.idle]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[routes.count]
sources = ["idle"]
doctype = "Stock Count"
[routes.count.document]
item = "{{{{ item }}}}"
"""

NGINX = """\
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off;
master_process off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/errors;
events {{ worker_connections 12000; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  nchan_shared_memory_size 128M;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location = /subscribe {{ nchan_subscriber websocket; nchan_channel_id bench; }}
    location = /publish {{
      nchan_publisher websocket;
      nchan_channel_id bench;
      nchan_message_buffer_length 1000;
      nchan_message_timeout 10s;
    }}
  }}
}}
"""


class Started:
    """A server that runs."""

    def __init__(self, process: int, port: int, publish_port: int) -> None:
        self.process = process
        self.port = port
        self.publish_port = publish_port


@contextlib.contextmanager
def lineside(directory: Path) -> Iterator[Started]:
    """Run a gateway whose clients publish."""
    live, lines = free_port(), free_port()
    (directory / "lineside.toml").write_text(CONFIGURATION.format(live=live, lines=lines, key=JWT_KEY))
    command = [sys.executable, "-m", "lineside", "run", "-c", str(directory / "lineside.toml")]
    with running(command, directory) as process:
        wait_for(live, process, directory / "output")
        yield Started(process.pid, live, live)


@contextlib.contextmanager
def gateway(directory: Path) -> Iterator[Started]:
    """Run a gateway to which devices send lines."""
    live, lines = free_port(), free_port()
    (directory / "lineside.toml").write_text(CONFIGURATION.format(live=live, lines=lines, key=JWT_KEY))
    command = [sys.executable, "-m", "lineside", "run", "-c", str(directory / "lineside.toml")]
    with running(command, directory) as process:
        wait_for(live, process, directory / "output")
        wait_for(lines, process, directory / "output")
        yield Started(process.pid, live, lines)


@contextlib.contextmanager
def socket_io(directory: Path) -> Iterator[Started]:
    """Run socket.io with a subscription at a Redis of its own."""
    port = free_port()
    store = directory / "redis"
    store.mkdir()
    with Redis.start(store) as redis:
        command = [str(shutil.which("node")), str(PEERS / "server.mjs"), str(port), str(redis.port)]
        with running(command, directory) as process:
            wait_for(port, process, directory / "output")
            yield Started(process.pid, port, redis.port)


@contextlib.contextmanager
def nchan(directory: Path) -> Iterator[Started]:
    """Run nginx with nchan, in one process."""
    port = free_port()
    (directory / "nginx.conf").write_text(NGINX.format(port=port, directory=directory))
    command = [nginx(), "-p", str(directory), "-c", str(directory / "nginx.conf")]
    with running(command, directory) as process:
        wait_for(port, process, directory / "output")
        yield Started(process.pid, port, port)


SERVERS = {"lineside": lineside, "socket.io": socket_io, "nchan": nchan, "gateway": gateway}


def nginx() -> str:
    """Return the program; Debian puts it where only root's PATH looks."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None or not Path("/usr/lib/nginx/modules/ngx_nchan_module.so").exists():
        raise Unfit("nchan is not installed: apt-get install nginx libnginx-mod-nchan")
    return found


def install_peers() -> None:
    """Put socket.io where it runs from, at the versions that peers/package-lock.json pins.

    Raises:
        Unfit: there is no Node.js, or no registry.

    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Unfit("socket.io needs Node.js with npm: apt-get install nodejs npm")
    PEERS.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "peers" / "server.mjs", PEERS)
    lock = HERE / "peers" / "package-lock.json"
    there = PEERS / "package-lock.json"
    if (PEERS / "node_modules").exists() and there.exists() and there.read_bytes() == lock.read_bytes():
        return
    there.unlink(missing_ok=True)
    shutil.copy(HERE / "peers" / "package.json", PEERS)
    shutil.copy(lock, PEERS / "locked")
    (PEERS / "locked").rename(there)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=PEERS, capture_output=True, text=True, check=False)
    if done.returncode:
        there.unlink()
        raise Unfit(f"npm could not install socket.io: {done.stderr.strip().splitlines()[-1:]}")


def measure(
    name: str,
    clients: int,
    burst: int,
    seconds: float,
    within: Path,
    rates: list[float] | None = None,
    attempts: int = 1,
    in_flight: int = 1,
) -> dict[str, Any]:
    """Run the load once against a fresh server."""
    with (
        tempfile.TemporaryDirectory(prefix=f"{name}-", dir=within) as directory,
        SERVERS[name](Path(directory)) as started,
    ):
        plan = {
            "wire": name,
            "port": started.port,
            "publish_port": started.publish_port,
            "server": started.process,
            "token": TOKEN,
            "clients": clients,
            "burst": burst,
            "in_flight": in_flight,
            "warm_up": WARM_UP,
            "seconds": seconds,
            "rates": rates or [],
            "bound_ms": BOUND,
            "attempts": attempts,
        }
        load = subprocess.run(
            [sys.executable, str(HERE / "live" / "load.py"), json.dumps(plan)],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if load.returncode:
            reason = load.stderr.strip().splitlines()
            raise Unfit(f"{name}: {reason[-1] if reason else 'the load failed'}")
        result: dict[str, Any] = json.loads(load.stdout)
        return result


def median_of(values: list[float], digits: int = 2) -> float:
    """Return the median, rounded."""
    return round(statistics.median(values), digits)


def saturated(
    names: list[str],
    shape: tuple[int, int, int],
    seconds: float,
    within: Path,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Measure deliveries a second, one server after the other, and that three times."""
    clients, burst, in_flight = shape
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(1, ROUNDS + 1):
        for name in names:
            result = measure(name, clients, burst, seconds, within, in_flight=in_flight)
            runs[name].append(result["steps"][0] | {"kib_a_client": result["kib_a_client"]})
            tell(
                f"{clients} clients, {burst} at once, {in_flight} in flight: {name} {number}/{ROUNDS}: "
                f"{told(runs[name][-1])}"
            )
    row: dict[str, Any] = {"clients": clients, "burst": burst, "in_flight": in_flight}
    for name, results in runs.items():
        row[name] = {
            "per_second": round(statistics.median(each["per_second"] for each in results)),
            "runs": [round(each["per_second"]) for each in results],
            **{
                key: median_of([each[key] for each in results])
                for key in ("server_us", "server_busy", "load_busy", "kib_a_client")
            },
        }
    return row


def told(step: dict[str, Any]) -> str:
    """Return one measurement as words."""
    return (
        f"{step['per_second']:,.0f} deliveries/s, {step['server_us']:.1f} µs each "
        f"(server busy {step['server_busy']:.0%}, load busy {step['load_busy']:.0%})"
    )


def paced(names: list[str], seconds: float, within: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Find the highest rate whose p99 stays under the bound, for each server in turn, and that three times."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(1, ROUNDS + 1):
        for name in names:
            rates = [float(rate) for rate in LADDER]
            steps = measure(name, PACED_TO, 1, seconds, within, rates, ATTEMPTS)["steps"]
            good = [step for step in steps if step["percentiles_ms"]["p99"] < BOUND]
            best = good[-1] if good else steps[0] | {"rate": 0.0}
            found[name].append(best)
            tell(
                f"paced, {PACED_TO} clients: {name} {number}/{ROUNDS}: {best['rate']:,.0f} messages/s, "
                f"p99 {best['percentiles_ms']['p99']} ms, {told(best)}"
            )
    return {
        name: {
            "rate": round(statistics.median(each["rate"] for each in results)),
            "runs": [round(each["rate"]) for each in results],
            "p99_ms": median_of([each["percentiles_ms"]["p99"] for each in results], 1),
            **{
                key: median_of([each[key] for each in results]) for key in ("server_us", "server_busy", "load_busy")
            },
        }
        for name, results in found.items()
    }


def through(seconds: float, within: Path, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Measure the time from a device's line to clients' sockets, through the synced journal."""
    rows = []
    for clients in READERS:
        runs = []
        for number in range(1, ROUNDS + 1):
            (step,) = measure("gateway", clients, 1, seconds, within, [float(EVENTS)])["steps"]
            runs.append(step)
            tell(f"from line to {clients} clients {number}/{ROUNDS}: {step['percentiles_ms']}")
        rows.append(
            {
                "clients": clients,
                **{
                    name: median_of([each["percentiles_ms"][name] for each in runs], 1)
                    for name in runs[0]["percentiles_ms"]
                },
                "runs_p99": sorted(each["percentiles_ms"]["p99"] for each in runs),
                **{key: median_of([each[key] for each in runs]) for key in ("server_busy", "load_busy")},
            }
        )
    return rows


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "cpu": processor(),
        "load_average": [round(each, 2) for each in os.getloadavg()],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "lineside": version([sys.executable, "-m", "lineside", "--version"]),
        "redis": version(["redis-server", "--version"]),
    }


def table(result: dict[str, Any]) -> str:
    """Return the result for a person."""
    about = result["machine"]
    lines = [
        f"{about['cores']} cores ({about['cpu']}), Linux {about['kernel']}, Python {about['python']}",
        f"load {about['load_average']} before, {result['load_average_after']} after",
        f"{about['lineside']}; medians of {ROUNDS} runs in turn; messages of 200 bytes",
    ]
    for row in result["saturated"]:
        lines += ["", f"{row['clients']:,} clients, {row['burst']} at once, {row['in_flight']} times in flight"]
        for name in (name for name in SERVERS if name in row):
            ratio = row["lineside"]["per_second"] / row[name]["per_second"]
            lines.append(
                f"{name:>12}  {told(row[name])}, {row[name]['kib_a_client']:.1f} KiB a client"
                + ("" if name == "lineside" else f"; Lineside is {ratio:.2f} of it")
            )
    if result["paced"]:
        lines += ["", f"{PACED_TO:,} clients, highest rate whose p99 is below {BOUND:.0f} ms"]
        for name, row in result["paced"].items():
            lines.append(f"{name:>12}  {row['rate']:,} messages/s, p99 {row['p99_ms']} ms; runs {row['runs']}")
    if result["through"]:
        lines += ["", f"from a device's line to clients, {EVENTS:,} events a second, ms"]
        for row in result["through"]:
            lines.append("  ".join(f"{name} {value}" for name, value in row.items()))
    return "\n".join(lines)


PARTS = ("single", "flow", "burst", "paced", "through")


def main() -> None:
    """Run the comparison; exit 1 where it cannot be made."""
    parser = argparse.ArgumentParser(
        description="Compare fan-out to WebSocket clients: Lineside, socket.io as Frappe uses it, nchan.",
        epilog="Example: python benchmarks/fan_out.py --seconds 2 --clients 1000 --parts single,burst",
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="measured seconds of each run (default 3)")
    parser.add_argument("--clients", default=CLIENTS, help=f"(default {CLIENTS})")
    parser.add_argument("--servers", default="lineside,socket.io,nchan", help="(default all)")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"(default {','.join(PARTS)})")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where the journal goes: a real disk")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    arguments = parser.parse_args()
    if not 0 < arguments.seconds <= 60:
        parser.error("--seconds must be above 0 and 60 at most")
    parts, names = arguments.parts.split(","), arguments.servers.split(",")
    if not set(parts) <= set(PARTS) or not {"lineside"} <= set(names) <= {"lineside", "socket.io", "nchan"}:
        parser.error("--parts or --servers names what is not there, or leaves lineside out")

    def tell(progress: str) -> None:
        print(progress, file=sys.stderr, flush=True)

    try:
        counts = [int(each) for each in arguments.clients.split(",")]
        within = arguments.directory.resolve(strict=True)
        if "socket.io" in names:
            install_peers()
        result: dict[str, Any] = {"machine": machine(), "seconds": arguments.seconds, "rounds": ROUNDS}
        began = time.monotonic()
        shapes = {"single": (1, 1), "flow": (1, IN_FLIGHT), "burst": (BURST, 1)}
        result["saturated"] = [
            saturated(names, (clients, *shape), arguments.seconds, within, tell)
            for part, shape in shapes.items()
            for clients in ([PACED_TO] if part == "flow" else counts)
            if part in parts
        ]
        result["paced"] = paced(names, arguments.seconds, within, tell) if "paced" in parts else {}
        result["through"] = through(arguments.seconds, within, tell) if "through" in parts else []
        result["load_average_after"] = [round(each, 2) for each in os.getloadavg()]
        result["took"] = round(time.monotonic() - began)
    except KeyboardInterrupt:
        sys.exit(130)
    except (Unfit, OSError, ValueError, subprocess.TimeoutExpired) as unfit:
        print(f"fan_out: {unfit}", file=sys.stderr)
        sys.exit(1)
    print(json.dumps(result, indent=2) if arguments.json else table(result))


if __name__ == "__main__":
    main()
