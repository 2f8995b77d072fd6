"""`lineside tasks` on a gateway at work, on the journal alone, and on one that died in the middle of a run."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from tests.rig.forked import Nursery
from tests.rig.task_gateway import PATIENCE, TaskGateway
from twisted.trial.unittest import SynchronousTestCase

NO_TASKS = """
[journal]

[sources.orders]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = "key"
api_secret = "secret"

[routes.note]
doctype = "ToDo"
document = { description = "{{ payload }}" }
"""


@pytest.fixture
def floor(request: pytest.FixtureRequest, nursery: Nursery) -> Iterator[None]:
    """Give a test a gateway of its own, which does not run yet."""
    # A path of pytest's may be longer than a Unix socket's.
    with TemporaryDirectory() as directory:
        request.instance.floor = TaskGateway(Path(directory), nursery)
        try:
            yield
        finally:
            request.instance.floor.end()


@pytest.mark.usefixtures("floor")
class FloorCase(SynchronousTestCase):
    """Tests with a gateway of their own."""

    floor: TaskGateway

    def ok(self, *arguments: str) -> str:
        """Run a command of `tasks` that succeeds; returns its standard output."""
        done = self.floor("tasks", *arguments)
        self.assertEqual((done.code, done.err), (0, ""), arguments)
        return done.out

    def failing(self, *arguments: str, code: int = 1) -> str:
        """Run one that fails; returns its one line on standard error."""
        done = self.floor("tasks", *arguments)
        self.assertEqual((done.code, done.out), (code, ""), (arguments, done.err))
        return done.err

    def json(self, *arguments: str) -> list[Any]:
        """Run one that prints JSON; returns the lines."""
        return [json.loads(line) for line in self.ok(*arguments, "--json").splitlines()]

    def run_one(self, *arguments: str) -> int:
        """Ask for a run; returns its number."""
        (asked,) = self.json("run", *arguments)
        self.assertEqual("queued", asked["outcome"])
        return int(asked["run"])

    def state(self, run: int) -> str:
        return str(self.floor.run_of(run)["summary"]["state"])


class AtWork(FloorCase):
    """With a gateway."""

    def setUp(self) -> None:
        self.floor.start()

    def test_a_person_looks_and_runs(self) -> None:
        """Tasks, a run that is followed to its end, its story, and the list of runs."""
        listed = self.ok("list")
        self.assertRegex(listed, r"(?m)^count +when asked for +0 +0 +never$")
        self.assertRegex(listed, r"(?m)^night +At 02:00 on Monday through Friday, Europe/Berlin +in [0-9]+ ")
        self.assertRegex(listed, r"(?m)^scan +on events of gate ")
        followed = self.ok("run", "count", "--follow", "-p", "upto=2")
        self.assertRegex(followed, r"^run 1 of count succeeded in [0-9.e-]+ s\n$")
        told = self.ok("show", "1")
        for line in (
            r"task +count",
            r"state +succeeded",
            r"because of +person, local user",
            r'parameters +{"pause":0.02,"upto":2}',
            r"progress +2 of 2",
            r"message +bin 2",
            r'result +{"counted":2}',
            r"log +\S+Z counted bin 1",
        ):
            self.assertRegex(told, rf"(?m)^{line}$")
        self.assertRegex(self.ok("runs"), r"(?m)^ +1 +count +succeeded +\S+Z +in [0-9.e-]+ s$")
        self.assertEqual("no runs\n", self.ok("runs", "--task", "broken"))

    def test_a_program_reads_json(self) -> None:
        """One value a line: every change of a followed run, the last of them its end."""
        changes = self.json("run", "count", "--follow", "-p", "upto=5", "-p", "pause=0.5")
        self.assertEqual(("succeeded", 5.0, 5.0), tuple(changes[-1][key] for key in ("state", "done", "total")))
        self.assertIn("running", [change["state"] for change in changes])
        self.assertTrue({1.0, 2.0, 3.0, 4.0} & {change["done"] for change in changes})
        names = [task["name"] for task in self.json("list")]
        self.assertEqual(["count", "broken", "hang", "careful", "block", "night", "scan"], names)
        self.assertEqual([1], [run["run"] for run in self.json("runs", "--state", "succeeded")])
        self.assertEqual([{"counted": 5}], [json.loads(run["result"]) for run in self.json("show", "1")])

    def test_following_ends_as_the_run_does(self) -> None:
        """Exit 1 unless it succeeds, and then the reason on the same line."""
        done = self.floor("tasks", "run", "broken", "--follow")
        self.assertEqual(1, done.code)
        self.assertRegex(done.out, r"^run 1 of broken failed in .* s: OSError: the printer is out of paper\n$")
        self.assertIn("Traceback", self.ok("show", "1"))
        self.assertIn('raise OSError("the printer is out of paper")', self.ok("show", "1"))

    def test_following_ends_before_the_run_does(self) -> None:
        """With Ctrl-C the run goes on, without the gateway it waits: neither is success, and each is said."""
        for number, (ending, said) in enumerate(
            (
                ("INT", "lineside: run 1 goes on; `lineside tasks cancel 1` ends it\n"),
                ("KILL", "lineside: the gateway has stopped; run 2 goes on after its next start\n"),
            ),
            1,
        ):
            with subprocess.Popen(
                [
                    *(self.floor.program, "tasks", "run", "hang", "--follow", "--json"),
                    *("-c", str(self.floor.configuration)),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as process:
                assert process.stdout is not None
                process.stdout.readline()
                self.floor.until("it to run", lambda: self.state(number) == "running")  # noqa: B023
                if ending == "INT":
                    process.send_signal(signal.SIGINT)
                else:
                    self.floor.kill()
                _, err = process.communicate(timeout=PATIENCE)
            self.assertEqual((1, said), (process.returncode, err))
            if ending == "INT":
                self.assertEqual("running", self.state(1))
                self.ok("cancel", "1")
                self.floor.until_state(1, "cancelled")

    def test_a_person_follows_on_a_terminal(self) -> None:
        """A bar, how far it is, and what the function says: on standard error, apart from the result."""
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [
                *(
                    self.floor.program,
                    "tasks",
                    "run",
                    "count",
                    "--follow",
                    "-p",
                    "upto=5",
                    "-p",
                    "pause=0.5",
                ),
                *("-c", str(self.floor.configuration)),
            ],
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
            stdout=subprocess.PIPE,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            drawn = b""
            while True:
                try:
                    drawn += os.read(ours, 65_536)
                except OSError:
                    break
            os.close(ours)
            out, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(0, process.returncode)
        self.assertRegex(drawn.decode(), "running [1-4]/5 bin [1-4]")
        self.assertIn("━".encode(), drawn)
        self.assertRegex(out.decode(), r"^run 1 of count succeeded in [0-9.]+ s\n$")

    def test_a_run_is_cancelled_and_run_again(self) -> None:
        """By its number, while it runs; twice is an error that says so."""
        self.run_one("hang")
        self.floor.until("it to hang", self.floor.marks)
        self.ok("cancel", "1")
        self.floor.until_state(1, "cancelled")
        self.assertRegex(self.failing("cancel", "1"), "^lineside: run 1 .*is cancelled")
        self.assertRegex(self.ok("retry", "1"), r"^run 1 of hang is (queued|running)\n$")
        self.floor.until("it to hang again", lambda: len(self.floor.marks()) == 2)
        self.ok("cancel", "1")

    def test_a_paused_task_begins_nothing(self) -> None:
        """What is asked for waits, until it is resumed."""
        self.assertRegex(self.ok("pause", "count"), r"^task count is paused since \S+Z\n$")
        self.run_one("count")
        self.assertRegex(self.ok("list"), r"(?m)^count +when asked for +paused +1 +0 +1 queued$")
        self.assertEqual("task count works\n", self.ok("resume", "count"))
        self.floor.until_state(1, "succeeded")

    def test_a_blocking_function_says_why_it_does_not_end(self) -> None:
        """Nothing can stop it: the person who cancels it is told, and it ends by itself."""
        self.run_one("block")
        self.floor.until("it to block", self.floor.marks)
        self.assertEqual(
            "run 1 of block is running: cancelled; a blocking function cannot be stopped, it ends by itself\n",
            self.floor.until("the word", lambda: self._said_after(self.floor("tasks", "cancel", "1").out)),
        )
        self.floor.let_go()
        self.floor.until("its end", lambda: self.state(1) != "running")

    def _said_after(self, told: str) -> str:
        # How far a run is reaches the disk within a second.
        return told if "cannot be stopped" in told else ""

    def test_later_is_not_now(self) -> None:
        """A run that is asked for with a delay waits for its time."""
        self.run_one("count", "--in", "1h")
        self.assertEqual("queued", self.state(1))
        (listed,) = [task for task in self.json("list") if task["name"] == "count"]
        self.assertEqual(1, listed["queued"])

    def test_what_is_wrong_is_one_line(self) -> None:
        """Wrong use exits with 2, what cannot be done with 1; nothing is queued."""
        self.assertEqual('lineside: there is no task "nigh"; did you mean "night"?\n', self.failing("run", "nigh"))
        self.assertEqual(
            "lineside: tasks.count: Expected `int`, got `str` - at `$.upto`\n",
            self.failing("run", "count", "-p", "upto=many"),
        )
        for request in ("show", "cancel", "retry"):
            self.assertEqual("lineside: there is no run 7\n", self.failing(request, "7"))
        self.assertIn(
            "'upto' is no parameter; write NAME=VALUE", self.failing("run", "count", "-p", "upto", code=2)
        )
        self.assertIn('"soon" is no duration', self.failing("run", "count", "--in", "soon", code=2))
        self.assertEqual([], self.json("runs"))

    def test_an_event_starts_a_run(self) -> None:
        """Of the source that its table names; the run has the event, and its cause."""
        self.assertEqual("OK 1", self.floor.send(b'{"item": "BOLT-M8"}'))
        story = self.floor.until_state(1, "succeeded")
        self.assertEqual((["BOLT-M8"], "event"), (self.floor.marks(), story["summary"]["cause"]))


class OverHttp(FloorCase):
    """The same as endpoints, by what a token may."""

    def test_roles(self) -> None:
        """A viewer looks, an operator acts, nobody else does either."""
        self.make_journal()
        tokens = {
            role: json.loads(self.floor("token", "create", role, "--role", role, "--json").out)["text"]
            for role in ("viewer", "operator", "device")
        }
        self.floor.start()
        ask, api = self.floor.ask, "/api/v1"
        viewer, operator = tokens["viewer"], tokens["operator"]
        status, answer = ask("POST", f"{api}/tasks/count/run", operator, {"params": {"upto": 1}})
        self.assertEqual((200, {"run": 1, "outcome": "queued"}), (status, answer))
        self.floor.until_state(1, "succeeded")
        self.assertEqual(
            (200, "count"), ((got := ask("GET", f"{api}/tasks?upcoming=2", viewer))[0], got[1]["tasks"][0]["name"])
        )
        self.assertEqual([1], [run["run"] for run in ask("GET", f"{api}/runs?task=count", viewer)[1]["runs"]])
        self.assertEqual('{"counted":1}', ask("GET", f"{api}/runs/1", viewer)[1]["result"])
        self.assertEqual("count", ask("POST", f"{api}/tasks/count/pause", operator, {})[1]["id"])
        self.assertIsNone(ask("POST", f"{api}/tasks/count/resume", operator, {})[1]["since"])
        ask("POST", f"{api}/tasks/hang/run", operator, {})
        self.assertEqual(200, ask("POST", f"{api}/runs/2/cancel", operator, {})[0])
        self.floor.until_state(2, "cancelled")
        self.assertEqual(200, ask("POST", f"{api}/runs/2/retry", operator, {})[0])
        looks = [("GET", "/tasks"), ("GET", "/runs"), ("GET", "/runs/1")]
        acts = [
            ("POST", path)
            for path in (
                "/tasks/count/run",
                "/tasks/count/pause",
                "/tasks/count/resume",
                "/runs/2/cancel",
                "/runs/2/retry",
            )
        ]
        for method, path in looks + acts:
            self.assertEqual(401, ask(method, api + path)[0], path)
            self.assertEqual(403, ask(method, api + path, tokens["device"])[0], path)
        for method, path in acts:
            self.assertEqual(403, ask(method, api + path, viewer)[0], path)

    def test_what_is_wrong(self) -> None:
        """An unknown task or run is 404, parameters it does not take or a state that forbids it are said."""
        self.make_journal()
        token = json.loads(self.floor("token", "create", "t", "--role", "operator", "--json").out)["text"]
        self.floor.start()
        for method, path, body, status, said in (
            ("POST", "/tasks/nigh/run", {}, 404, 'did you mean "night"?'),
            ("GET", "/runs/7", None, 404, "there is no run 7"),
            ("POST", "/tasks/count/run", {"params": {"upto": "many"}}, 422, "Expected `int`"),
            ("POST", "/tasks/count/run", {"parms": {}}, 422, "parms"),
            ("GET", "/runs?state=lost", None, 400, "state"),
        ):
            with self.subTest(path):
                got, answer = self.floor.ask(method, f"/api/v1{path}", token, body)
                self.assertEqual(status, got, answer)
                self.assertIn(said, json.dumps(answer).replace('\\"', '"'))
        self.floor.ask("POST", "/api/v1/tasks/count/run", token, {})
        self.floor.until_state(1, "succeeded")
        got, answer = self.floor.ask("POST", "/api/v1/runs/1/cancel", token, {})
        self.assertEqual((409, True), (got, "is succeeded" in json.dumps(answer)))

    def make_journal(self) -> None:
        """Tokens live in the journal, which the first start makes."""
        self.floor.start()
        self.floor.stop()


class WithoutAGateway(FloorCase):
    """On the journal alone."""

    def test_a_run_waits_for_the_next_gateway(self) -> None:
        """It is stored, seen, cancelled, and done as soon as one starts; following it has nobody to follow."""
        self.assertIn("there is no journal", self.failing("run", "count"))
        self.floor.start()
        self.floor.stop()
        first, second = self.run_one("count"), self.run_one("count")
        self.assertEqual(["queued", "queued"], [self.state(first), self.state(second)])
        self.assertEqual(f"run {second} of count is cancelled\n", self.ok("cancel", str(second)))
        followed = self.failing("run", "count", "--follow")
        self.assertEqual(
            "lineside: run 3 is queued, and waits for a gateway: start one with `lineside run`\n", followed
        )
        self.assertRegex(self.ok("list"), r"(?m)^count +when asked for +2 +0 +3 queued$")
        self.assertRegex(self.ok("pause", "broken"), r"^task broken is paused since \S+Z\n$")
        self.run_one("broken")
        self.floor.start()
        for run in (first, 3):
            self.floor.until_state(run, "succeeded")
        self.assertEqual(["cancelled", "queued"], [self.state(second), self.state(4)])

    def test_what_starts_a_task_keeps_its_place(self) -> None:
        """It cannot be forgotten like a route that is gone, and its dead letters may be tried again meanwhile."""
        self.floor.start()
        self.floor.send(b'{"item": 5}')
        self.floor.until("the letter", lambda: self.lines("deadletters", "list"))
        self.floor.stop()
        (place,) = self.lines("consumers", "list")
        self.assertEqual(("task.scan", True, 1), (place["id"], place["route"], place["dead_letters"]))
        self.assertIn("still in the configuration", self.floor("consumers", "forget", "task.scan").err)
        (letter,) = self.lines("deadletters", "list")
        self.assertEqual("template", letter["code"])
        text = self.floor.configuration.read_text()
        self.floor.configuration.write_text(text.replace("when = \"{{ item < 'part' }}\"\n", ""))
        self.assertEqual(0, self.floor("deadletters", "retry", str(letter["id"])).code)
        self.floor.start()
        self.floor.until_state(1, "succeeded")
        self.assertEqual((["5"], []), (self.floor.marks(), self.lines("deadletters", "list")))

    def lines(self, *arguments: str) -> list[Any]:
        return [json.loads(line) for line in self.floor(*arguments, "--json").out.splitlines()]

    def test_without_tasks_the_command_says_how_to_make_one(self) -> None:
        """Where the configuration has none."""
        self.floor.configuration.write_text(NO_TASKS)
        done = self.floor("tasks", "list")
        self.assertEqual(1, done.code)
        self.assertEqual(
            f"lineside: {self.floor.configuration} has no tasks; a table [tasks.NAME] makes one\n", done.err
        )


class Ending(FloorCase):
    """A gateway that ends in the middle of runs."""

    def test_killed_in_the_middle_of_a_run(self) -> None:
        """After the restart it is begun again without the step that it had finished, and counts one attempt."""
        self.floor.start()
        self.run_one("careful")
        self.floor.until("the first step", lambda: "between" in self.floor.marks())
        self.floor.kill()
        self.floor.let_go()
        self.floor.start()
        story = self.floor.until_state(1, "succeeded")
        self.assertEqual(["fetch", "between", "between", "store"], self.floor.marks())
        self.assertEqual(("3", 1), (story["result"], story["summary"]["attempt"]))
        self.assertEqual(["fetch", "store"], [step["name"] for step in story["steps"]])
        interrupted = [entry for entry in self.floor.log if entry["event"] == "task.interrupted"]
        self.assertEqual([("careful", 1)], [(entry["task"], entry["runs"]) for entry in interrupted])

    def test_stopped_in_the_middle_of_a_run(self) -> None:
        """At SIGTERM it is cancelled and queued, the gateway ends in order, and the next start begins it."""
        self.floor.start()
        self.run_one("careful")
        self.floor.until("the first step", lambda: "between" in self.floor.marks())
        self.assertEqual(0, self.floor.stop())
        self.assertEqual("queued", self.state(1))
        self.floor.let_go()
        self.floor.start()
        story = self.floor.until_state(1, "succeeded")
        self.assertEqual((["fetch", "between", "between", "store"], 1), (self.floor.marks(), attempts(story)))

    def test_stopped_while_a_function_blocks(self) -> None:
        """The gateway does not wait for it for ever; it says what it left, and begins it again."""
        self.floor.start()
        self.run_one("block")
        self.floor.until("it to block", self.floor.marks)
        self.assertEqual(0, self.floor.stop())
        self.assertIn("task.left", [entry["event"] for entry in self.floor.log])
        self.floor.let_go()
        self.floor.start()
        story = self.floor.until_state(1, "succeeded")
        self.assertEqual((["block", "block"], '"went"'), (self.floor.marks(), story["result"]))

    def test_killed_after_an_event_was_acknowledged(self) -> None:
        """The event starts its one run, whenever the gateway died."""
        self.floor.start()
        for number in range(20):
            self.floor.send(b'{"item": "%d"}' % number)
        self.floor.kill()
        self.floor.start()
        self.floor.until("all runs", lambda: len(self.json("runs", "--state", "succeeded")) == 20)
        events = sorted(run["run"] for run in self.json("runs"))
        self.assertEqual(20, len(events))
        # A run that the kill interrupted is begun again, so an item may be marked twice; none is missing.
        self.assertEqual({str(number) for number in range(20)}, set(self.floor.marks()))


def attempts(story: dict[str, Any]) -> int:
    """Return how often a run was begun, as it is counted."""
    return int(story["summary"]["attempt"])
