"""Make the documentation's pictures of the dashboard: ``make screenshots``.

The pictures are of a plant at work whose ERP refuses some documents, as it stands half a minute after its start.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal, TypeVar

from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from tests.rig.file_plant import FilePlant
from tests.rig.forked import Nursery
from tests.rig.running_plant import CONFIGURATION, EMPLOYEES, RunningPlant

Plant = TypeVar("Plant", bound=RunningPlant)

ROOT = Path(__file__).parents[2]
SITE = "/opt/lineside/lib/python3.11/site-packages"
ETC = "/etc/lineside"
SECONDS = 75
SIZE = (1180, 800)
PHONE = (390, 844)
TASKS = """
[tasks.stock]
run = "yard:stock"
description = "Compares the shelves with the ERP's stock"
cron = "0 2 * * 1-5"

[tasks.prices]
run = "yard:prices"
description = "Copies price lists to the scales"
cron = "*/10 * * * *"
overlap = "queue"

[tasks.scales]
run = "yard:scales"
description = "Asks each scale whether it is well"
every = "3s"

[tasks.audit]
run = "yard:audit"
description = "Sends the day's weights to the auditor"
cron = "45 * * * *"
overlap = "queue"

[tasks.report]
run = "yard:report"
description = "Builds the report of the week"
cron = "0 6 * * 1"

[tasks.labels]
run = "yard:labels"
description = "Prints a label for what was counted"
on = "sources.shelf"
concurrency = 4
"""
CODE = """
from random import Random

random = Random(7)


async def stock(context):
    for shelf in range(1, 41):
        await context.sleep(0.8)
        context.log(f"shelf {shelf}: {random.randint(100, 400)} items agree")
        context.progress(shelf, 40, f"shelf {shelf}")


async def prices(context):
    await context.sleep(random.uniform(0.3, 1.2))


async def scales(context):
    await context.sleep(random.expovariate(6))


async def audit(context):
    context.log("collecting the day's weights")
    await context.step("collect", weights)
    await context.sleep(random.uniform(0.3, 0.6))
    if random.random() < 0.3 or context.params.get("fails"):
        raise ConnectionRefusedError("auditor.example:443: connection refused")


async def weights():
    return {"weighings": 214, "kg": 9310.5}


async def report(context):
    for page in range(1, 100):
        await context.sleep(1.5)
        context.progress(page, None, f"page {page}")


async def labels(context):
    await context.sleep(random.uniform(0.05, 0.3))
"""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


class PlantInPictures(RunningPlant):
    """Has tasks too."""

    configuration = CONFIGURATION + TASKS

    def __init__(self, directory: Path, nursery: Nursery) -> None:
        super().__init__(directory, nursery)
        (directory / "tasks").mkdir()
        (directory / "tasks/yard.py").write_text(CODE)


def run_tasks(plant: RunningPlant) -> int:
    """Let tasks run that are due rarely; returns the number of a run that fails."""
    for task in ["prices"] * 9 + ["audit"] * 6:
        plant.lineside("tasks", "run", task)
    return int(plant.lineside("tasks", "run", "audit", "-p", "fails=true").split()[1])


def as_installed(directory: Path, route: Route) -> None:
    """Answer with the paths that a traceback has where a package installed Lineside."""
    answer = route.fetch()
    text = answer.text()
    for here, there in ((sysconfig.get_path("purelib"), SITE), (f"{ROOT}/src", SITE), (f"{directory}", ETC)):
        text = text.replace(here, there)
    route.fulfill(response=answer, body=text)


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


def take_tasks(browser: Browser, plant: RunningPlant, folder: Path) -> None:
    """Take the pictures of tasks, light and dark, while the same two runs go on."""
    failed = run_tasks(plant)
    for task in ("report", "stock"):
        plant.lineside("tasks", "run", task)
    for scheme in SCHEMES:
        page = opened(browser, plant, scheme, SIZE)
        page.goto("/#/tasks")
        expect(page.get_by_role("progressbar", name="stock")).to_be_visible()
        work(plant, 8)
        page.screenshot(path=folder / f"tasks-{scheme}.png")
        page.route("**/api/v1/runs/*", partial(as_installed, plant.directory))
        page.goto(f"/#/runs/{failed}")
        expect(page.get_by_role("heading", name="Traceback")).to_be_visible()
        page.screenshot(path=folder / f"run-{scheme}.png", clip={"x": 0, "y": 0, "width": SIZE[0], "height": 800})
        page.context.close()


def take_file(browser: Browser, plant: FilePlant, folder: Path) -> None:
    """Take the pictures of a partner's file of which one row is bad, light and dark."""
    random = Random(7)
    rows = [f"{random.randint(1, 400):05},{random.randint(1, 60)}" for _ in range(9)]
    rows[4] = "00117,a dozen"
    plant.put("counts-48.csv", "\n".join(["item,qty", *rows, ""]))
    for scheme in SCHEMES:
        page = opened(browser, plant, scheme, SIZE)
        page.goto("/#/files/1")
        expect(page.get_by_text("delivered", exact=True)).to_have_count(8)
        expect(page.get_by_text("counts-48.csv: answered", exact=True)).to_be_visible()
        page.screenshot(path=folder / f"file-{scheme}.png", clip={"x": 0, "y": 0, "width": SIZE[0], "height": 720})
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
    nursery = Nursery()
    try:
        with at_work(PlantInPictures, nursery) as plant, opened_chromium(program) as browser:
            work(plant, SECONDS)
            take(browser, plant, folder)
            take_tasks(browser, plant, folder)
        with at_work(FilePlant, nursery) as partnered, opened_chromium(program) as browser:
            take_file(browser, partnered, folder)
    finally:
        nursery.close()


@contextmanager
def at_work(kind: type[Plant], nursery: Nursery) -> Iterator[Plant]:
    """Run a plant in a directory of its own."""
    with tempfile.TemporaryDirectory() as directory:
        plant = kind(Path(directory), nursery)
        try:
            plant.start()
            yield plant
        finally:
            plant.stop()


@contextmanager
def opened_chromium(program: str) -> Iterator[Browser]:
    """Run a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


if __name__ == "__main__":
    main()
