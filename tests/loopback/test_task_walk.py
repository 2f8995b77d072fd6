"""The walk of the workshop's chapter 4: the example as a task, on the chapter's own files."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.rig.chapters import WORKSHOP
from tests.rig.forked import Nursery
from tests.rig.task_reader import TaskReader
from twisted.trial.unittest import SynchronousTestCase

CHAPTER = WORKSHOP / "04_asynchronous_task_management"
REQUESTS = "/api/resource/Material%20Request?fields=%5B%22title%22%5D"


class Walk(SynchronousTestCase):
    """`restock.py` and `gateway.toml`."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def setUp(self) -> None:
        self.reader = TaskReader(self.directory, self.nursery)
        self.addCleanup(self.reader.end)
        shutil.copy(CHAPTER / "restock.py", self.directory)
        configuration = (CHAPTER / "gateway.toml").read_text().replace("http://127.0.0.1:8000", self.reader.erp)
        (self.directory / "gateway.toml").write_text(configuration)

    def tasks(self, words: str) -> str:
        return self.reader.shell(f"lineside tasks {words} -c gateway.toml")

    def run_of(self, number: int) -> dict[str, Any]:
        story: dict[str, Any] = json.loads(self.tasks(f"show {number} --json"))
        return story

    def titles(self) -> list[str]:
        return sorted(row["title"] for row in self.reader.get(self.reader.erp + REQUESTS)["data"])

    def test_reorders_once_whatever_happens(self) -> None:
        """What is low is ordered once, by hand, again, and by a run that a kill interrupted."""
        self.assertEqual(
            "targets.erp: Material Request: lineside_id created\n",
            self.reader.shell("lineside erp prepare -c gateway.toml"),
        )
        self.reader.start_gateway("-c", "gateway.toml")
        self.assertIn("run 1 of restock succeeded", self.tasks("run restock --follow"))
        self.assertEqual(["BOLT-M8", "GLOVE-L"], json.loads(self.run_of(1)["result"]))
        ordered = ["Reorder BOLT-M8", "Reorder GLOVE-L"]
        self.reader.until("the requests", lambda: self.titles() == ordered)
        self.reader.answer_after(2)
        number = json.loads(self.tasks("run restock --json"))["run"]
        self.reader.until("its first step", lambda: bool(self.run_of(number)["steps"]))
        self.reader.end_gateway(signal.SIGKILL)
        self.reader.answer_after(0)
        (first,) = self.run_of(number)["steps"]
        self.assertEqual(("stock", "running"), (first["name"], self.run_of(number)["summary"]["state"]))
        self.reader.start_gateway("-c", "gateway.toml")
        self.reader.until("its end", lambda: self.run_of(number)["summary"]["state"] == "succeeded")
        story = self.run_of(number)
        self.assertEqual((first, "[]"), (story["steps"][0], story["result"]))
        self.assertEqual(ordered, self.titles())
