"""A plant whose gateway has tasks, which go on when a file is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.rig.forked import Nursery
from tests.rig.running_plant import CONFIGURATION, DEADLINE, RunningPlant

TASKS = """
[tasks.count]
run = "yard:count"
description = "Counts the shelves"

[tasks.export]
run = "yard:export"
description = "Sends the day's weights to the auditor"
cron = "0 2 * * *"

[tasks.audit]
run = "yard:nothing"
cron = "*/10 * * * *"

[tasks.label]
run = "yard:nothing"
on = "sources.shelf"
key = "event.item"
"""
CODE = """
from pathlib import Path

HERE = Path(__file__).parent


async def count(context):
    context.log("the first shelf is counted")
    context.progress(1, 4, "shelf 1")
    while not (HERE / "may-count").exists():
        await context.sleep(0.05)
    context.progress(4, 4, "shelf 4")
    return {"shelves": 4}


async def weights():
    return [4.5, 7.25]


async def export(context):
    collected = await context.step("collect", weights)
    if not (HERE / "auditor").exists():
        raise ConnectionRefusedError("the auditor does not answer")
    return {"sent": len(collected)}


async def nothing(context):
    return None
"""


class TaskPlant(RunningPlant):
    """Has tasks: ``count`` waits for the file may-count, ``export`` fails without the file auditor."""

    configuration = CONFIGURATION + TASKS

    def __init__(self, directory: Path, nursery: Nursery) -> None:
        super().__init__(directory, nursery)
        self._code = directory / "tasks"
        self._code.mkdir()
        (self._code / "yard.py").write_text(CODE)

    def let(self, name: str) -> None:
        """Make the file that a task waits for."""
        (self._code / name).touch()

    def hinder(self, name: str) -> None:
        """Remove it."""
        (self._code / name).unlink(missing_ok=True)

    def ask(self, task: str, token: str) -> int:
        """Ask for a run past the dashboard, and return its number."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = Request(f"{self.url}/api/v1/tasks/{task}/run", b"{}", headers, method="POST")
        with urlopen(request, timeout=DEADLINE) as answer:
            return int(json.load(answer)["run"])

    def run(self, number: int, token: str) -> Any:
        """Return what is known of a run."""
        return self._get(f"/runs/{number}", token)

    def under_way(self, token: str) -> list[Any]:
        """Return the runs that run or wait."""
        return [run for state in ("running", "queued") for run in self._get(f"/runs?state={state}", token)["runs"]]

    def _get(self, path: str, token: str) -> Any:
        request = Request(f"{self.url}/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
        with urlopen(request, timeout=DEADLINE) as answer:
            return json.load(answer)
