"""Make the documentation's pictures of the dashboard: ``make screenshots``.

The pictures are of a plant at work whose ERP refuses some documents, as it stands half a minute after its start.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.rig.running_plant import EMPLOYEES, RunningPlant

SECONDS = 75
SIZE = (1180, 800)
PHONE = (390, 844)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def work(plant: RunningPlant, seconds: float) -> None:
    """Let badges be held to readers and stock be counted, some of it by people whom the ERP does not know."""
    random = Random(7)
    ends = time.monotonic() + seconds
    number = 0
    while time.monotonic() < ends:
        number += 1
        stranger = number in {9, 40, 90}
        employee = "HR-EMP-00071" if stranger else f"HR-EMP-{random.randint(1, EMPLOYEES):05}"
        plant.check_in(employee, reader=f"gate-{random.randint(1, 4)}")
        if random.random() < 0.4:
            item = f"{random.randint(1, 400):05}"
            plant.send("shelf", reader=f"scanner-{random.randint(1, 3)}", item=item, qty=random.randint(1, 60))
        if number == 60:
            plant.send_line("shelf", '{"scan_id": "torn", "reader": "scanner-2", "item": "001')
        time.sleep(random.expovariate(6 + 3 * (number % 80 > 40)))


def take(browser: Browser, plant: RunningPlant, folder: Path) -> None:
    """Take every picture, light and dark."""
    seq = plant.check_in("HR-EMP-00007", reader="gate-1")
    for scheme in SCHEMES:
        page = opened(browser, plant, scheme, SIZE)
        # The picture's dots move only while something comes.
        for _ in range(6):
            work(plant, 1)
            page.wait_for_timeout(100)
        page.screenshot(path=folder / f"dashboard-{scheme}.png")
        page.goto(f"/#/events/{seq}")
        expect(page.get_by_text("delivered", exact=True)).to_be_visible()
        page.screenshot(path=folder / f"story-{scheme}.png", clip={"x": 0, "y": 0, "width": SIZE[0], "height": 560})
        page.goto("/#/dead-letters")
        page.get_by_label("Select dead letter 1", exact=True).check()
        page.screenshot(
            path=folder / f"dead-letters-{scheme}.png", clip={"x": 0, "y": 0, "width": SIZE[0], "height": 560}
        )
        page.context.close()
    for scheme in SCHEMES:
        page = opened(browser, plant, scheme, PHONE)
        work(plant, 2)
        page.screenshot(path=folder / f"phone-{scheme}.png")
        page.context.close()


def opened(browser: Browser, plant: RunningPlant, scheme: Literal["light", "dark"], size: tuple[int, int]) -> Page:
    """Open the dashboard."""
    context = browser.new_context(
        base_url=plant.url, color_scheme=scheme, viewport={"width": size[0], "height": size[1]}
    )
    page = context.new_page()
    page.goto("/")
    expect(page.get_by_role("heading", name="Over time")).to_be_visible()
    return page


def main() -> None:
    """Make the pictures in the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    program = shutil.which("chromium")
    if program is None:
        sys.exit("this needs Debian's Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as directory:
        plant = RunningPlant(Path(directory))
        try:
            plant.start()
            work(plant, SECONDS)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
                take(browser, plant, folder)
                browser.close()
        finally:
            plant.stop()


if __name__ == "__main__":
    main()
