"""Files on the disk: names that partners choose, and files that appear whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.files import spool


class Names(SynchronousTestCase):
    """What becomes of a partner's file name."""

    @given(st.text(max_size=400) | st.sampled_from(["..", ".", "../../etc/passwd", "a\0b", ".hidden", "C:\\x", ""]))
    def test_no_name_leads_anywhere(self, name: str) -> None:
        """It is one visible entry of a folder, and leaves room for what answers put behind it."""
        plain = spool.plain(name)
        self.assertEqual(plain, Path("/folder", plain).name)
        self.assertFalse(plain.startswith("."))
        self.assertNotIn("\0", plain)
        self.assertLessEqual(len(plain.encode()), spool.LONGEST)

    def test_a_usual_name_stays(self) -> None:
        """Letters of any language, spaces and dashes are nobody's danger."""
        self.assertEqual("Bestellung 17-März.csv", spool.plain("Bestellung 17-März.csv"))


class Moving(SynchronousTestCase):
    """From one folder to another."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "file"
        self.file.write_bytes(b"content")

    def test_no_file_is_overwritten_in_the_archive(self) -> None:
        """A second one of the same name gets a number, before its suffix."""
        archive = self.folder / "archive"
        archive.mkdir()
        (archive / "a.csv").write_bytes(b"first")
        self.assertEqual(archive / "a.2.csv", spool.move_on(self.file, archive, "a.csv"))
        self.assertIsNone(spool.move_on(self.file, archive, "a.csv"))
        self.assertEqual([b"first", b"content"], [(archive / name).read_bytes() for name in ("a.csv", "a.2.csv")])

    def test_another_file_system_is_no_hindrance(self) -> None:
        """Where it cannot be renamed it is copied whole, and then removed."""
        rename, refused = Path.replace, []

        def replace(path: Path, goal: Path) -> Path:
            if path == self.file:
                refused.append(goal)
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            return rename(path, goal)

        self.patch(Path, "replace", replace)
        spool.take_in(self.file, self.folder / "there")
        self.assertEqual([self.folder / "there"], refused)
        self.assertEqual(["there"], [path.name for path in self.folder.iterdir()])
        self.assertEqual(b"content", (self.folder / "there").read_bytes())

    def test_what_dead_processes_left_is_swept_away(self) -> None:
        """Only what nobody writes any more."""
        for name, changed in ((".old.lineside", 10), (".new.lineside", 100), (".other", 10)):
            (self.folder / name).touch()
            os.utime(self.folder / name, (changed, changed))
        spool.sweep(self.folder, 50)
        self.assertEqual({".new.lineside", ".other", "file"}, {path.name for path in self.folder.iterdir()})

    def test_an_answer_is_there_whole_or_not_at_all(self) -> None:
        """An older one stays until the new one is whole; nothing is left of one that failed."""
        self.file.write_bytes(b"old")

        def parts() -> NoReturn:
            raise OSError(errno.ENOSPC, "No space left on device")

        with self.assertRaises(OSError):
            spool.write(self.file, (parts() for _ in range(1)))
        self.assertEqual(b"old", self.file.read_bytes())
        spool.write(self.file, [b"n", b"ew"])
        self.assertEqual(b"new", self.file.read_bytes())
        self.assertEqual(["file"], [path.name for path in self.folder.iterdir()])
