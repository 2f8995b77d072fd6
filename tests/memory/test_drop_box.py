"""A partner's file is taken when it was closed whole, and at no other time."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from time import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rig.sftp_speaker import END, NEW, ON, Speaker, Taking, make_box
from twisted.conch.ssh import filetransfer as sftp
from twisted.conch.ssh.common import NS
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from lineside.edges.ssh.dropbox.box import DropBox
from lineside.edges.ssh.dropbox.protocol import ENOUGH_BYTES
from lineside.edges.ssh.dropbox.uploads import EARLY_BYTES, SYNC_EVERY
from lineside.security.audit import Act
from lineside.testing.workers import HeldWorker

KB = bytes(range(250)) * 4


class BoxCase(TestCase):
    """A drop box, and a client on a wire in memory."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.root = tmp_path / "acme"

    async def begin(self, worker: Any = None, **limits: Any) -> DropBox:
        """Start a box, and connect."""
        self.clock = Clock()
        self.clock.rightNow = time()
        self.taking = Taking()
        self.acts: list[Act] = []
        more = {} if worker is None else {"worker": worker}
        self.box = make_box(self.root, self.taking, self.clock, self.acts, **more, **limits)
        await self.box.start()
        self.addCleanup(self.box.stop)
        self.client = self.connect()
        return self.box

    def connect(self) -> Speaker:
        """Connect once more."""
        return Speaker(self.box, self.clock)

    def refused(self, told: tuple[int, str], *words: str) -> None:
        """Check that a status is a failure whose text has the words."""
        self.assertNotEqual(told[0], sftp.FX_OK)
        for word in words:
            self.assertIn(word, told[1])


class Whole(BoxCase):
    """From the first byte to the source."""

    async def test_a_closed_file_is_taken_and_can_be_asked_after(self) -> None:
        """It is in the source's hands, gone from the inbox, and its size is still told to clients that compare."""
        await self.begin()
        self.assertEqual(self.client.put("/inbox/a.csv", KB).status[0], sftp.FX_OK)
        self.assertEqual(self.taking.taken, [("a.csv", KB)])
        self.assertEqual(self.client.files("/inbox"), [])
        self.assertEqual(self.client.look("/inbox/a.csv").size, len(KB))
        self.assertEqual([act.what for act in self.acts], ["sftp.received"])

    async def test_until_it_is_closed_there_is_nothing(self) -> None:
        """While it is sent it is neither listed nor read nor taken."""
        await self.begin()
        handle = self.client.open("/inbox/a.csv", NEW).text
        self.client.write(handle, 0, KB)
        self.assertEqual(self.client.files("/inbox"), [])
        self.refused(self.client.open("/inbox/a.csv", sftp.FXF_READ).status)
        self.assertEqual(self.taking.taken, [])

    async def test_a_cut_file_is_gone_on_with(self) -> None:
        """Its size says how far it has come; what follows makes it whole."""
        await self.begin()
        handle = self.client.open("/inbox/a.csv", NEW).text
        self.client.write(handle, 0, KB[:600])
        self.client.lose()
        self.assertEqual((self.taking.taken, self.box.receiving), ([], 0))
        again = self.connect()
        self.assertEqual(again.look("/inbox/a.csv").size, 600)
        handle = again.open("/inbox/a.csv", END).text
        again.write(handle, 600, KB[600:])
        self.assertEqual(again.close(handle).status[0], sftp.FX_OK)
        self.assertEqual(self.taking.taken, [("a.csv", KB)])
        self.assertIn("sftp.cut", [act.what for act in self.acts])

    async def test_what_was_cut_off_is_no_part_of_a_shorter_file(self) -> None:
        """A client that begins anew without saying so leaves nothing of the longer one."""
        await self.begin()
        self.client.write(self.client.open("/inbox/a.csv", NEW).text, 0, KB)
        self.client.lose()
        self.connect().put("/inbox/a.csv", b"short", ON)
        self.assertEqual(self.taking.taken, [("a.csv", b"short")])

    async def test_closing_what_nothing_was_added_to_makes_nothing_whole(self) -> None:
        """A client that gives up as soon as it goes on with a file is told that it is not whole."""
        await self.begin()
        self.client.write(self.client.open("/inbox/a.csv", NEW).text, 0, KB)
        self.client.lose()
        again = self.connect()
        self.refused(again.close(again.open("/inbox/a.csv", END).text).status, "nothing was added")
        self.assertEqual(self.taking.taken, [])

    async def test_a_file_with_a_hole_is_not_whole(self) -> None:
        """Bytes that came ahead of their turn wait; closed without those before, the file is refused."""
        await self.begin()
        handle = self.client.open("/inbox/a.csv", NEW).text
        self.client.write(handle, 0, KB[:100])
        self.assertEqual(self.client.write(handle, 200, KB[200:]).status[0], sftp.FX_OK)
        self.refused(self.client.close(handle).status, "bytes 100 to 200 never came")
        self.assertEqual(self.client.look("/inbox/a.csv").size, 100)
        self.assertEqual(self.taking.taken, [])

    async def test_memory_for_what_comes_early_has_an_end(self) -> None:
        """A client that leaves out the beginning and sends the rest is told so."""
        await self.begin()
        handle = self.client.open("/inbox/a.csv", NEW).text
        piece = bytes(200_000)
        for number in range(1, EARLY_BYTES // len(piece) + 1):
            self.assertEqual(self.client.write(handle, number * len(piece), piece).status[0], sftp.FX_OK)
        self.refused(self.client.write(handle, 100 * len(piece), piece).status, "nothing came for byte 0")
        self.refused(self.client.close(handle).status, "nothing came")

    async def test_pieces_in_any_order_make_the_same_file(self) -> None:
        """Sixty-four requests in flight may arrive as they like, and some twice."""
        await self.begin(rate=10_000)

        @settings(max_examples=25)
        @given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=4))
        def send(order: list[int], twice: list[int]) -> None:
            self.taking.taken.clear()
            handle = self.client.open("/inbox/a.csv", NEW).text
            for number in [*order, *twice]:
                at = number * 80
                self.client.send(sftp.FXP_WRITE, NS(handle) + struct.pack("!Q", at) + NS(KB[at : at + 80]))
            self.assertEqual(self.client.close(handle).status[0], sftp.FX_OK)
            self.assertEqual(self.taking.taken, [("a.csv", KB[: 12 * 80])])

        send()

    async def test_many_pieces_before_the_first_make_a_whole_file(self) -> None:
        """More of them than one call can write, and the close right behind."""
        await self.begin()
        handle = self.client.open("/inbox/a.csv", NEW).text
        pieces = [KB[number : number + 7] for number in range(900)]
        for number in range(1, len(pieces)):
            self.client.send(sftp.FXP_WRITE, NS(handle) + struct.pack("!Q", number * 7) + NS(pieces[number]))
            self.client.turn()
        first = struct.pack("!BL", sftp.FXP_WRITE, 9_000) + NS(handle) + bytes(8) + NS(pieces[0])
        close = struct.pack("!BL", sftp.FXP_CLOSE, 9_001) + NS(handle)
        self.client.protocol.dataReceived(NS(first) + NS(close))
        self.client.turn()
        self.assertEqual(self.client.answers[9_001].status[0], sftp.FX_OK)
        self.assertEqual(self.taking.taken, [("a.csv", b"".join(pieces))])

    async def test_a_draft_waits_for_its_name(self) -> None:
        """A whole file ``.filepart`` is listed, and taken when its client gives it the name that was meant."""
        await self.begin()
        for suffix in (".part", ".filepart", ".TMP"):
            self.client.put(f"/inbox/a.csv{suffix}", KB)
            self.assertEqual(self.client.files("/inbox"), [f"a.csv{suffix}"])
            self.assertEqual(self.taking.taken, [])
            self.assertEqual(self.client.rename(f"/inbox/a.csv{suffix}", "/inbox/a.csv").status[0], sftp.FX_OK)
            self.assertEqual(self.taking.taken, [("a.csv", KB)])
            self.taking.taken.clear()

    async def test_a_rename_makes_no_cut_file_whole(self) -> None:
        """What was never closed keeps its name."""
        await self.begin()
        self.client.write(self.client.open("/inbox/a.part", NEW).text, 0, KB)
        self.client.lose()
        self.refused(self.connect().rename("/inbox/a.part", "/inbox/a.csv").status, "cut off")
        self.assertEqual(self.taking.taken, [])

    async def test_who_comes_back_takes_over_from_its_own_dead_connection(self) -> None:
        """The old connection, of which nobody knows yet that it is dead, can neither write nor close any more."""
        await self.begin()
        old = self.client.open("/inbox/a.csv", NEW).text
        self.client.write(old, 0, KB[:300])
        again = self.connect()
        handle = again.open("/inbox/a.csv", END).text
        self.refused(self.client.write(old, 300, b"late").status, "another connection")
        self.refused(self.client.close(old).status, "another connection")
        again.write(handle, 300, KB[300:])
        again.close(handle)
        self.assertEqual(self.taking.taken, [("a.csv", KB)])


class Given(BoxCase):
    """From the inbox to the source."""

    async def test_a_source_that_takes_nothing_loses_nothing(self) -> None:
        """The file stays whole in the inbox, its name stays its own, and it is given again."""
        await self.begin()
        self.taking.hold()
        self.client.put("/inbox/a.csv", KB)
        self.assertEqual(self.client.files("/inbox"), ["a.csv"])
        self.assertIn("paused", str(self.box.problem))
        self.refused(self.client.open("/inbox/a.csv", NEW).status, "waits to be taken in")
        self.client.put("/inbox/b.part", b"other")
        self.refused(self.client.rename("/inbox/b.part", "/inbox/a.csv").status, "already")
        self.taking.refusal = None
        self.clock.advance(2)
        self.assertEqual(self.taking.taken, [("a.csv", KB)])
        self.assertIsNone(self.box.problem)

    async def test_a_file_that_waits_can_be_withdrawn(self) -> None:
        """Its sender removes it, and it is not taken."""
        await self.begin()
        self.taking.hold()
        self.client.put("/inbox/a.csv", KB)
        self.assertEqual(self.client.remove("/inbox/a.csv").status[0], sftp.FX_OK)
        self.taking.refusal = None
        self.clock.advance(2)
        self.assertEqual(self.taking.taken, [])

    async def test_the_next_start_goes_on(self) -> None:
        """What lay whole in the inbox is taken; a draft and a cut file are not."""
        await self.begin()
        self.taking.hold()
        for name in ("b.csv", "a.csv", "c.part"):
            self.client.put(f"/inbox/{name}", name.encode())
        self.client.write(self.client.open("/inbox/d.csv", NEW).text, 0, KB)
        await self.box.stop()
        await self.begin()
        self.assertEqual(sorted(self.taking.taken), [("a.csv", b"a.csv"), ("b.csv", b"b.csv")])
        self.assertEqual(self.client.files("/inbox"), ["c.part"])
        self.assertEqual(self.client.look("/inbox/d.csv").size, len(KB))


class Limited(BoxCase):
    """How much a partner may send."""

    async def test_a_file_has_a_largest_size(self) -> None:
        """The piece that passes it is refused in words, also aloud, and closing makes nothing whole."""
        await self.begin(largest=1_500)
        handle = self.client.open("/inbox/a.csv", NEW).text
        self.client.write(handle, 0, KB)
        self.refused(self.client.write(handle, 1_000, KB).status, "too large", "1.5 KB")
        self.refused(self.client.close(handle).status, "too large")
        self.assertIn(b"too large", self.client.wire.session.aloud[0])
        self.assertEqual(self.taking.taken, [])

    async def test_files_together_have_a_quota(self) -> None:
        """Cut files count: a partner that never closes fills its own quota and nothing else."""
        await self.begin(quota=2_500, largest=2_500)
        for name in ("a", "b"):
            self.client.write(self.client.open(f"/inbox/{name}", NEW).text, 0, KB)
        third = self.client.open("/inbox/c", NEW).text
        self.refused(self.client.write(third, 0, KB).status, "quota exceeded", "2.5 KB")
        self.refused(self.client.close(third).status, "quota")
        self.client.remove("/inbox/a")
        self.assertEqual(self.client.put("/inbox/c", KB).status[0], sftp.FX_OK)

    async def test_the_archive_makes_room(self) -> None:
        """Files whose rows are events long since are no reason to refuse new ones."""
        await self.begin(quota=2_500, largest=1_000)
        for number in range(3):
            (self.root / "archive" / f"{number}.csv").write_bytes(KB)
        self.assertEqual(self.client.put("/inbox/a.csv", KB).status[0], sftp.FX_OK)
        self.assertEqual(len(self.client.files("/archive")), 1)

    async def test_a_minute_has_so_many_files(self) -> None:
        """One more is refused, and a minute later taken."""
        await self.begin(rate=3)
        for number in range(3):
            self.client.put(f"/inbox/{number}.csv", KB)
        self.refused(self.client.open("/inbox/4.csv", NEW).status, "more than 3 files in a minute")
        self.clock.advance(61)
        self.assertEqual(self.client.put("/inbox/4.csv", KB).status[0], sftp.FX_OK)

    async def test_the_disk_keeps_some_room(self) -> None:
        """Where less is free than is to stay free, nothing is begun."""
        await self.begin(min_free=1 << 60)
        self.refused(self.client.open("/inbox/a.csv", NEW).status, "no space left")

    async def test_what_nobody_goes_on_with_is_given_up(self) -> None:
        """A cut file, an old answer and an old archived file go; what times a client gave them does not matter."""
        await self.begin(partial_after=100.0, archive_for=200.0)
        self.client.write(self.client.open("/inbox/a.csv", NEW).text, 0, KB)
        self.client.lose()
        for name in ("archive/old.csv", "outbox/old.result.csv"):
            (self.root / name).write_bytes(KB)
            os.utime(self.root / name, (0, 0))
        self.clock.advance(3_600)
        self.assertEqual([path for path in self.root.rglob("*") if path.is_file()], [])


class Asked(BoxCase):
    """What else clients ask for."""

    async def test_answers_are_read_and_removed_and_nothing_is_put_there(self) -> None:
        """The outbox is for reading and clearing, the archive for reading."""
        await self.begin()
        for folder in ("outbox", "archive"):
            (self.root / folder / "a.csv").write_bytes(KB)
            handle = self.client.open(f"/{folder}/a.csv", sftp.FXF_READ).text
            read = self.client.ask(sftp.FXP_READ, NS(handle) + struct.pack("!QL", 100, 50)).text
            self.assertEqual(read, KB[100:150])
            end = self.client.ask(sftp.FXP_READ, NS(handle) + struct.pack("!QL", 5_000, 50)).status
            self.assertEqual(end[0], sftp.FX_EOF)
            self.client.close(handle)
            self.assertEqual(self.client.open(f"/{folder}/b.csv", NEW).status[0], sftp.FX_PERMISSION_DENIED)
        self.assertEqual(self.client.remove("/outbox/a.csv").status[0], sftp.FX_OK)
        self.assertEqual(self.client.remove("/archive/a.csv").status[0], sftp.FX_PERMISSION_DENIED)

    async def test_links_and_folders_are_not_made(self) -> None:
        """And a file does not leave its folder."""
        await self.begin()
        self.taking.hold()
        self.client.put("/inbox/a.part", KB)
        for kind, rest in (
            (sftp.FXP_SYMLINK, NS(b"/inbox/link") + NS(b"/etc/passwd")),
            (sftp.FXP_MKDIR, NS(b"/inbox/deep") + struct.pack("!L", 0)),
            (sftp.FXP_MKDIR, NS(b"/other") + struct.pack("!L", 0)),
            (sftp.FXP_RMDIR, NS(b"/inbox")),
            (sftp.FXP_READLINK, NS(b"/inbox/a.part")),
            (sftp.FXP_RENAME, NS(b"/inbox/a.part") + NS(b"/outbox/a.csv")),
            (sftp.FXP_RENAME, NS(b"/inbox/a.part") + NS(b"/../../a.csv")),
            (sftp.FXP_EXTENDED, NS(b"hardlink@openssh.com") + NS(b"/inbox/a.part") + NS(b"/inbox/b")),
        ):
            self.assertNotEqual(self.client.ask(kind, rest).status[0], sftp.FX_OK)
        self.assertEqual(self.client.files("/"), ["inbox", "outbox", "archive"])
        self.assertEqual(self.client.files("/inbox"), ["a.part"])

    async def test_what_is_malformed_is_answered(self) -> None:
        """A request that is cut short, of no known kind, or for a handle that is not there gets its status."""
        await self.begin()
        for kind in range(1, 256):
            if kind == sftp.FXP_INIT:
                continue
            for rest in (b"", b"\0\0", b"\0\0\0\xff", b"\0\0\0\x01x", b"\0\0\0\x01x" * 4):
                number = self.client.send(kind, rest)
                self.client.turn()
                self.assertIn(number, self.client.answers, (kind, rest))
        self.assertEqual(self.client.put("/inbox/a.csv", KB).status[0], sftp.FX_OK)

    async def test_what_is_no_sftp_is_hung_up_on(self) -> None:
        """A length that no request has ends the connection; nothing is kept for it."""
        await self.begin()
        self.client.protocol.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        self.assertTrue(self.client.wire.disconnecting)

    async def test_a_client_may_open_only_so_much(self) -> None:
        """The sixty-fifth file is refused; the others go on."""
        await self.begin(rate=1_000)
        handles = [self.client.open(f"/inbox/{number}", NEW).text for number in range(64)]
        self.refused(self.client.open("/inbox/64", NEW).status, "open already")
        self.client.close(handles[0])
        self.assertEqual(self.client.open("/inbox/64", NEW).kind, sftp.FXP_HANDLE)

    async def test_a_slow_disk_holds_its_client_back(self) -> None:
        """While enough waits to be written the channel's window stays shut; then all is written and answered."""
        worker = HeldWorker()
        await self.begin(worker=lambda _: worker)
        handle = self.client.open("/inbox/a.csv", NEW).text
        worker.held = True
        piece = KB * 32
        channel = self.client.wire.session
        numbers: list[int] = []
        while channel.localWindowSize:
            numbers.append(
                self.client.send(
                    sftp.FXP_WRITE, NS(handle) + struct.pack("!Q", len(numbers) * len(piece)) + NS(piece)
                )
            )
            self.assertLess(len(numbers) * len(piece), 2 * ENOUGH_BYTES)
        self.client.turn()
        self.assertEqual(self.client.answers, {})
        worker.release()
        self.client.turn()
        self.assertEqual(set(self.client.answers), set(numbers))
        self.assertGreater(channel.localWindowSize, 0)
        self.client.close(handle)
        self.assertEqual(self.taking.taken, [("a.csv", piece * len(numbers))])

    async def test_a_client_that_reads_nothing_is_asked_for_nothing(self) -> None:
        """Reads are carried out as far as their answers are fetched; the rest follows."""
        await self.begin()
        (self.root / "outbox" / "a.csv").write_bytes(bytes(1 << 20))
        handle = self.client.open("/outbox/a.csv", sftp.FXF_READ).text
        channel = self.client.wire.session
        channel.full = True
        number = self.client.send(sftp.FXP_READ, NS(handle) + struct.pack("!QL", 0, 1_000))
        self.client.turn()
        self.assertEqual((self.client.answers, channel.localWindowSize), ({}, 0))
        channel.full = False
        self.client.protocol.drained()
        self.client.turn()
        self.assertEqual(self.client.answers[number].text, bytes(1_000))

    async def test_the_record_has_an_end(self) -> None:
        """What a connection does after its first thousand acts is counted."""
        await self.begin()
        for _ in range(1_010):
            self.client.ask(sftp.FXP_SYMLINK, NS(b"/inbox/link") + NS(b"/etc/passwd"))
        self.client.lose()
        self.assertEqual(len(self.acts), 1_001)
        self.assertEqual(self.acts[-1].facts["more"], 10)


class Failing(BoxCase):
    """Disks that fail."""

    async def test_a_disk_that_fails_while_it_syncs_ahead_makes_no_file_whole(self) -> None:
        """What was told of the failure once is not forgotten until the file is closed."""
        await self.begin()

        def fails(descriptor: int) -> None:
            raise OSError(5, "Input/output error")

        self.patch(os, "fdatasync", fails)
        handle = self.client.open("/inbox/a.csv", NEW).text
        piece = bytes(256 * 1000)
        for number in range(SYNC_EVERY // len(piece) + 1):
            self.client.write(handle, number * len(piece), piece)
        self.refused(self.client.close(handle).status, "the disk fails")
        self.assertEqual(self.taking.taken, [])

    async def test_a_source_that_stumbles_does_not_end_the_box(self) -> None:
        """The file is given again, and those after it follow."""
        await self.begin()
        self.taking.refusal = RuntimeError("nobody thought of it")
        self.client.put("/inbox/a.csv", KB)
        self.client.put("/inbox/b.csv", KB)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.taking.refusal = None
        self.clock.advance(2)
        self.assertEqual([name for name, _ in self.taking.taken], ["a.csv", "b.csv"])
