"""From a device's line to the callback of a page's script in Chromium, as a distribution.

The whole product: ``lineside run`` with its synced journal, and in Chromium a page with the SDK that npm has as
``centrifuge``. See README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from durable_lines import Unfit
from fan_out import EVENTS, READERS, TOKEN, gateway, machine, median_of

HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parent / "frontend/node_modules/centrifuge/dist/centrifuge.js"
ROUNDS = 5
WARM_UP = 1_000
"""Lines that are not counted: the page's script is compiled while they come."""
FIRST = 10**8
"""The number of the first line."""
FOLLOW = """
async ([url, token, lines]) => {
  // The wall clock ticks in milliseconds, the page's own in tenths: at a tick both are known.
  let ahead = Infinity
  for (let tick = 0; tick < 100; tick++) {
    const before = Date.now()
    while (Date.now() === before);
    ahead = Math.min(ahead, Date.now() - performance.now())
  }
  window.came = new Float64Array(lines)
  window.numbers = []
  const client = new Centrifuge(url, { token })
  const subscription = client.newSubscription('events:gate')
  subscription.on('publication', ({ data }) => {
    const now = performance.now()
    window.came[window.numbers.length] = now + ahead
    window.numbers.push(data.event.number)
  })
  subscription.subscribe()
  client.connect()
  await subscription.ready()
}
"""
COME = "lines => window.numbers.length >= lines"
SHARES = (50, 90, 99, 99.9)


def measure(browser: Browser, clients: int, seconds: float, within: Path) -> dict[str, Any]:
    """Send lines to a fresh gateway, and return how old each was in the page's callback."""
    lines = WARM_UP + round(EVENTS * seconds)
    with (
        tempfile.TemporaryDirectory(prefix="browser-", dir=within) as directory,
        gateway(Path(directory)) as started,
    ):
        page = browser.new_page()
        try:
            page.goto(f"http://127.0.0.1:{started.port}/healthz")
            page.evaluate(BUNDLE.read_text(encoding="utf-8"))
            page.evaluate(FOLLOW, [f"ws://127.0.0.1:{started.port}/connection/websocket", TOKEN, lines])
            plan = {
                "port": started.port,
                "lines_port": started.publish_port,
                "token": TOKEN,
                "clients": clients,
                "rate": EVENTS,
                "messages": lines,
            }
            beside = sent(plan)
            page.wait_for_function(COME, arg=lines, timeout=15_000)
            numbers, came = page.evaluate("[window.numbers, [...window.came]]")
        finally:
            page.close()
    if numbers != list(range(FIRST, FIRST + lines)):
        raise Unfit(f"of {lines} events the page had {len(numbers)}, or not in their order")
    due = [1_000 * (beside["began"] + number / EVENTS) for number in range(lines)]
    late = sorted(at - each for at, each in list(zip(came, due, strict=True))[WARM_UP:])
    return {"page": distribution(late), "beside": beside["percentiles_ms"]}


def sent(plan: dict[str, Any]) -> dict[str, Any]:
    """Let the device send, and the clients beside see all of it."""
    command = [sys.executable, str(HERE / "live" / "lines.py"), json.dumps(plan)]
    device = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if device.returncode:
        raise Unfit(f"the device: {device.stderr.strip().splitlines()[-1:]}")
    result: dict[str, Any] = json.loads(device.stdout)
    return result


def distribution(late: list[float]) -> dict[str, float]:
    """Return percentiles of what is sorted."""
    told = {f"p{share}": round(late[min(int(share / 100 * len(late)), len(late) - 1)], 1) for share in SHARES}
    return {**told, "max": round(late[-1], 1)}


def through(seconds: float, within: Path, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Measure with so many clients beside, each of them in turn, and that several times."""
    found: dict[int, list[dict[str, Any]]] = {clients: [] for clients in READERS}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            for number in range(1, ROUNDS + 1):
                for clients in READERS:
                    result = measure(browser, clients, seconds, within)
                    result["load"] = round(os.getloadavg()[0], 1)
                    found[clients].append(result)
                    tell(f"{clients} beside {number}/{ROUNDS}, load {result['load']}: {result['page']}")
        finally:
            browser.close()
    return [
        {
            "clients": clients,
            **{name: median_of([each["page"][name] for each in runs], 1) for name in runs[0]["page"]},
            "runs_p99": sorted(each["page"]["p99"] for each in runs),
            "beside": {name: median_of([each["beside"][name] for each in runs], 1) for name in runs[0]["beside"]},
            "load": sorted(each["load"] for each in runs),
        }
        for clients, runs in found.items()
    ]


def table(result: dict[str, Any]) -> str:
    """Return the result for a person."""
    about = result["machine"]
    lines = [
        f"{about['cores']} cores ({about['cpu']}), Linux {about['kernel']}, Python {about['python']}",
        f"{result['chromium']}; load {about['load_average']} before, {result['load_average_after']} after",
        f"from a device's line to the page's callback, {EVENTS:,} events a second, medians of {ROUNDS} runs, ms",
    ]
    lines += ["  ".join(f"{name} {value}" for name, value in row.items()) for row in result["through"]]
    return "\n".join(lines)


def main() -> None:
    """Measure; exit 1 where it cannot be done."""
    parser = argparse.ArgumentParser(
        description="Measure how old an event is in the callback of a page in Chromium.",
        epilog="Example: python benchmarks/browser_latency.py --seconds 2 --json",
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="measured seconds of each run (default 5)")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where the journal goes: a real disk")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    arguments = parser.parse_args()
    if not 0 < arguments.seconds <= 60:
        parser.error("--seconds must be above 0 and 60 at most")

    def tell(progress: str) -> None:
        print(progress, file=sys.stderr, flush=True)

    try:
        chromium = shutil.which("chromium")
        if chromium is None:
            raise Unfit("there is no Chromium: apt-get install chromium")
        if not BUNDLE.exists():
            raise Unfit("the SDK is not installed: make dashboard")
        within = arguments.directory.resolve(strict=True)
        about = subprocess.run([chromium, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        result: dict[str, Any] = {"machine": machine(), "chromium": about, "seconds": arguments.seconds}
        result["through"] = through(arguments.seconds, within, tell)
        result["load_average_after"] = [round(each, 2) for each in os.getloadavg()]
    except KeyboardInterrupt:
        sys.exit(130)
    except (Unfit, OSError, subprocess.SubprocessError) as unfit:
        print(f"browser_latency: {unfit}", file=sys.stderr)
        sys.exit(1)
    print(json.dumps(result, indent=2) if arguments.json else table(result))


if __name__ == "__main__":
    main()
