"""Runs of tasks that are stored, done and stored again: Lineside against APScheduler, RQ and Celery, side by side.

The same task for all: it signs a sheet, and does nothing else. Measured are how fast runs are asked for, how fast
those that wait are done, both together, and how late one begins; then what a line listener and the reactor notice
while 10,000 runs are due. See README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from durable_lines import HERE, ROUNDS, Redis, Unfit, free_port, machine, version

TASKS = HERE / "tasks"
PEERS = HERE.parent / ".tools" / "task-peers"
LOCK = TASKS / "requirements.txt"
WITHIN = 300.0
GOALS = {"apscheduler": 3.0, "rq": 1.0, "celery": 1.0}
LAG_GOAL_MS = 20.0
DUE = 10_000
CONCURRENCY = 100
LATE = 100
DEVICES, EACH = 8, 0.01


PARTS = {
    "single": "asked for one by one, runs/s",
    "bulk": "asked for in bulk, runs/s",
    "execute": "done, of those that wait, runs/s",
    "through": "asked for in bulk and done, runs/s",
    "now": "late where asked for now, ms",
    "later": "late where asked for a second before, ms",
}


class Side:
    """One who does the runs.

    Args:
        shown: what it is called.
        script: in ``tasks/``.
        kind: of its worker.
        runs: how many there are in each measurement, so that it takes some seconds.
        parts: what is measured: not what is the same as another's.

    """

    def __init__(self, shown: str, script: str, kind: str, runs: int, parts: tuple[str, ...]) -> None:
        self.shown = shown
        self.script = TASKS / f"{script}_side.py"
        self.kind = kind
        self.runs = runs
        self.ours = script == "lineside"
        self.has_redis = script in {"rq", "celery"}
        self.parts = parts


TIMED = ("now", "later")
ALL = tuple(PARTS)
SIDES = {
    "lineside": Side("Lineside", "lineside", "", 10_000, ALL),
    "lineside-one": Side("Lineside, one at a time", "lineside", "one", 2_000, ("execute",)),
    # It has no way to add more than one at a time.
    "apscheduler": Side("APScheduler", "apscheduler", "", 2_000, tuple(part for part in ALL if part != "bulk")),
    "rq": Side("RQ, SimpleWorker", "rq", "simple", 2_000, ALL),
    "rq-forking": Side("RQ, Worker", "rq", "forking", 200, ("execute", "now")),
    "celery": Side("Celery, solo", "celery", "solo", 2_000, ALL),
    "celery-bare": Side(
        "Celery, solo, no results", "celery", "bare", 2_000, ("single", "bulk", "execute", "through")
    ),
    "celery-prefork": Side("Celery, prefork of 2", "celery", "prefork", 2_000, ("execute", "through", "now")),
}


def install_peers(within: Path = PEERS) -> None:
    """Put the peers into an environment of their own, at the versions that tasks/requirements.txt pins.

    Raises:
        Unfit: there is no registry.

    """
    there = within / "installed.txt"
    if there.exists() and there.read_bytes() == LOCK.read_bytes():
        return
    uv = [sys.executable, str(HERE.parent / "tools" / "bootstrap.py"), "uv"]
    python = str(within / "bin" / "python")
    for command in (
        [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(within)],
        [*uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(LOCK)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unfit(f"the peers could not be installed: {done.stderr.strip().splitlines()[-1:]}")
    there.write_bytes(LOCK.read_bytes())


def versions() -> dict[str, str]:
    """Return the peers' versions."""
    pinned = dict(line.split()[0].split("==") for line in LOCK.read_text().splitlines() if "==" in line)
    return {
        **{name: pinned[name] for name in ("apscheduler", "sqlalchemy", "rq", "celery", "redis", "hiredis")},
        "redis-server": version(["redis-server", "--version"]),
    }


def measure(side: Side, part: str, runs: int, within: Path) -> dict[str, Any]:
    """Do one part once, with new processes in an empty directory; every run must have been begun exactly once."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tasks-", dir=within)))
        redis = None
        if side.has_redis:
            store = directory / "redis"
            store.mkdir()
            redis = stack.enter_context(Redis.start(store))
        plan: dict[str, Any] = {
            "part": part,
            "kind": side.kind,
            "concurrency": 1 if side.kind == "one" else CONCURRENCY,
            "runs": runs,
            "directory": str(directory),
            "sheet": str(directory / "sheet"),
            "pace": 0.02,
            "ahead": 1.0,
            "port": 0 if redis is None else redis.port,
            "redis": 0 if redis is None else redis.process.pid,
        }
        environment = {
            **os.environ,
            "SHEET": plan["sheet"],
            "REDIS_PORT": str(plan["port"]),
            "KIND": side.kind,
            "PYTHONPATH": str(TASKS),
        }
        python = sys.executable if side.ours else str(PEERS / "bin" / "python")
        done = subprocess.run(
            [python, str(side.script), json.dumps(plan)],
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
            env=environment,
        )
        return result_of(side.shown, done)


def result_of(who: str, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return what a process printed.

    Raises:
        Unfit: it failed; with the last line it wrote.

    """
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise Unfit(f"{who}: {said[-1] if said else f'it exited with {done.returncode}'}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def beside(lasts: float, within: Path) -> dict[str, Any]:
    """Let `DUE` runs fall due at once beside devices that send lines; tell what they and the reactor noticed."""
    with tempfile.TemporaryDirectory(prefix="tasks-", dir=within) as name:
        port = free_port()
        plan = {
            "part": "beside",
            "runs": DUE,
            "directory": name,
            "sheet": str(Path(name) / "sheet"),
            "concurrency": CONCURRENCY,
            "lasts": lasts,
            "port": port,
        }
        gateway = subprocess.Popen(
            [sys.executable, str(TASKS / "lineside_side.py"), json.dumps(plan)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            devices = subprocess.run(
                [sys.executable, str(TASKS / "devices.py"), str(port), str(DEVICES), str(EACH)],
                capture_output=True,
                text=True,
                timeout=WITHIN,
                check=False,
            )
            out, err = gateway.communicate(timeout=WITHIN)
        finally:
            gateway.kill()
            gateway.wait()
    result = result_of("Lineside", subprocess.CompletedProcess(gateway.args, gateway.returncode, out, err))
    lines: list[tuple[int, float]] = result_of("the devices", devices)  # type: ignore[assignment]
    for span, (began, ended) in result.pop("spans").items():
        answered = sorted(seconds for moment, seconds in lines if began <= moment < ended)
        if not answered:
            raise Unfit(f"no line was answered while {span}")
        result.setdefault("lines", {})[span] = {
            "count": len(answered),
            "p50_ms": round(answered[len(answered) // 2] * 1e3, 3),
            "p99_ms": round(answered[min(len(answered) - 1, len(answered) * 99 // 100)] * 1e3, 3),
            "max_ms": round(answered[-1] * 1e3, 3),
        }
    return result


def median_of(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure, and the single rates."""
    figures: dict[str, Any] = {}
    for name, value in results[0].items():
        values = [result[name] for result in results]
        figures[name] = median_of(values) if isinstance(value, dict) else round(statistics.median(values), 3)
    if "per_second" in figures:
        figures["runs"] = [round(result["per_second"]) for result in results]
    return figures


def compare(
    names: list[str], parts: list[str], share: float, within: Path, tell: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Measure each part, all sides in turn, three times."""
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for part in parts:
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names if part in SIDES[name].parts}
        for number in range(1, ROUNDS + 1):
            for name, results in runs.items():
                count = LATE if part in TIMED else max(100, round(SIDES[name].runs * share))
                result = measure(SIDES[name], part, count, within)
                results.append(result)
                said = f"{result['p50_ms']} ms" if part in TIMED else f"{result['per_second']:,.0f}/s"
                tell(f"{PARTS[part].partition(',')[0]}: {SIDES[name].shown} {number}/{ROUNDS}: {said}")
        for name, results in runs.items():
            found[name][part] = median_of(results)
    return found


def ratios(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return how many times as fast Lineside is as each peer, by peer and part."""
    ours = found.get("lineside", {})
    return {
        name: {
            part: round(ours[part]["per_second"] / figures["per_second"], 2)
            for part, figures in theirs.items()
            if part not in TIMED and part in ours
        }
        for name, theirs in found.items()
        if not SIDES[name].ours
    }


def table(about: dict[str, Any], found: dict[str, dict[str, Any]], lag: dict[str, dict[str, Any]]) -> str:
    """Return the result for a person."""
    peers = ", ".join(f"{name} {about[name]}" for name in versions())
    disk = f"fdatasync p50 {about['fdatasync_p50_ms']} ms, p99 {about['fdatasync_p99_ms']} ms"
    system = f"Linux {about['kernel']}, Python {about['python']}, {about['file_system']}"
    load = f"load {about['load_average']} before, {about['load_after']} after"
    lines = [
        f"{about['cores']} cores ({about['cpu']}, {load}), {system}, {disk}",
        f"{about['lineside']}; {peers}",
        f"medians of {ROUNDS} runs in turn; µs: processor time for each run, of all processes, Redis' too",
    ]
    for part, shown in PARTS.items():
        rows = [(name, figures[part]) for name, figures in found.items() if part in figures]
        if not rows:
            continue
        lines += ["", shown]
        ours = found.get("lineside", {}).get(part)
        for name, figures in rows:
            if part in TIMED:
                lines.append(
                    f"{SIDES[name].shown:>26}  p50 {figures['p50_ms']:>10,.2f}  p99 {figures['p99_ms']:>10,.2f}  "
                    f"max {figures['max_ms']:>10,.2f}"
                )
                continue
            ratio = (
                "" if name == "lineside" or ours is None else f"{ours['per_second'] / figures['per_second']:.2f}"
            )
            more = f"{figures['cpu_us']:>8,.0f} µs" if "cpu_us" in figures else ""
            if "producer" in figures:
                more = f"all asked for after {figures['producer']:.0%} of the time"
            lines.append(f"{SIDES[name].shown:>26}  {figures['per_second']:>10,.0f}  {ratio:>6}  {more}")
    for name, figures in lag.items():
        lines += [
            "",
            f"{DUE:,} runs due at once, {CONCURRENCY} at a time, {name}: {figures['per_second']:,.0f}/s",
            "{:>26}  {:>30}  {:>30}".format("ms, p50 p99 max", "the reactor's lag", "a line to its answer"),
        ]
        for span in ("quiet", "asking", "running"):
            late, answered = figures["lag"][span], figures["lines"][span]
            lines.append(
                f"{span:>26}  {late['p50_ms']:>10.2f}{late['p99_ms']:>10.2f}{late['max_ms']:>10.2f}  "
                f"{answered['p50_ms']:>10.2f}{answered['p99_ms']:>10.2f}{answered['max_ms']:>10.2f}"
            )
        held = figures["lag"]["running"]["held"]
        lines.append(
            f"the reactor's thread worked {held['p50_ms']:.2f}, {held['p99_ms']:.2f}, {held['max_ms']:.2f} ms "
            "of processor time between two looks while they ran"
        )
        lines.append(f"the goal of the lag's p99 while they run is {LAG_GOAL_MS:g} ms")
    return "\n".join(lines)


def chosen(known: list[str]) -> Callable[[str], list[str]]:
    """Return what reads names divided by commas."""

    def read(text: str) -> list[str]:
        names = [part.strip() for part in text.split(",")]
        if not set(names) <= set(known):
            raise argparse.ArgumentTypeError(f"{text!r}: choose of {','.join(known)}")
        return names

    return read


def main() -> None:
    """Run the comparison; exit 1 where it cannot be made."""
    parts = [*PARTS, "beside"]
    parser = argparse.ArgumentParser(
        description="Compare durable runs of tasks: Lineside against APScheduler, RQ and Celery.",
        epilog="Example: python benchmarks/durable_tasks.py --share 0.2 --parts execute,beside",
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the usual numbers of runs (default 1)")
    parser.add_argument("--parts", type=chosen(parts), default=parts, help=f"of {','.join(parts)} (default: all)")
    parser.add_argument("--sides", type=chosen(list(SIDES)), default=list(SIDES), help="(default: all)")
    parser.add_argument("--seconds", type=float, help="taken as the share of five, for `make bench`")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where the data goes: a real disk")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    arguments = parser.parse_args()
    share = arguments.share if arguments.seconds is None else arguments.seconds / 5.0
    if not 0 < share <= 100:
        parser.error("--share must be above 0 and 100 at most")

    def tell(progress: str) -> None:
        print(progress, file=sys.stderr, flush=True)

    try:
        within = arguments.directory.resolve(strict=True)
        if not all(SIDES[name].ours for name in arguments.sides) and set(arguments.parts) != {"beside"}:
            install_peers()
        about = machine(within, versions())
        found = compare(arguments.sides, [part for part in arguments.parts if part in PARTS], share, within, tell)
        lag: dict[str, dict[str, Any]] = {}
        for lasts, shown in ((0.0, "which do nothing"), (0.01, "which wait for 10 ms")):
            if "beside" not in arguments.parts:
                break
            results = []
            for number in range(1, ROUNDS + 1):
                results.append(beside(lasts, within))
                tell(f"beside {shown} {number}/{ROUNDS}: lag p99 {results[-1]['lag']['running']['p99_ms']} ms")
            lag[shown] = median_of(results)
        about["load_after"] = round(os.getloadavg()[0], 2)
    except KeyboardInterrupt:
        sys.exit(130)
    except (Unfit, OSError, subprocess.TimeoutExpired) as unfit:
        print(f"durable_tasks: {unfit}", file=sys.stderr)
        sys.exit(1)
    if arguments.json:
        result = {
            "rounds": ROUNDS,
            "machine": about,
            "goals": {**GOALS, "lag_p99_ms": LAG_GOAL_MS},
            "sides": found,
            "ratios": ratios(found),
            "beside": lag,
        }
        print(json.dumps(result, indent=2))
    else:
        print(table(about, found, lag))


if __name__ == "__main__":
    main()
