"""The guide to tasks names what there is; tests/loopback/test_tasks_guide.py does what it says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.tasks import compile_tasks
from lineside.assemble.tasksettings import TaskSettings
from lineside.cli import tasks
from lineside.model.event import Event, Record, Seq
from lineside.tasks.calendar import MOST
from lineside.tasks.context import LINES, Context, ThreadContext
from lineside.tasks.recovery import MOST_INTERRUPTIONS
from lineside.tasks.runner import PATIENCE
from lineside.tasks.triggers import ENOUGH, params_of

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "tasks.md").read_text(encoding="utf-8")
NO_POLICIES = {"run", "description", "every", "cron", "time_zone", "on", "when", "params", "thread", "target"}
"""What a task is and when it is due, which other sections tell."""


def rows(name: str) -> list[list[str]]:
    """Return the cells of the table under a mark."""
    found = re.search(rf"<!-- table: {name} -->\n(.*?)<!-- end -->", GUIDE, re.DOTALL)
    assert found is not None, name
    lines = [line.strip("| ").split("|") for line in found[1].splitlines()[2:]]
    return [[cell.strip() for cell in line] for line in lines]


def file(name: str) -> str:
    """Return a file that the guide shows."""
    found = re.search(rf"<!-- file: {re.escape(name)} -->\n```\w+\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert found is not None, name
    return found[1]


class TasksGuide(SynchronousTestCase):
    """`docs/guides/tasks.md`."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = tmp_path
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.delitem(sys.modules, "stock", raising=False)

    def test_its_configuration_is_right(self) -> None:
        """Without a warning, and its function takes its parameters."""
        (self.directory / "tasks").mkdir()
        (self.directory / "tasks/stock.py").write_text(file("tasks/stock.py"), encoding="utf-8")
        path = self.directory / "lineside.toml"
        path.write_text(file("lineside.toml"), encoding="utf-8")
        settings = load(path, {"FRAPPE_KEY": "k", "FRAPPE_SECRET": "s"})
        self.assertEqual([], settings.warnings)
        task = compile_tasks(settings)["reconcile"]
        self.assertEqual("count.csv", task.accepts(task.params).file)

    def test_names_every_policy(self) -> None:
        """With every word that one may be, and no others."""
        told = {key.strip("`"): promise for key, promise, _ in rows("policies")}
        self.assertEqual(TaskSettings.model_fields.keys() - NO_POLICIES, told.keys())
        for key, words in (
            ("overlap", {"skip", "queue", "cancel"}),
            ("catch_up", {"none", "once", "all"}),
            ("interrupted", {"again", "stop"}),
        ):
            self.assertEqual(words, set(re.findall(r'`"(\w+)"`', told[key])))

    def test_names_what_a_function_gets(self) -> None:
        """Every public name of a context, and none that it has not."""
        named = {name for cell, _ in rows("context") for name in re.findall(r"`(\w+)", cell)}
        made = {name for name in vars(Context) if not name.startswith("_")}
        set_in = {"run", "task", "attempt", "params", "clock", "journal", "cancelled"}
        self.assertEqual(made | set_in, named)
        self.assertIn("wait", vars(ThreadContext))
        self.assertIn("context.wait(", GUIDE)

    def test_names_every_command(self) -> None:
        """Of `lineside tasks`."""
        named = {cell.strip("`").split()[0] for cell, _ in rows("commands")}
        self.assertEqual(set(tasks.command.commands), named)

    def test_numbers_are_those_of_the_code(self) -> None:
        """Where the text says how many."""
        self.assertEqual((5, 1_000, 1_000, 1_000, 5.0), (MOST_INTERRUPTIONS, MOST, LINES, ENOUGH, PATIENCE))
        for said in ("five deaths", "newest 1,000", "a thousand for each attempt", "thousand runs", "five seconds"):
            self.assertIn(said, GUIDE)

    def test_says_what_an_event_gives_to_its_run(self) -> None:
        """By its members, in order."""
        told = re.search(r"`\{(\"event\".*?)\}`", GUIDE)
        assert told is not None
        given = params_of(Record(Seq(1), "e", "gate", 0, Event(b"{}")))
        self.assertEqual(list(given), re.findall(r'"(\w+)"', told[1]))
