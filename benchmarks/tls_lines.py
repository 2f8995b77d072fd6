"""What TLS costs: durable lines over TLS against plain ones, and handshakes against bare Twisted, in one run.

The gateway is the whole product, ``lineside run``, with a certificate that ``lineside pki`` made. The load is that
of `durable_lines`, with TLS or without. Handshakes are compared with those of an echo behind Twisted's own
``SSL4ServerEndpoint`` with the same certificate. See README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from durable_lines import (
    HERE,
    ROUNDS,
    WARM_UP,
    Lineside,
    Sink,
    Unfit,
    machine,
    measure,
    median_of,
    processor_seconds,
    running,
    shapes_of,
    started_on,
)

SHAPES = "8x4000,64x64,64x1"
AT_A_TIME = 4
"""Processes that make connections, one at a time each: the server makes one after the other anyhow."""
GOALS = {"lines": 0.7, "handshakes": 0.9}
TLS = """
[tls.bench]
certificate = "{certificate}"
key = "{key}"
"""


def certified(within: Path) -> tuple[Path, Path, Path]:
    """Make a certificate for this machine; return the files of the CA, the certificate and its key."""
    for words in (["init", "--name", "Bench"], ["issue", "gateway", "--host", "127.0.0.1"]):
        command = [sys.executable, "-m", "lineside", "pki", *words]
        done = subprocess.run(command, cwd=within, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise Unfit(f"lineside pki {words[0]}: {done.stderr.strip()}")
    return within / "pki/ca.pem", within / "pki/gateway.pem", within / "pki/gateway.key"


class Echo:
    """Twisted's own TLS, and an echo behind it."""

    shows: tuple[str, str]

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process

    @classmethod
    @contextlib.contextmanager
    def start(cls, directory: Path) -> Iterator[Echo]:
        """Start it."""
        with running([sys.executable, str(HERE / "tls" / "echo.py"), *cls.shows], directory) as process:
            yield cls(started_on(process, directory / "output"), process)


def handshakes(server: type[Lineside | Echo], authority: Path, seconds: float, within: Path) -> dict[str, Any]:
    """Count the handshakes that a fresh server makes."""
    with (
        tempfile.TemporaryDirectory(prefix="handshakes-", dir=within) as directory,
        server.start(Path(directory)) as started,
    ):
        plan = {
            "port": started.port,
            "authority": str(authority),
            "at_a_time": AT_A_TIME,
            "warm_up": WARM_UP,
            "seconds": seconds,
            "server": started.process.pid,
        }
        used = processor_seconds(started.process)
        load = subprocess.run(
            [sys.executable, str(HERE / "tls" / "handshakes.py"), json.dumps(plan)],
            capture_output=True,
            text=True,
            timeout=WARM_UP + seconds + 90,
            check=False,
        )
        if load.returncode:
            reason = load.stderr.strip().splitlines()
            raise Unfit(f"handshakes with {server.__name__}: {reason[-1] if reason else 'the load failed'}")
        used = processor_seconds(started.process) - used
    result: dict[str, Any] = json.loads(load.stdout)
    return {
        "per_second": result["counted"] / seconds,
        "processor_us": 1e6 * used / max(1, result["made"]),
        "server_busy": result["server_busy"],
        "load_us": 1e6 * result["used"],
    }


def compared(
    measured: Mapping[str, Callable[[], dict[str, Any]]],
    what: str,
    tell: Callable[[str], None],
    summary: Callable[[list[dict[str, Any]]], dict[str, Any]] = median_of,
) -> dict[str, dict[str, Any]]:
    """Measure each side in turn, several times; return the medians."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in measured}
    for number in range(1, ROUNDS + 1):
        for name, measure_once in measured.items():
            result = measure_once()
            runs[name].append(result)
            tell(f"{what}: {name} {number}/{ROUNDS}: {result['per_second']:,.0f}/s")
    return {name: summary(results) for name, results in runs.items()}


def medians_of_handshakes(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure."""
    medians = {name: statistics.median(result[name] for result in results) for name in results[0]}
    return {
        **{name: round(value, 2) for name, value in medians.items()},
        "runs": [round(result["per_second"]) for result in results],
    }


def compare(
    shapes: list[tuple[int, int]], seconds: float, within: Path, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Measure all."""
    with tempfile.TemporaryDirectory(prefix="pki-", dir=within) as made:
        authority, certificate, key = certified(Path(made))
        shown = (str(certificate), str(key))
        secured = {
            "dedupe": 'tls = "bench"',
            "further": TLS.format(certificate=certificate, key=key),
            "authority": str(authority),
        }
        gateway = type("SecuredLineside", (Lineside,), secured)
        sink = type("SecuredSink", (Sink,), {"shows": shown, "authority": str(authority)})
        echo = type("TwistedEcho", (Echo,), {"shows": shown})
        rows = []
        for shape in shapes:
            name = f"{shape[0]} x {shape[1]}"
            tell(f"{name}: the load alone")
            bound = measure(sink, shape, min(seconds, 2.0), within)
            sides = {"tls": partial(measure, gateway), "plain": partial(measure, Lineside)}
            measured = {side: partial(of, shape, seconds, within) for side, of in sides.items()}
            medians = compared(measured, name, tell)
            rows.append(
                {
                    "connections": shape[0],
                    "in_flight": shape[1],
                    "load_per_second": round(bound["per_second"]),
                    **medians,
                    "ratio": round(medians["tls"]["per_second"] / medians["plain"]["per_second"], 2),
                }
            )
        servers: dict[str, type[Lineside | Echo]] = {"lineside": gateway, "twisted": echo}
        measured = {
            side: partial(handshakes, server, authority, seconds, within) for side, server in servers.items()
        }
        medians = compared(measured, "handshakes", tell, medians_of_handshakes)
    return {
        "shapes": rows,
        "handshakes": {
            **medians,
            "ratio": round(medians["lineside"]["per_second"] / medians["twisted"]["per_second"], 2),
        },
    }


def table(about: dict[str, Any], found: dict[str, Any]) -> str:
    """Return the result for a person."""
    head = ("connections x in flight", "TLS/s", "plain/s", "ratio", "us a line", "load/s", "load busy")
    form = "{:>24}  {:>11}  {:>11}  {:>6}  {:>13}  {:>11}  {:>11}"
    system = f"Linux {about['kernel']}, Python {about['python']}, {about['openssl']}, {about['file_system']}"
    lines = [
        f"{about['cores']} cores ({about['cpu']}, load {about['load_average']} before), {system}",
        f"fdatasync p50 {about['fdatasync_p50_ms']} ms",
        f"{about['lineside']}; medians of {ROUNDS} runs in turn",
        "",
        form.format(*head),
    ]
    for row in found["shapes"]:
        both = row["tls"], row["plain"]
        lines.append(
            form.format(
                f"{row['connections']} x {row['in_flight']:,}",
                *(f"{each['per_second']:,}" for each in both),
                f"{row['ratio']:.2f}",
                " / ".join(f"{each['processor_us']:.2f}" for each in both),
                f"{row['load_per_second']:,}",
                " / ".join(f"{each['generator_busy']:.0%}" for each in both),
            )
        )
        lines += [
            f"{side:>24}  p50 {row[side]['p50_ms']:.2f} ms, p99 {row[side]['p99_ms']:.2f} ms"
            for side in ("tls", "plain")
            if row[side]["p50_ms"] is not None
        ]
    made = found["handshakes"]
    lines += ["", f"handshakes, Lineside to Twisted: {made['ratio']:.2f}"]
    lines += [
        f"{side:>24}  {made[side]['per_second']:,.0f}/s, {made[side]['processor_us']:,.0f} us each, "
        f"busy {made[side]['server_busy']:.0%}; the load {made[side]['load_us']:,.0f} us each"
        for side in ("lineside", "twisted")
    ]
    lines += [
        "",
        f"Goals: {GOALS['lines']} of plain lines, {GOALS['handshakes']} of bare Twisted's handshakes.",
        "us a line: processor time of the server's process for each, user and system; so for each handshake.",
        "busy: share of the measured time in which the server's process was on a processor. Far from 100%",
        "the load was the limit, and the rates tell nothing.",
        "load/s: what the load reaches over TLS against a server in C's hands that stores nothing.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the comparison; exit 1 where it cannot be made."""
    parser = argparse.ArgumentParser(
        description="Compare durable lines over TLS with plain ones, and handshakes with bare Twisted's.",
        epilog="Example: python benchmarks/tls_lines.py --share 0.2 --shapes 64x64",
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the usual five seconds a run (default 1)")
    parser.add_argument("--seconds", type=float, help="measured seconds of each run; instead of --share")
    parser.add_argument(
        "--shapes", type=shapes_of, default=SHAPES, help=f"CONNECTIONSxIN_FLIGHT,... (default {SHAPES})"
    )
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where the data goes: a real disk")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    arguments = parser.parse_args()
    seconds = 5.0 * arguments.share if arguments.seconds is None else arguments.seconds
    if not 0 < seconds <= 600:
        parser.error("a run must take more than 0 seconds and 600 at most")

    def tell(progress: str) -> None:
        print(progress, file=sys.stderr, flush=True)

    try:
        within = arguments.directory.resolve(strict=True)
        from OpenSSL import SSL  # noqa: PLC0415

        about = machine(within, {"openssl": SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode()})
        found = compare(arguments.shapes, seconds, within, tell)
    except KeyboardInterrupt:
        sys.exit(130)
    except (Unfit, OSError, subprocess.TimeoutExpired) as unfit:
        print(f"tls_lines: {unfit}", file=sys.stderr)
        sys.exit(1)
    if arguments.json:
        print(json.dumps({"rounds": ROUNDS, "seconds": seconds, "machine": about, **found}, indent=2))
    else:
        print(table(about, found))


if __name__ == "__main__":
    main()
