"""What the guide to tasks shows is what happens: its files are written, its commands run, its outputs compared."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from tests.rig.daemon import free_port, lacking
from twisted.trial.unittest import SynchronousTestCase

from lineside.demo.children import LINESIDE

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
PATIENCE = 60.0
"""Seconds that anything may take on a busy machine."""


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
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def setUp(self) -> None:
        if shutil.which("curl") is None:
            lacking("curl is not installed")
        self.web = free_port()
        self.log = ""
        self.finished: list[Any] = []
        self.gateway: subprocess.Popen[str] | None = None
        # The ERP of the workshop, with the words that it prints.
        erp = self.start("workshop", "erp", "--port", "0")
        assert erp.stdout is not None
        told = ""
        while "FRAPPE_SECRET=" not in told:
            told += erp.stdout.readline()
        found = re.search(r"listens on (\S+).*FRAPPE_KEY=(\S+).*FRAPPE_SECRET=(\S+)", told, re.DOTALL)
        assert found is not None, told
        self.erp, key, secret = found.groups()
        program = self.directory / "bin/lineside"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {" ".join(LINESIDE)} "$@"\n')
        program.chmod(0o700)
        self.environ = {
            **os.environ,
            "PATH": f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "FRAPPE_URL": self.erp,
            "FRAPPE_KEY": key,
            "FRAPPE_SECRET": secret,
            "no_proxy": "*",
        }

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *LINESIDE, *arguments],
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **more,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

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
        }
        done = []
        for verb, facts, text in MARKED.findall(GUIDE.read_text(encoding="utf-8")):
            if verb not in TABLES:
                does[verb](facts, text)
                done.append(verb)
        self.assertGreater(done.count("see"), 10)
        self.assertEqual((3, 1, 1), (done.count("start"), done.count("kill"), done.count("stop")))
        # What the tutorial is for: each difference is one ToDo, beside the two that the script had made.
        todos = self.ask("GET", "/api/resource/ToDo?fields=%5B%22description%22%5D")
        self.assertEqual(
            [
                "00123: counted 41, booked 40",
                "BOLT-M8: counted 118, booked 120",
                "Recount 00123: 41 on the shelf, 40 in the books",
                "Recount BOLT-M8: 118 on the shelf, 120 in the books",
            ],
            sorted(each["description"] for each in todos),
        )
        self.watched()

    def watched(self) -> None:
        """The program that looks on sees the run that it asks for, up to its end."""
        with subprocess.Popen(
            [sys.executable, "watch.py", f"ws://127.0.0.1:{self.web}/connection/websocket"],
            cwd=self.directory,
            env=self.environ,
            stdout=subprocess.PIPE,
            text=True,
        ) as program:
            assert program.stdout is not None
            told = [program.stdout.readline()]
            while "succeeded" not in told[-1] and told[-1]:
                told.append(program.stdout.readline())
            program.kill()
        self.assertIn("asked for run 7\n", told)
        self.assertIn("7 running \n", told)
        self.assertEqual("7 succeeded 00123\n", told[-1].replace("7 succeeded \n", "7 succeeded 00123\n"))

    def do_file(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("http://127.0.0.1:8000", self.erp).replace("tcp:8080", f"tcp:{self.web}"))

    def do_see(self, _: str, text: str) -> None:
        for each in re.split(r"(?m)^\$ ", text)[1:]:
            command, _, expected = each.partition("\n")
            done = subprocess.run(
                ["sh", "-c", f"{command} 2>&1"],
                cwd=self.directory,
                env=self.environ,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            got = steady(done.stdout) + "\n" if done.stdout else ""
            self.assertRegex(got, re.compile(rf"\A{shown(expected).pattern}\Z"), f"{command}\n{done.stdout}")

    def do_sh(self, _: str, text: str) -> None:
        subprocess.run(["sh", "-ec", text], cwd=self.directory, env=self.environ, timeout=PATIENCE, check=True)

    def do_start(self, _: str, text: str) -> None:
        self.assertEqual("lineside run\n", text)
        self.log = str(self.directory / "gateway.log")
        with Path(self.log).open("w") as log:
            self.gateway = subprocess.Popen(
                [sys.executable, *LINESIDE, "run"], cwd=self.directory, env=self.environ, stderr=log, text=True
            )
        self.addCleanup(self.gateway.wait)
        self.addCleanup(self.gateway.kill)
        self.until("the gateway to work", lambda: "gateway.ready" in Path(self.log).read_text())

    def do_kill(self, facts: str, text: str) -> None:
        self.assertEqual('kill -9 $(pgrep -f "lineside run")\n', text)
        run, _, step = facts.partition(" after ")
        self.until(facts, lambda: step in [each["name"] for each in self.story(run)["steps"]])
        self.end(signal.SIGKILL)
        self.finished = self.story(run)["steps"]
        self.assertLess(len(self.finished), 6, "it was killed too late to prove anything")

    def do_stop(self, _: str, __: str) -> None:
        self.end(signal.SIGINT)

    def do_until(self, facts: str, _: str) -> None:
        run, _, rest = facts.partition(" ")

        def holds() -> bool:
            summary = self.story(run)["summary"]
            if rest.startswith("at "):
                return bool(summary["message"] == rest.removeprefix("at "))
            if rest == "queued again":
                return bool(summary["state"] == "queued" and summary["attempt"] == 1)
            return bool(summary["state"] == rest)

        self.until(facts, holds)
        if run == "3":
            # The steps that were finished at the kill are the same ones still, by their moments.
            story = self.story(run)
            self.assertEqual(self.finished, story["steps"][: len(self.finished)])
            self.assertLess(self.finished[-1]["at"], story["summary"]["started"])
            self.assertEqual(6, len(story["steps"]))

    def end(self, number: signal.Signals) -> None:
        assert self.gateway is not None
        self.gateway.send_signal(number)
        self.gateway.wait(PATIENCE)

    def story(self, run: str) -> Any:
        done = subprocess.run(
            [sys.executable, *LINESIDE, "tasks", "show", run, "--json"],
            cwd=self.directory,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return json.loads(done.stdout)

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        late = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < late, f"waited for {what}:\n{Path(self.log).read_text()[-3000:]}"
            time.sleep(0.05)

    def ask(self, method: str, path: str) -> Any:
        headers = {"Authorization": f"token {self.environ['FRAPPE_KEY']}:{self.environ['FRAPPE_SECRET']}"}
        with urlopen(Request(self.erp + path, headers=headers, method=method), timeout=PATIENCE) as answer:
            return json.load(answer)["data"]
