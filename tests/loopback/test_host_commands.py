"""Commands on OpenSSH's server: what they write becomes events, through cuts and ends, from a known host alone."""

from __future__ import annotations

import json

from tests.rig.host_case import HostCase
from tests.rig.sshd import make_key

from lineside.assemble.sshcommandsoundings import sound_ssh_command

TAIL = "command = 'tail -n +1 -F LOG'"


class Tailing(HostCase):
    """A file that grows."""

    async def test_what_is_appended_becomes_events(self) -> None:
        """From the file's beginning, then line by line; the host is the device where no field names it."""
        self.write(1, 2)
        way = await self.run_source(TAIL)
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
        await self.run_source(f'{TAIL}\ndedupe = "n"')
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
        way = await self.run_source(TAIL)
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
            way = await self.run_source(f"command = {json.dumps(command)}")
            visits = self.host.visits
            await self.until(lambda visits=visits: self.host.visits > visits + 2)  # type: ignore[misc]
            await way.source.stop()
            self.assertIn(told, [event["reason"] for event in self.events("lines.disconnected")])
        self.assertEqual("no such scale", self.events("command.complains")[0]["text"])
        self.assertGreater(len(await self.numbers(2)), 1)

    async def test_what_is_written_to_it_is_its_input(self) -> None:
        """A command that is asked, and that reads answers, gets both."""
        await self.run_source(
            r"""command = '''while read line; do echo "{\"n\": \"$line\"}"; done'''""" + "\n"
            'poll = { send = "S\\n", every = "1h" }\nack = true',
        )
        await self.numbers(3)
        said = [json.loads(record.event.body)["n"] for record in (await self.records())[:3]]
        self.assertEqual(["S", "OK 1", "OK 2"], said)


class Checking(HostCase):
    """What `lineside check --connect` says."""

    async def test_a_host_is_tried(self) -> None:
        """It lets us in, and the command is not run; another key is a problem, an unknown user a warning."""
        settings = self.configure("command = 'touch LOG.ran'")
        good = await sound_ssh_command(self.reactor, "scale", settings)
        self.assertEqual(([], []), (good.problems, good.warnings))
        self.assertIn(f"lets {self.host.user} in; the command was not run", good.found[0])
        self.assertEqual([], list(self.directory.glob("*.ran")))
        stranger = await sound_ssh_command(self.reactor, "scale", settings.model_copy(update={"user": "nobody"}))
        self.assertIn("does not let nobody in", stranger.warnings[0])
        self.known(f"[127.0.0.1]:{self.host.port} {make_key(self.directory / 'other')}\n")
        other = await sound_ssh_command(self.reactor, "scale", settings)
        self.assertIn("shows another key than the one it is known by", other.problems[0])
