"""Commands on OpenSSH's server: what they write becomes events, through cuts and ends, from a known host alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.rig.sshd import Sshd, make_key
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from lineside.assemble.config import load
from lineside.assemble.sources import WayIn
from lineside.assemble.sshcommandsoundings import sound_ssh_command
from lineside.delivery.backoff import Backoff
from lineside.edges.lines import dialled
from lineside.model.event import Record, Seq
from lineside.testing.journals import JournalOnFile

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

[routes.note]
doctype = "ToDo"
document = {{ description = "{{{{ n }}}}" }}

[sources.scale]
type = "ssh-command"
connect = "tcp:127.0.0.1:{port}"
user = "{user}"
key = "host/client"
known_hosts = "known_hosts"
command = {command}
{more}
"""


class HostCase(TestCase):
    """One host with a log to which a scale writes, and the source that reads it."""

    timeout = 20

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes are real)

        self.reactor: Any = reactor
        self.patch(dialled, "REDIAL", Backoff((0.02,), 0.3))
        self.host = Sshd(reactor, self.directory / "host")
        self.host.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.host.stop()))
        self.log = self.directory / "scale.log"
        self.log.touch()
        self.file = JournalOnFile(self.directory / "journal.db", lambda: 1)
        self.addCleanup(self.file.close)
        self.known(self.host.known_hosts)
        self.logged = self.enterContext(capturedLogs())

    def known(self, text: str) -> None:
        (self.directory / "known_hosts").write_text(text)

    def configure(self, command: str, more: str = "") -> Any:
        path = self.directory / "lineside.toml"
        command = json.dumps(command.replace("LOG", str(self.log)))
        path.write_text(CONFIGURATION.format(port=self.host.port, user=self.host.user, command=command, more=more))
        return load(path, environ={}).ssh_commands["scale"]

    async def run_source(self, command: str, more: str = "") -> WayIn:
        way = WayIn(self.reactor, "scale", self.configure(command, more), self.file.journal, Random(5))
        await way.source.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(way.source.stop()))
        return way

    def write(self, *numbers: int) -> None:
        with self.log.open("a") as file:
            file.write("".join(f'{{"n": {number}}}\n' for number in numbers))

    async def until(self, come: Callable[[], object]) -> None:
        while not come():
            await deferLater(self.reactor, 0.01)

    async def records(self) -> list[Record]:
        return (await self.file.journal.read(Seq(0), sources=None, limit=10_000)).records

    async def numbers(self, count: int) -> list[int]:
        """Wait for so many events, and return what is in them."""
        while len(await self.records()) < count:
            await deferLater(self.reactor, 0.01)
        return [json.loads(record.event.body)["n"] for record in await self.records()]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.logged if event.get("log_format") == name]


class Tailing(HostCase):
    """A file that grows."""

    async def test_what_is_appended_becomes_events(self) -> None:
        """From the file's beginning, then line by line; the host is the device where no field names it."""
        self.write(1, 2)
        way = await self.run_source("tail -n +1 -F LOG")
        self.assertEqual([1, 2], await self.numbers(2))
        self.write(3)
        self.assertEqual([1, 2, 3], await self.numbers(3))
        self.assertEqual({"127.0.0.1"}, {record.event.device for record in await self.records()})
        self.assertIsNone(way.status.problem)
        self.assertEqual(
            (f"ssh://{self.host.user}@127.0.0.1:{self.host.port}", 1), (way.status.address, way.status.connections)
        )

    async def test_a_cut_connection_is_taken_up_again(self) -> None:
        """The host's process dies again and again: with the whole file and keys, no line is lost or double."""
        self.write(*range(100))
        await self.run_source("tail -n +1 -F LOG", 'dedupe = "n"')
        await self.numbers(100)
        for cut in range(1, 4):
            self.host.sessions[0].kill()
            self.write(*range(100 * cut, 100 * cut + 100))
            await self.numbers(100 * cut + 100)
        self.assertEqual(list(range(400)), await self.numbers(400))
        self.assertEqual(3, len(self.events("lines.disconnected")))
        self.assertEqual(4, self.host.visits)

    async def test_a_host_that_is_another_is_told_nothing(self) -> None:
        """It is an alarm, once; nobody logs in there until the known key is shown."""
        self.write(1)
        self.known(f"[127.0.0.1]:{self.host.port} {make_key(self.directory / 'other')}")
        way = await self.run_source("tail -n +1 -F LOG")
        await self.until(lambda: self.host.visits >= 3)
        self.assertEqual(1, len(self.events("command.host_not_known")))
        self.assertIn("another key than the one it is known by", str(way.status.problem))
        self.assertNotIn("Accepted", self.host.said())
        self.known(self.host.known_hosts)
        self.assertEqual([1], await self.numbers(1))

    async def test_how_a_command_ended_is_told(self) -> None:
        """Its status or its signal, and what it said of it; it is begun again."""
        for command, told in (
            ("echo '{\"n\": 1}'; echo no such scale >&2; exit 3", "the command ended with status 3"),
            ("kill -TERM $$", "the command was ended by the signal TERM"),
        ):
            way = await self.run_source(command)
            visits = self.host.visits
            await self.until(lambda visits=visits: self.host.visits > visits + 2)  # type: ignore[misc]
            await way.source.stop()
            self.assertIn(told, [event["reason"] for event in self.events("lines.disconnected")])
        self.assertEqual("no such scale", self.events("command.complains")[0]["text"])
        self.assertGreater(len(await self.numbers(2)), 1)

    async def test_what_is_written_to_it_is_its_input(self) -> None:
        """A command that is asked, and that reads answers, gets both."""
        await self.run_source(
            'while read line; do echo "{\\"n\\": \\"$line\\"}"; done',
            'poll = { send = "S\\n", every = "1h" }\nack = true',
        )
        await self.numbers(3)
        said = [json.loads(record.event.body)["n"] for record in (await self.records())[:3]]
        self.assertEqual(["S", "OK 1", "OK 2"], said)


class Checking(HostCase):
    """What `lineside check --connect` says."""

    async def test_a_host_is_tried(self) -> None:
        """It lets us in, and the command is not run; another key is a problem, an unknown user a warning."""
        settings = self.configure("touch LOG.ran")
        good = await sound_ssh_command(self.reactor, "scale", settings)
        self.assertEqual(([], []), (good.problems, good.warnings))
        self.assertIn(f"lets {self.host.user} in; the command was not run", good.found[0])
        self.assertEqual([], list(self.directory.glob("*.ran")))
        stranger = await sound_ssh_command(self.reactor, "scale", settings.model_copy(update={"user": "nobody"}))
        self.assertIn("does not let nobody in", stranger.warnings[0])
        self.known(f"[127.0.0.1]:{self.host.port} {make_key(self.directory / 'other')}\n")
        other = await sound_ssh_command(self.reactor, "scale", settings)
        self.assertIn("shows another key than the one it is known by", other.problems[0])
