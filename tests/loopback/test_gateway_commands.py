"""The commands of an operator as processes: with a gateway at work, and on its journal when it is gone."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from tests.rig.forked import Finished, Nursery
from twisted.trial.unittest import SynchronousTestCase

PATIENCE = 60.0
"""Seconds for anything that a busy machine may delay."""
KEYS = {"LINESIDE_TEST_KEY": "key", "LINESIDE_TEST_SECRET": "secret"}
CONFIGURATION = """
[journal]
path = "journal.db"
control = "control.sock"

[targets.erp]
type = "frappe"
url = "URL"
api_key = { env = "LINESIDE_TEST_KEY" }
api_secret = { env = "LINESIDE_TEST_SECRET" }

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
dedupe = "id"

[routes.checkin]
when = "{{ kind == 'checkin' }}"
doctype = "Employee Checkin"
order_by = "kind"
document = { employee = "{{ employee }}", time = "{{ at | site_time }}", log_type = "IN" }
"""
GOOD = b'{"id":"a1","kind":"checkin","employee":"HR-EMP-00001","at":"2026-03-02T07:00:00Z"}'
STRANGER = b'{"id":"a2","kind":"checkin","employee":"NOBODY","at":"2026-03-02T07:00:01Z"}'
OTHER = b'{"id":"a3","kind":"alive"}'
EVIL = b"\x1b[2J\xff"


class Lineside:
    """Commands on one configuration, with the keys in the environment."""

    def __init__(self, directory: Path, nursery: Nursery) -> None:
        self.directory = directory
        self.configuration = directory / "lineside.toml"
        self.nursery = nursery
        self._running: list[subprocess.Popen[str]] = []

    def configure(self, url: str) -> None:
        self.configuration.write_text(CONFIGURATION.replace("URL", url))

    def __call__(self, *arguments: str, configuration: Path | None = None) -> Finished:
        """Run a command to its end."""
        return self.nursery.run([*arguments, "-c", str(configuration or self.configuration)], KEYS, PATIENCE)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command; it is killed in the end if it still runs."""
        process = subprocess.Popen(
            [*self.nursery.command, *arguments],
            cwd=self.directory,
            env={**os.environ, **KEYS},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        return process

    def gateway(self) -> Gateway:
        """Start `lineside run`; returns when it is ready."""
        return Gateway(self.start("run", "--log-format", "json"))

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.communicate()


class Gateway:
    """A gateway at work, and its log."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.port = int(self.log("source.listening")["address"].rpartition(":")[2])
        self.log("gateway.ready")

    def log(self, event: str) -> dict[str, Any]:
        """Read the log up to an event of this name; a gateway that does not come to it is killed."""
        assert self.process.stderr is not None
        late = threading.Timer(PATIENCE, self.process.kill)
        late.start()
        seen = []
        try:
            for line in self.process.stderr:
                seen.append(line)
                entry: dict[str, Any] = json.loads(line)
                if entry["event"] == event:
                    return entry
        finally:
            late.cancel()
        raise AssertionError(f"the gateway did not come to {event}:\n{''.join(seen)}")

    def send(self, *lines: bytes) -> list[str]:
        """Send lines as a device; returns the answers."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as device:
            device.sendall(b"".join(line + b"\n" for line in lines))
            answers = device.makefile()
            return [answers.readline().rstrip() for _ in lines]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode


def lines_of(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def until(ask: Callable[[], Any], decided: Callable[[Any], bool]) -> Any:
    """Ask again until it is decided; each question is a process, and takes its time."""
    for _ in range(100):
        answer = ask()
        if decided(answer):
            return answer
    raise AssertionError(f"still undecided: {answer}")


@pytest.fixture(scope="class")
def lineside(request: pytest.FixtureRequest, nursery: Nursery) -> Iterator[None]:
    """Give a class commands in a directory of its own."""
    # A path of pytest's may be longer than a Unix socket's.
    with TemporaryDirectory() as directory:
        request.cls.lineside = Lineside(Path(directory), nursery)
        try:
            request.cls.begin()
            yield
        finally:
            request.cls.lineside.end()


@pytest.mark.usefixtures("lineside")
class CommandsCase(SynchronousTestCase):
    """A directory and a gateway of its own for each class."""

    lineside: ClassVar[Lineside]

    @classmethod
    def begin(cls) -> None:
        """Make what the class's tests ask about."""

    def run_ok(self, *arguments: str) -> str:
        """Run a command that succeeds; returns its standard output."""
        done = self.lineside(*arguments)
        self.assertEqual((done.code, done.err), (0, ""), arguments)
        return done.out

    def run_failing(self, code: int, *arguments: str) -> str:
        """Run a command that fails; returns its one line on standard error."""
        done = self.lineside(*arguments)
        self.assertEqual((done.code, done.out), (code, ""), (arguments, done.err))
        self.assertEqual(done.err.count("\n"), 1, done.err)
        return done.err


class WithAGateway(CommandsCase):
    """A stand-in, prepared by the command itself, and a gateway that delivers to it."""

    gateway: ClassVar[Gateway]
    prepared: ClassVar[list[str]]
    answers: ClassVar[list[str]]

    @classmethod
    def begin(cls) -> None:
        site = cls.lineside.start(
            *("standin", "--port", "0", "--data", "erp.db", "--employees", "1"),
            *("--api-key", "key", "--api-secret", "secret"),
        )
        assert site.stdout is not None
        cls.lineside.configure(site.stdout.readline().strip().removeprefix("listening on "))
        cls.prepared = [cls.lineside("erp", "prepare").out, cls.lineside("erp", "prepare", "--json").out]
        cls.gateway = cls.lineside.gateway()
        cls.answers = cls.gateway.send(GOOD, STRANGER, OTHER, EVIL, GOOD)
        cls.gateway.log("delivery.refused")

    def letters(self, *options: str) -> list[Any]:
        return lines_of(self.run_ok("deadletters", "list", "--json", *options))

    def test_the_site_was_prepared_once(self) -> None:
        """`erp prepare` makes the field, then finds it; `check --connect` is content."""
        made, found = self.prepared
        self.assertEqual(made, "targets.erp: Employee Checkin: lineside_id created\n")
        self.assertEqual(
            json.loads(found),
            {"target": "erp", "doctype": "Employee Checkin", "field": "lineside_id", "created": False},
        )
        self.assertIn("Employee Checkin: lineside_id is there and unique\n", self.run_ok("check", "--connect"))
        self.assertTrue(json.loads(self.run_ok("check", "--connect", "--json"))["ok"])

    def test_a_line_is_tried_at_the_site(self) -> None:
        """`try --erp` asks over real connections, shows the request in the site's own time, and ends with 0."""
        program = [*self.lineside.nursery.command, "try", "gate", "--erp", "--json"]
        environ = {**os.environ, **KEYS}
        done = subprocess.run(
            program,
            check=False,
            input=GOOD,
            cwd=self.lineside.directory,
            env=environ,
            capture_output=True,
            timeout=PATIENCE,
        )
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        request = json.loads(done.stdout)["routes"]["checkin"]["erp"]
        self.assertEqual((request["method"], request["path"]), ("POST", "/api/resource/Employee%20Checkin"))
        self.assertEqual(request["body"]["time"], "2026-03-02 08:00:00.000000")

    def test_devices_were_answered(self) -> None:
        """Each line by its sequence or its error; the repeated one by its first sequence."""
        self.assertEqual(self.answers[:3] + self.answers[4:], ["OK 1", "OK 2", "OK 3", "OK 1"])
        self.assertTrue(self.answers[3].startswith("ERR "), self.answers)

    def test_events_are_listed(self) -> None:
        """For a person as a table in which nothing commands the terminal, for a program as JSON lines."""
        events = lines_of(self.run_ok("events", "list", "--json"))
        self.assertEqual([event["seq"] for event in events][:4], [1, 2, 3, 4])
        self.assertEqual((events[0]["key"], events[0]["body"]), ("a1", GOOD.decode()))
        self.assertTrue(events[3]["error"])
        self.assertEqual(
            lines_of(self.run_ok("events", "list", "--json", "--after", "1", "--limit", "1")), events[1:2]
        )
        table = self.run_ok("events", "list")
        self.assertRegex(table, r"(?m)^ *1 .* gate .*HR-EMP-00001")
        self.assertNotIn("\x1b", table)

    def test_an_event_tells_its_story(self) -> None:
        """Delivered under the ERP's own name, refused with its words, skipped, undecodable."""

        def story(seq: int) -> Any:
            return json.loads(self.run_ok("events", "show", str(seq), "--json"))

        delivered = until(lambda: story(1), lambda told: told["deliveries"][0]["state"] != "pending")
        self.assertEqual(delivered["deliveries"][0]["state"], "delivered")
        name = delivered["deliveries"][0]["name"]
        self.assertIn(f"delivered as {name}", self.run_ok("events", "show", "1"))
        self.assertEqual([one["state"] for one in story(3)["deliveries"]], ["skipped"])
        undecodable = self.run_ok("events", "show", "4")
        self.assertRegex(undecodable, "(?m)^decoding +dead")
        self.assertNotIn("\x1b", undecodable)
        self.assertEqual(
            self.run_failing(1, "events", "show", "4711").partition(";")[0], "lineside: there is no event 4711"
        )

    def test_dead_letters_are_listed_retried_and_discarded(self) -> None:
        """The ERP's reply is in the letter; another try ends where it ended; a discarded one is gone."""
        [letter] = until(lambda: self.letters("--route", "checkin"), bool)
        self.assertIn("NOBODY", letter["reason"])
        number = str(letter["id"])
        shown = self.run_ok("deadletters", "show", number)
        self.assertIn(letter["code"], shown)
        self.assertIn("NOBODY", json.loads(self.run_ok("deadletters", "show", number, "--json"))["reply"])
        self.assertIn(letter["code"], self.run_ok("deadletters", "list"))

        self.assertEqual(self.run_ok("deadletters", "retry", number), "1 given another try\n")
        self.gateway.log("delivery.refused")
        [again] = until(
            lambda: self.letters("--route", "checkin"), lambda found: bool(found) and not found[0]["retrying"]
        )
        self.assertEqual((again["seq"], again["code"]), (letter["seq"], letter["code"]))
        self.assertEqual(
            json.loads(self.run_ok("deadletters", "discard", "--route", "checkin", "--json")),
            {"done": 1, "skipped": []},
        )
        self.assertEqual(self.letters("--route", "checkin"), [])
        self.assertEqual([one["route"] for one in self.letters()], [None])
        missing = self.run_failing(1, "deadletters", "show", "4711")
        self.assertEqual(missing, "lineside: there is no dead letter 4711\n")

    def test_letters_must_be_named(self) -> None:
        """Nothing is discarded by a slip: ids or --all, not neither and not both."""
        for arguments in ((), ("1", "--all")):
            done = self.lineside("deadletters", "discard", *arguments)
            self.assertEqual((done.code, done.out), (2, ""))
            self.assertIn("name the dead letters by their ids, or say --all or --route", done.err)

    def test_events_are_followed_until_ctrl_c(self) -> None:
        """The last ones, then each as it comes; Ctrl-C is no error."""
        for options in ((), ("--json",)):
            tail = self.lineside.start("events", "tail", "--last", "1", "--source", "gate", *options)
            assert tail.stdout is not None
            tail.stdout.readline()
            [answer] = self.gateway.send(b'{"kind":"later"}')
            line = tail.stdout.readline()
            self.assertIn("later", line)
            self.assertIn(answer.removeprefix("OK "), line)
            tail.send_signal(signal.SIGINT)
            _, errors = tail.communicate(timeout=PATIENCE)
            self.assertEqual((tail.returncode, errors), (0, ""))

    def test_one_page_of_everything(self) -> None:
        """Where the output is no terminal `top` prints the page once; a program gets what it is made of."""
        shown = self.run_ok("top")
        for heading in ("ON DISK p50", "DEVICE", "WAITING", "IN USE", "ALARMS"):
            self.assertIn(heading, shown)
        self.assertIn("delivery.refused", shown)
        [overview] = lines_of(self.run_ok("top", "--json", "--devices", "1"))
        [source], [device], [route], [target] = (
            overview[part] for part in ("sources", "devices", "routes", "targets")
        )
        self.assertEqual((source["id"], source["silent"]), ("gate", []))
        self.assertGreater(source["commit_p99"], 0)
        self.assertEqual((device["device"], device["peer"]), ("127.0.0.1", "127.0.0.1"))
        self.assertEqual((route["id"], route["waiting"], target["state"]), ("checkin", 0, "open"))

    def test_a_page_on_a_terminal_until_q(self) -> None:
        """It is drawn on a screen of its own, and the terminal is given back as it was; after Ctrl-C too."""
        ours, theirs = pty.openpty()
        ends: list[Callable[[subprocess.Popen[bytes]], object]] = [
            lambda top: os.write(ours, b"q"),
            lambda top: top.send_signal(signal.SIGINT),
        ]
        self.addCleanup(os.close, ours)
        before = termios.tcgetattr(theirs)
        for end in ends:
            top = subprocess.Popen(
                [*self.lineside.nursery.command, "top"],
                cwd=self.lineside.directory,
                env={**os.environ, **KEYS, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
                stdin=theirs,
                stdout=theirs,
                stderr=subprocess.PIPE,
            )
            self.addCleanup(top.kill)
            shown = b""
            while b"checkin" not in shown:
                shown += os.read(ours, 65_536)
            self.assertIn(b"\x1b[?1049h", shown)
            end(top)
            while b"\x1b[?1049l" not in shown:
                shown += os.read(ours, 65_536)
            _, errors = top.communicate(timeout=PATIENCE)
            self.assertEqual((top.returncode, errors), (0, b""))
            self.assertEqual(termios.tcgetattr(theirs), before)
        os.close(theirs)

    def test_a_reader_that_leaves_is_no_traceback(self) -> None:
        """`lineside events tail | head` ends in silence."""
        tail = self.lineside.start("events", "tail", "--json", "--last", "1")
        assert tail.stdout is not None
        assert tail.stderr is not None
        tail.stdout.readline()
        tail.stdout.close()
        self.gateway.send(b'{"kind":"into the void"}')
        tail.wait(PATIENCE)
        self.assertEqual(tail.stderr.read(), "")

    def test_a_second_gateway_does_not_start(self) -> None:
        """One journal serves one gateway; the process that has it is named."""
        done = self.lineside("run")
        self.assertEqual(done.code, 1)
        self.assertRegex(done.err, r"is in use by another process \(pid \d+\)")
        named = int(done.err.partition("(pid ")[2].partition(")")[0])
        held = [open_file.readlink() for open_file in Path(f"/proc/{named}/fd").iterdir()]
        self.assertIn(self.lineside.directory / "journal.db", held)


class WithoutAGateway(CommandsCase):
    """A gateway whose ERP was down has stopped; its journal is asked directly."""

    seen: ClassVar[list[str]]
    followed: ClassVar[tuple[int, str, str]]
    code: ClassVar[int]

    @classmethod
    def begin(cls) -> None:
        cls.lineside.configure("http://127.0.0.1:1")
        gateway = cls.lineside.gateway()
        gateway.send(GOOD, OTHER, EVIL)
        cls.seen = [cls.lineside(*question).out for question in QUESTIONS]
        following = cls.lineside.start("events", "tail", "--since", "0", "--device", "127.0.0.1")
        assert following.stdout is not None
        # All three before it stops: a gateway that ends does not wait for who only watches.
        shown = "".join(following.stdout.readline() for _ in range(3))
        cls.code = gateway.stop()
        rest, errors = following.communicate(timeout=PATIENCE)
        cls.followed = (following.returncode, shown + rest, errors)

    def test_it_stopped_in_good_order(self) -> None:
        """SIGTERM is exit 0, and nobody can connect to a socket that is left behind."""
        self.assertEqual(self.code, 0)
        self.assertFalse((self.lineside.directory / "control.sock").exists())

    def test_the_journal_gives_the_same_answers(self) -> None:
        """Whether a gateway runs makes no difference to what is so."""
        self.assertEqual([self.run_ok(*question) for question in QUESTIONS], self.seen)
        self.assertTrue(all(self.seen), self.seen)

    def test_what_is_owed_is_pending(self) -> None:
        """An ERP that is down makes no dead letter, and costs no event."""
        story = json.loads(self.run_ok("events", "show", "1", "--json"))
        self.assertEqual([(one["route"], one["state"]) for one in story["deliveries"]], [("checkin", "pending")])

    def test_who_followed_it_is_told_that_it_stopped(self) -> None:
        """All that came is there, what is no event with its dead letter; then one line says why nothing follows."""
        code, out, errors = self.followed
        self.assertEqual((code, errors), (1, "lineside: the gateway has stopped\n"))
        first, second, third = out.splitlines()
        self.assertRegex(first, r"^ +1 \S+Z gate 127\.0\.0\.1 \{.*\}$")
        self.assertRegex(second, r"^ +2 ")
        self.assertRegex(third, r"^ +3 .* → decoding: dead \(dead letter 1\)$")

    def test_there_is_no_page_to_print(self) -> None:
        """A page of nothing would be taken for one."""
        self.assertIn("no gateway listens on", self.run_failing(1, "top", "--once"))

    def test_there_is_nothing_to_follow(self) -> None:
        """Following a gateway that does not run would wait for ever: it is an error."""
        self.assertIn("no gateway listens on", self.run_failing(1, "events", "tail"))

    def test_dead_letters_are_decided_without_a_gateway(self) -> None:
        """What still cannot be decoded stays, and says why: nothing was reached, so the exit code is 1."""
        retried = self.lineside("deadletters", "retry", "--all", "--json")
        done = json.loads(retried.out)
        self.assertEqual((retried.code, done["done"], len(done["skipped"])), (1, 0, 1))
        self.assertIn("left as it is: 1: ", self.lineside("deadletters", "retry", "1").out)
        self.assertEqual(
            self.run_failing(1, "deadletters", "discard", "9"), "lineside: there is no dead letter 9\n"
        )

    def test_a_port_that_is_taken(self) -> None:
        """The gateway says which source cannot listen, lets the journal go, and exits with 1."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            path = self.lineside.directory / "taken.toml"
            path.write_text(CONFIGURATION.replace("URL", "http://127.0.0.1:1").replace("tcp:0:", f"tcp:{port}:"))
            done = self.lineside("run", configuration=path)
        self.assertEqual(done.code, 1)
        self.assertIn(f"lineside: sources.gate: cannot listen on tcp:{port}:", done.err)
        self.run_ok("events", "list")


QUESTIONS = (
    ("events", "list"),
    ("events", "list", "--json"),
    ("events", "show", "1"),
    ("events", "show", "2", "--json"),
    ("deadletters", "list"),
    ("deadletters", "list", "--json"),
    ("deadletters", "show", "1"),
)
"""What is asked both of the gateway and of the journal alone."""
