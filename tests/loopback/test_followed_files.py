"""Files on OpenSSH's server that are followed: each line becomes one event, through cuts and rotations."""

from __future__ import annotations

from typing import Any

from tests.rig.host_case import HostCase
from tests.rig.sshd import make_key

from lineside.assemble.sshcommandsoundings import sound_ssh_command
from lineside.edges.ssh.client import follow
from lineside.edges.ssh.client.runs import Output, begin

FOLLOW = "follow = 'LOG'\nevery = '100ms'"


class Following(HostCase):
    """One file."""

    def setUp(self) -> None:
        super().setUp()
        self.runs = 0

        async def counted(*given: Any) -> Output:
            self.runs += 1
            return await begin(*given)

        self.patch(follow, "begin", counted)

    async def looks(self, times: int = 2) -> None:
        """Wait until it was looked at so many times."""
        runs = self.runs + times + 1
        await self.until(lambda: self.runs >= runs)

    def rotate(self) -> None:
        self.log.rename(f"{self.log}.1")
        self.log.touch()

    async def test_what_is_appended_becomes_events(self) -> None:
        """A line when it has its end, from the named host, and once."""
        self.write(1, 2)
        way = await self.run_source(FOLLOW)
        await self.numbers(2)
        with self.log.open("a") as file:
            file.write('{"n": ')
        await self.looks()
        with self.log.open("a") as file:
            file.write("3}\n")
        self.assertEqual([1, 2, 3], await self.numbers(3))
        await self.looks()
        self.assertEqual([1, 2, 3], await self.numbers(3))
        self.assertEqual({"127.0.0.1"}, {record.event.device for record in await self.records()})
        self.assertEqual((None, 3), (way.status.problem, way.status.received))
        self.assertEqual(f"ssh://{self.host.user}@127.0.0.1:{self.host.port}{self.log}", way.status.address)

    async def test_it_goes_on_where_it_was(self) -> None:
        """After cuts, and after a restart, with what was written meanwhile; no line has a key."""
        self.write(*range(50))
        way = await self.run_source(FOLLOW)
        await self.numbers(50)
        for cut in range(1, 3):
            self.host.sessions[0].kill()
            self.write(*range(50 * cut, 50 * cut + 50))
            await self.numbers(50 * cut + 50)
        await way.source.stop()
        self.write(*range(150, 200))
        await self.run_source(FOLLOW)
        self.assertEqual(list(range(200)), await self.numbers(200))

    async def test_a_rotated_file_is_read_to_its_end(self) -> None:
        """Also by who writes to it for a while yet, and leaves a line without end; then the new one is."""
        self.write(*range(10))
        way = await self.run_source(FOLLOW)
        await self.numbers(10)
        with self.log.open("a") as writer:
            self.rotate()
            self.write(12, 13)
            writer.write('{"n": 10}\n{"n": 11}')
        self.assertEqual(list(range(14)), await self.numbers(14))
        await self.looks()
        self.write(14)
        self.assertEqual(list(range(15)), await self.numbers(15))
        await way.source.stop()
        self.write(15)
        self.rotate()
        self.write(16)
        await self.run_source(FOLLOW)
        self.assertEqual(list(range(17)), await self.numbers(17))
        self.assertEqual([], self.events("command.place_lost"))

    async def test_a_file_that_is_copied_and_cut_is_told_as_well(self) -> None:
        """As `copytruncate` of logrotate does it."""
        self.write(*range(10))
        await self.run_source(FOLLOW)
        await self.numbers(10)
        content = self.log.read_bytes()
        (self.log.parent / "scale.log.1").write_bytes(content)
        self.log.write_bytes(b"")
        self.write(10)
        self.assertEqual(list(range(11)), await self.numbers(11))
        self.assertEqual(1, len(self.events("command.rotated")))

    async def test_a_place_that_is_lost_is_told(self) -> None:
        """The file was replaced, and what it was is nowhere: nobody knows what is missing."""
        self.write(*range(10))
        await self.run_source(FOLLOW)
        await self.numbers(10)
        self.log.unlink()
        self.write(10)
        await self.numbers(11)
        lost = self.events("command.place_lost")
        self.assertEqual(1, len(lost))
        self.assertEqual(len(b'{"n": 0}\n') * 10, lost[0]["offset"])

    async def test_a_file_that_is_not_there_is_waited_for(self) -> None:
        """That is told once, and over one connection."""
        self.log.unlink()
        way = await self.run_source(FOLLOW)
        await self.until(lambda: "does not show" in str(way.status.problem))
        await self.looks()
        self.write(1)
        self.assertEqual([1], await self.numbers(1))
        self.assertEqual(1, len(self.events("command.failing")))
        self.assertEqual(1, self.host.visits)
        self.assertIn("No such file", self.events("command.complains")[0]["text"])
        await self.until(lambda: way.status.problem is None)

    async def test_a_file_may_begin_with_what_is_to_come(self) -> None:
        """Half a line that is there already is taken whole."""
        self.write(*range(500))
        with self.log.open("a") as file:
            file.write('{"n": ')
        await self.run_source(f"{FOLLOW}\nbegin = 'new'")
        await self.until(lambda: self.events("command.follows"))
        with self.log.open("a") as file:
            file.write("500}\n")
        self.write(501)
        self.assertEqual([500, 501], await self.numbers(2))

    async def test_what_cannot_be_stored_is_found_again(self) -> None:
        """A full journal loses nothing, and doubles nothing."""
        self.write(*range(10))
        way = await self.run_source(FOLLOW)
        await self.numbers(10)
        self.file.journal.refusal = "the disk is full"
        self.write(*range(10, 20))
        await self.until(lambda: "cannot store: the disk is full" in str(way.status.problem))
        self.file.journal.refusal = None
        self.assertEqual(list(range(20)), await self.numbers(20))

    async def test_a_large_file_comes_in_pieces(self) -> None:
        """Megabytes that were written before, and lines that are too long or wrong among them."""
        numbers = range(30_000)
        with self.log.open("a") as file:
            for number in numbers:
                file.write(f'{{"n": {number}, "pad": "{"x" * 100}"}}\n')
                if number == 100:
                    file.write("x" * 200_000 + "\nno JSON\n")
        way = await self.run_source(FOLLOW)
        await self.until(lambda: way.status.received == len(numbers) + 2)
        self.assertEqual(2, way.status.undecodable)

    async def test_a_host_that_is_another_is_told_nothing(self) -> None:
        """As with commands."""
        self.known(f"[127.0.0.1]:{self.host.port} {make_key(self.directory / 'other')}")
        way = await self.run_source(FOLLOW)
        await self.until(lambda: self.host.visits >= 3)
        self.assertEqual(1, len(self.events("command.host_not_known")))
        self.assertIn("another key than the one it is known by", str(way.status.problem))
        self.assertNotIn("Accepted", self.host.said())

    async def test_the_check_looks_at_the_file(self) -> None:
        """Of one that is not there it warns, with the name."""
        good = await sound_ssh_command(self.reactor, "scale", self.configure(FOLLOW))
        self.assertIn(f"lets {self.host.user} in; it shows {self.log}", good.found[0])
        missing = await sound_ssh_command(self.reactor, "scale", self.configure("follow = 'LOG.old'"))
        self.assertIn(f"the host does not show {self.log}.old", missing.warnings[0])
