"""Documents a second into a Frappe site: the gateway against a bare Agent loop, batches, CPU and pacing.

The site is the stand-in; the gateway is ``lineside run`` with a backlog in its journal. What is counted are the
rows of the stand-in's own file. See README.md.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from delivery.plant import (
    Load,
    Templates,
    copy,
    cpu_seconds,
    created,
    finish,
    gateway,
    loader,
    make_templates,
    settled,
    standin,
    wait_for_first,
)
from durable_lines import Unfit, file_system, free_port, processor, sync_times, version

ROUNDS = 3
SERVICE_TIME = 0.02
CONCURRENCY = 4
"""The product's default."""
WIDE = 8
BATCHES = (50, 200)
WORKERS = 4
"""Of the stand-in that slows down under load."""
FIXED = (2, 4, 8, 16)
MOST = 16
"""What the adaptive gateway may use against `FIXED`."""
STEADY_AFTER = 1.0
LEARNT_AFTER = 6.0
"""Seconds after the first document before anything is measured: a gateway begins with two deliveries at a time."""
FASTEST = 5_000
"""Documents a second that the backlog must suffice for."""
MEMORY = Path("/dev/shm")
"""Where the stand-in's file lies, for a real site has a disk of its own; the gateway's lies on this one."""
REACHED = 0.95
"""A gateway has learnt once it does this share of the rate that is measured later."""


class Case(msgspec.Struct, frozen=True):
    """One thing to measure."""

    name: str
    load: Load
    workers: int = 0
    """Of the stand-in; 0 for enough."""

    @property
    def learns(self) -> bool:
        """Whether its rate is found by trying."""
        return self.load.by == "gateway"


class Figures(msgspec.Struct, frozen=True):
    """What one run showed."""

    per_second: float
    cpu_ms: float
    """The load's processor time for each document, in milliseconds."""
    busy: float
    """The load's share of a processor."""
    standin_busy: float
    """The stand-in's."""
    learning: float | None
    """Seconds from the first document until the rate was reached; None where nothing is learnt."""


def cases() -> list[Case]:
    """Return what is measured, in the order of a round."""
    sides = [Case(f"{by} x {wide}", Load(by, wide)) for wide in (CONCURRENCY, WIDE) for by in ("gateway", "agent")]
    batches = [Case(f"gateway x {CONCURRENCY}, batch {n}", Load("gateway", CONCURRENCY, n)) for n in BATCHES]
    targets = [Case(f"target x {CONCURRENCY}, batch {n}", Load("target", CONCURRENCY, n)) for n in (1, BATCHES[0])]
    pacing = [Case(f"fixed {n}", Load("fixed", n), WORKERS) for n in FIXED]
    return [*sides, *batches, *targets, *pacing, Case("adaptive", Load("gateway", MOST), WORKERS)]


def measure(case: Case, templates: Templates, seconds: float, within: Path) -> Figures:
    """Run a load once against a fresh stand-in, and compare its books with the stand-in's.

    Raises:
        Unfit: they differ, or the backlog ran dry.

    """
    with (
        tempfile.TemporaryDirectory(prefix="delivery-", dir=within) as name,
        tempfile.TemporaryDirectory(prefix="erp-", dir=MEMORY if MEMORY.is_dir() else within) as elsewhere,
    ):
        directory, far, erp = Path(name), Path(elsewhere), free_port()
        copy(templates.erp, far)
        options = ["--service-time", str(SERVICE_TIME), "--workers", str(case.workers)]
        with contextlib.ExitStack() as stack:
            site = stack.enter_context(standin(far, erp, *options))
            gated = case.load.by in {"gateway", "fixed"}
            if gated:
                copy(templates.journal, directory)
            process = stack.enter_context((gateway if gated else loader)(directory, erp, case.load))
            wait_for_first(far, process, directory / "output")
            time.sleep(LEARNT_AFTER if case.learns else STEADY_AFTER)
            before = time.time(), cpu_seconds(process), cpu_seconds(site)
            time.sleep(seconds)
            after = time.time(), cpu_seconds(process), cpu_seconds(site)
            finish(process)
            said = (directory / "output").read_text(errors="replace")
            finish(site)
        rows = created(far)
        claimed = settled(directory) if gated else int(said.split()[-1])
    if claimed != len(rows):
        raise Unfit(f"{case.name}: {claimed} documents are said to be delivered, the stand-in holds {len(rows)}")
    if gated and len(rows) == templates.backlog:
        raise Unfit(f"{case.name}: the backlog of {templates.backlog} lines ran dry")
    elapsed, used, served = (late - early for early, late in zip(before, after, strict=True))
    documents = _between(rows, before[0], after[0])
    if not documents:
        raise Unfit(f"{case.name}: no document came while it was measured")
    rate = documents / elapsed
    return Figures(
        per_second=rate,
        cpu_ms=1_000 * used / documents,
        busy=used / elapsed,
        standin_busy=served / elapsed,
        learning=_learning(rows, rate) if case.learns else None,
    )


def _between(rows: list[float], start: float, end: float) -> int:
    return bisect.bisect_left(rows, end) - bisect.bisect_left(rows, start)


def _learning(rows: list[float], rate: float) -> float:
    """Return how long after the first document the rate was first reached, over one second."""
    start = rows[0]
    while _between(rows, start, start + 1) < REACHED * rate and start < rows[-1]:
        start += 0.1
    return start - rows[0]


def median_of(runs: list[Figures]) -> dict[str, Any]:
    """Return the median of each figure."""

    def median(name: str, digits: int) -> float | None:
        values = [getattr(run, name) for run in runs if getattr(run, name) is not None]
        return round(statistics.median(values), digits) if values else None

    return {
        "per_second": median("per_second", 1),
        "runs": [round(run.per_second, 1) for run in runs],
        "cpu_ms": median("cpu_ms", 3),
        "busy": median("busy", 3),
        "standin_busy": median("standin_busy", 3),
        "learning_seconds": median("learning", 1),
    }


def verdicts(results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is compared, with the goals."""

    def rate(name: str) -> float:
        return float(results[name]["per_second"])

    best = max((f"fixed {number}" for number in FIXED), key=rate)
    rows = [
        (f"gateway against bare Agent, {wide} at a time", rate(f"gateway x {wide}") / rate(f"agent x {wide}"), 0.95)
        for wide in (CONCURRENCY, WIDE)
    ]
    single = rate(f"gateway x {CONCURRENCY}")
    rows += [
        (f"batches of {n} against singles", rate(f"gateway x {CONCURRENCY}, batch {n}") / single, 5.0)
        for n in BATCHES
    ]
    rows.append((f"adaptive against the best fixed ({best})", rate("adaptive") / rate(best), 0.9))
    return [
        {"what": what, "ratio": round(ratio, 3), "goal": goal, "reached": ratio >= goal}
        for what, ratio, goal in rows
    ]


def machine(within: Path) -> dict[str, Any]:
    """Return what the figures depend on."""
    p50, p99 = sync_times(within)
    return {
        "cores": os.cpu_count(),
        "cpu": processor(),
        "load_average": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file_system": file_system(within),
        "fdatasync_p50_ms": p50,
        "fdatasync_p99_ms": p99,
        "lineside": version([sys.executable, "-m", "lineside", "--version"]),
    }


def compare(
    chosen: list[Case], seconds: float, within: Path, tell: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Measure every case in turn, and that three times."""
    runs: dict[str, list[Figures]] = {case.name: [] for case in chosen}
    with tempfile.TemporaryDirectory(prefix="templates-", dir=within) as directory:
        backlog = int(FASTEST * (LEARNT_AFTER + seconds + 3))
        tell(f"a backlog of {backlog:,} lines")
        templates = make_templates(Path(directory), backlog)
        for number in range(1, ROUNDS + 1):
            for case in chosen:
                figures = measure(case, templates, seconds, within)
                runs[case.name].append(figures)
                tell(
                    f"{case.name} {number}/{ROUNDS}: {figures.per_second:,.0f} documents/s, "
                    f"the stand-in busy {figures.standin_busy:.0%}"
                )
    return {name: median_of(figures) for name, figures in runs.items()}


def table(about: dict[str, Any], results: dict[str, dict[str, Any]], compared: list[dict[str, Any]]) -> str:
    """Return the result for a person."""
    disk = f"fdatasync p50 {about['fdatasync_p50_ms']} ms, p99 {about['fdatasync_p99_ms']} ms"
    system = f"Linux {about['kernel']}, Python {about['python']}, {about['file_system']}"
    head = ("", "documents/s", "CPU ms/document", "busy", "stand-in busy", "learnt in")
    lines = [
        f"{about['cores']} cores ({about['cpu']}, load {about['load_average']} before), {system}, {disk}",
        f"{about['lineside']}; service time {1_000 * SERVICE_TIME:.0f} ms; medians of {ROUNDS} runs in turn",
        f"fixed and adaptive (at most {MOST}): a stand-in with {WORKERS} workers; all others: with enough",
        "",
        "{:>24}  {:>11}  {:>15}  {:>6}  {:>13}  {:>9}".format(*head),
    ]
    for name, row in results.items():
        learning = row["learning_seconds"]
        learnt = "" if learning is None else f"{learning:.1f} s"
        lines.append(
            f"{name:>24}  {row['per_second']:>11,.1f}  {row['cpu_ms']:>15.2f}  {row['busy']:>6.0%}  "
            f"{row['standin_busy']:>13.0%}  {learnt:>9}"
        )
    lines += ["", *(f"{row['what']}: {row['ratio']:.2f} (goal {row['goal']:g})" for row in compared)]
    lines += ["", "busy: the share of a processor. The stand-in is one process; near 100% it is the limit."]
    return "\n".join(lines)


def main() -> None:
    """Run the comparison; exit 1 where it cannot be made."""
    parser = argparse.ArgumentParser(
        description="Measure deliveries into the stand-in: rate, batches, CPU, and what adaptive pacing finds.",
        epilog="Example: python benchmarks/frappe_delivery.py --seconds 2",
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="measured seconds of each run (default 4)")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where the data goes: a real disk")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    arguments = parser.parse_args()
    if not 1 <= arguments.seconds <= 60:
        parser.error("--seconds must be from 1 to 60")

    def tell(progress: str) -> None:
        print(progress, file=sys.stderr, flush=True)

    try:
        within = arguments.directory.resolve(strict=True)
        about = machine(within)
        results = compare(cases(), arguments.seconds, within, tell)
        compared = verdicts(results)
    except KeyboardInterrupt:
        sys.exit(130)
    except (Unfit, OSError, subprocess.TimeoutExpired) as unfit:
        print(f"frappe_delivery: {unfit}", file=sys.stderr)
        sys.exit(1)
    if arguments.json:
        settings = {"rounds": ROUNDS, "seconds": arguments.seconds, "service_time": SERVICE_TIME}
        print(json.dumps({**settings, "machine": about, "cases": results, "compared": compared}, indent=2))
    else:
        print(table(about, results, compared))


if __name__ == "__main__":
    main()
