"""What the guide to tasks shows is what happens: its files are written, its commands run, its outputs compared."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.rig.daemon import free_port, lacking
from tests.rig.forked import Nursery
from tests.rig.task_reader import PATIENCE, TaskReader
from twisted.trial.unittest import SynchronousTestCase

GUIDE = Path(__file__).parents[2] / "docs/guides/tasks.md"
MARKED = re.compile(r"<!-- (\w+)(?:: ([^>]*))? -->\n(?:```\w+\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
TABLES = {"table", "end"}
"""Marks of what tests/unit/docs holds to the code."""
VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"\bin [\d.e-]+ s\b"), "in SOME s"),
    (re.compile(r"\bin (\d+ (d|h|min|s) ?)+"), "in SOME TIME "),
    (re.compile(r"(?m)^took +[\d.e-]+ s$"), "took SOME s"),
    # A busy machine may be so late that one more attempt has failed meanwhile.
    (re.compile(r"\battempt \d+, "), ""),
    (re.compile(r" +"), " "),
)


def steady(text: str) -> str:
    """Return an output without what differs from run to run: times, and the widths of columns."""
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def shown(text: str) -> re.Pattern[str]:
    """Return what an output must match: ``…`` stands for the rest of a line, alone on one for any lines."""
    lines = []
    for line in steady(text).splitlines():
        if line == "…":
            lines.append(r"(?:.*\n)*")
        else:
            lines.append(r".*".join(map(re.escape, line.split("…"))) + r"\n")
    return re.compile("".join(lines))


class Guide(SynchronousTestCase):
    """Read from the top to the bottom, by somebody who does all that it says."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def setUp(self) -> None:
        if shutil.which("curl") is None:
            lacking("curl is not installed")
        self.web = free_port()
        self.finished: list[Any] = []
        self.reader = TaskReader(self.directory, self.nursery)
        self.addCleanup(self.reader.end)

    def test_all_of_it(self) -> None:
        """Each file is there as it stands, and each command says what stands below it."""
        does: dict[str, Callable[[str, str], None]] = {
            "file": self.do_file,
            "see": self.do_see,
            "sh": self.do_sh,
            "start": self.do_start,
            "kill": self.do_kill,
            "stop": self.do_stop,
            "until": self.do_until,
            "watch": self.do_watch,
        }
        done = []
        for verb, facts, text in MARKED.findall(GUIDE.read_text(encoding="utf-8")):
            if verb not in TABLES:
                does[verb](facts, text)
                done.append(verb)
        self.assertGreater(done.count("see"), 10)
        self.assertEqual((3, 1, 1), (done.count("start"), done.count("kill"), done.count("stop")))
        # What the tutorial is for: each difference is one ToDo, beside the two that the script had made.
        todos = self.reader.get(f"{self.reader.erp}/api/resource/ToDo?fields=%5B%22description%22%5D")["data"]
        self.assertEqual(
            [
                "00123: counted 41, booked 40",
                "BOLT-M8: counted 118, booked 120",
                "Recount 00123: 41 on the shelf, 40 in the books",
                "Recount BOLT-M8: 118 on the shelf, 120 in the books",
            ],
            sorted(each["description"] for each in todos),
        )

    def do_watch(self, _: str, text: str) -> None:
        with subprocess.Popen(
            [sys.executable, "watch.py", f"ws://127.0.0.1:{self.web}/connection/websocket"],
            cwd=self.directory,
            env=self.reader.environ,
            stdout=subprocess.PIPE,
            text=True,
        ) as program:
            assert program.stdout is not None
            told = [program.stdout.readline()]
            self.reader.shell("lineside tasks run reconcile")
            while "succeeded" not in told[-1] and told[-1]:
                told.append(program.stdout.readline())
            program.kill()
        # On a busy machine it may take so long that it is told how far it is.
        between = [line.rstrip() for line in told if not re.match(r"7 running .", line)]
        self.assertEqual(text.splitlines(), between)

    def do_file(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        for shown, here in (
            ("http://127.0.0.1:8000", self.reader.erp),
            ("tcp:8080", f"tcp:{self.web}"),
            ('"10s", "1m"', '"3s", "1m"'),
        ):
            text = text.replace(shown, here)
        path.write_text(text)

    def do_see(self, _: str, text: str) -> None:
        for each in re.split(r"(?m)^\$ ", text)[1:]:
            command, _, expected = each.partition("\n")
            told = self.reader.shell(command)
            got = steady(told) + "\n" if told else ""
            self.assertRegex(got, re.compile(rf"\A{shown(expected).pattern}\Z"), f"{command}\n{told}")

    def do_sh(self, _: str, text: str) -> None:
        subprocess.run(
            ["sh", "-ec", text], cwd=self.directory, env=self.reader.environ, timeout=PATIENCE, check=True
        )

    def do_start(self, _: str, text: str) -> None:
        self.assertEqual("lineside run\n", text)
        self.reader.start_gateway()

    def do_kill(self, facts: str, text: str) -> None:
        self.assertEqual('kill -9 $(pgrep -f "lineside run")\n', text)
        run, _, step = facts.partition(" after ")
        self.reader.until(facts, lambda: step in [each["name"] for each in self.story(run)["steps"]])
        self.reader.end_gateway(signal.SIGKILL)
        self.finished = self.story(run)["steps"]
        self.assertLess(len(self.finished), 6, "it was killed too late to prove anything")
        # What follows needs no slow ERP; the reader makes it quick a few lines later.
        self.reader.answer_after(0)

    def do_stop(self, _: str, __: str) -> None:
        self.reader.end_gateway(signal.SIGINT)

    def do_until(self, facts: str, _: str) -> None:
        run, _, rest = facts.partition(" ")

        def holds() -> bool:
            summary = self.story(run)["summary"]
            if rest.startswith("at "):
                return bool(summary["message"] == rest.removeprefix("at "))
            if rest == "queued again":
                return bool(summary["state"] == "queued" and summary["attempt"] == 1)
            return bool(summary["state"] == rest)

        self.reader.until(facts, holds)
        if run == "3":
            # The steps that were finished at the kill are the same ones still, by their moments.
            story = self.story(run)
            self.assertEqual(self.finished, story["steps"][: len(self.finished)])
            self.assertLess(self.finished[-1]["at"], story["summary"]["started"])
            self.assertEqual(6, len(story["steps"]))

    def story(self, run: str) -> Any:
        """Return a run: from the gateway while it works, for a command is a process each time."""
        if self.reader.runs:
            return self.reader.get(f"http://127.0.0.1:{self.web}/api/v1/runs/{run}")
        return json.loads(self.reader.shell(f"lineside tasks show {run} --json"))
