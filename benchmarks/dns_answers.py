"""DNS answers a second: Lineside, the stock server of twisted.names and dnsmasq, side by side.

All get the same questions over UDP on loopback from the same generator, a process of its own. Lineside is the whole
product, ``lineside run``, with its zone, its rate limit and its networks looked at for each. See README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from durable_lines import HERE, ROUNDS, WARM_UP, Unfit, free_port, machine, running, wait_for

NAMES = HERE / "names"
sys.path.insert(0, str(NAMES))
from asking import address  # noqa: E402 (its folder is no package)

GOALS = {"stock": 5.0, "dnsmasq": 1.0}
TICKS = os.sysconf("SC_CLK_TCK")

CONFIGURATION = """\
[journal]
path = "journal.db"

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
document = {{ item = "{{{{ item }}}}" }}

[dns]
zone = "plant.example"
listen = "tcp:{port}:interface=127.0.0.1"
rate_limit = 100_000_000
"""
RECORD = """
[[dns.records]]
name = "gate{number:04}"
type = "A"
value = "{address}"
when = {{ source = "idle" }}
"""


def address_text(number: int) -> str:
    """Return the address of a name."""
    return str(IPv4Address(address(number)))


def lineside(directory: Path, port: int, names: int) -> list[str]:
    """Return the command of a gateway whose names stand and fall with a source."""
    records = (RECORD.format(number=number, address=address_text(number)) for number in range(names))
    configuration = directory / "lineside.toml"
    configuration.write_text(CONFIGURATION.format(port=port) + "".join(records))
    return [sys.executable, "-m", "lineside", "run", "-c", str(configuration)]


def stock(directory: Path, port: int, names: int) -> list[str]:
    """Return the command of the server that comes with Twisted."""
    return [sys.executable, str(NAMES / "stock.py"), str(port), str(names)]


def dnsmasq(directory: Path, port: int, names: int) -> list[str]:
    """Return the command of a dnsmasq that has the names as hosts, asks nobody, and logs nothing."""
    program = shutil.which("dnsmasq") or shutil.which("dnsmasq", path="/usr/sbin")
    if program is None:
        raise Unfit("dnsmasq is not installed: apt-get install dnsmasq-base")
    hosts = [f"--host-record=gate{number:04}.plant.example,{address_text(number)},300" for number in range(names)]
    return [
        program,
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--no-daemon",
        "--user=",
        "--pid-file=",
        f"--port={port}",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--local=/plant.example/",
        *hosts,
    ]


def sink(directory: Path, port: int, names: int) -> list[str]:
    """Return the command of what answers at once and looks nothing up."""
    return [sys.executable, str(NAMES / "sink.py"), str(port)]


SERVERS = {"lineside": lineside, "stock": stock, "dnsmasq": dnsmasq}


@contextlib.contextmanager
def started(
    name: str, command_of: Callable[[Path, int, int], list[str]], names: int, within: Path
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a server in a fresh directory; give its port and its process."""
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=within) as made:
        directory, port = Path(made), free_port()
        with running(command_of(directory, port, names), directory) as process:
            # All of them listen over TCP too, and have their datagrams by then or a moment later.
            wait_for(port, process, directory / "output")
            yield port, process


def measure(
    name: str, command_of: Callable[[Path, int, int], list[str]], plan: dict[str, Any], within: Path
) -> dict[str, Any]:
    """Run the generator once against a fresh server."""
    with started(name, command_of, plan["names"], within) as (port, process):
        used = processor_seconds(process)
        generator = subprocess.run(
            [sys.executable, str(NAMES / "asking.py"), json.dumps({**plan, "port": port})],
            capture_output=True,
            text=True,
            timeout=plan["seconds"] + 60,
            check=False,
        )
        if generator.returncode:
            reason = generator.stderr.strip().splitlines()
            raise Unfit(f"{name}: {reason[-1] if reason else 'the generator failed'}")
        result: dict[str, Any] = json.loads(generator.stdout)
        if not result["counted"]:
            raise Unfit(f"{name} answered nothing")
        result["cpu_us"] = 1_000_000 * (processor_seconds(process) - used) / result["answered"]
    result["per_second"] = result["counted"] / result["seconds"]
    return result


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return what a process used of the processors so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def median_of(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure."""

    def median(name: str) -> float:
        return float(statistics.median(result[name] for result in results))

    return {
        "per_second": round(median("per_second")),
        "runs": [round(result["per_second"]) for result in results],
        "cpu_us": round(median("cpu_us"), 2),
        "generator_busy": median("busy"),
        "lost": sum(result["lost"] for result in results),
    }


def compare(plan: dict[str, Any], within: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure all servers in turn, and the generator's own bound."""
    tell("the generator alone")
    bound = measure("sink", sink, {**plan, "exact": False, "window": 512}, within)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in SERVERS}
    for number in range(1, ROUNDS + 1):
        for name, command_of in SERVERS.items():
            result = measure(name, command_of, plan, within)
            runs[name].append(result)
            tell(f"{name} {number}/{ROUNDS}: {result['per_second']:,.0f} answers/s")
    medians = {name: median_of(results) for name, results in runs.items()}
    ours = medians["lineside"]
    return {
        **medians,
        "generator_per_second": round(bound["per_second"]),
        "generator_alone_busy": bound["busy"],
        "ratios": {name: round(ours["per_second"] / medians[name]["per_second"], 2) for name in GOALS},
        "cpu_ratios": {name: round(medians[name]["cpu_us"] / ours["cpu_us"], 2) for name in GOALS},
        "goals": GOALS,
    }


def table(about: dict[str, Any], plan: dict[str, Any], result: dict[str, Any]) -> str:
    """Return the result for a person."""
    lines = [
        (
            f"{about['cores']} cores ({about['cpu']}, load {about['load_average']} before), Linux {about['kernel']}"
            f", Python {about['python']}, Twisted {about['twisted']}, {about['dnsmasq']}"
        ),
        (
            f"{plan['names']} names, {plan['sockets']} sockets with {plan['window']} questions under way on each; "
            f"medians of {ROUNDS} runs in turn"
        ),
        "",
        f"{'':>10}  {'answers/s':>10}  {'ratio':>6}  {'goal':>5}  {'µs of a cpu':>12}  {'busy':>5}  {'lost':>5}",
    ]
    for name in SERVERS:
        row = result[name]
        ratio = f"{result['ratios'][name]:.2f}" if name in GOALS else ""
        goal = f"{GOALS[name]:.2f}" if name in GOALS else ""
        lines.append(
            f"{name:>10}  {row['per_second']:>10,}  {ratio:>6}  {goal:>5}  {row['cpu_us']:>12.2f}  "
            f"{row['generator_busy']:>5.0%}  {row['lost']:>5}"
        )
    return "\n".join(
        [
            *lines,
            "",
            (
                f"The generator alone, with 512 under way on each, against what looks nothing up: "
                f"{result['generator_per_second']:,} answers/s, busy {result['generator_alone_busy']:.0%}."
            ),
            "busy: the generator's share of a processor. ratio: Lineside's rate to this one's.",
        ]
    )


def main() -> None:
    """Run the comparison; exit 1 where it cannot be made."""
    parser = argparse.ArgumentParser(
        description="Compare DNS answers a second: Lineside against twisted.names and dnsmasq.",
        epilog="Example: python benchmarks/dns_answers.py --seconds 2",
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="measured seconds of each run (default 5)")
    parser.add_argument("--names", type=int, default=256, help="different names that are asked (default 256)")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where the journal goes: a real disk")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    arguments = parser.parse_args()
    if not 0 < arguments.seconds <= 600:
        parser.error("--seconds must be above 0 and 600 at most")
    if not 4 <= arguments.names <= 4_000:
        parser.error("--names must be from 4 to 4000")
    plan = {
        "names": arguments.names,
        "sockets": 4,
        "window": 64,
        "warm_up": WARM_UP,
        "seconds": arguments.seconds,
    }
    try:
        within = arguments.directory.resolve(strict=True)
        program = dnsmasq(within, 0, 0)[0]
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        about = machine(within, {"twisted": version("twisted"), "dnsmasq": " ".join(said.split()[:3])})
        result = compare(plan, within, lambda progress: print(progress, file=sys.stderr, flush=True))
    except KeyboardInterrupt:
        sys.exit(130)
    except (Unfit, OSError, subprocess.TimeoutExpired) as unfit:
        print(f"dns_answers: {unfit}", file=sys.stderr)
        sys.exit(1)
    if arguments.json:
        settings = {"rounds": ROUNDS, **plan}
        print(json.dumps({**settings, "machine": about, "dns": result}, indent=2))
    else:
        print(table(about, plan, result))


if __name__ == "__main__":
    main()
