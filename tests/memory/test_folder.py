"""A local folder as a source."""

from __future__ import annotations

from tests.rig.file_case import FileCase

from lineside.edges.files import folder as folders
from lineside.edges.files.aside import Aside
from lineside.edges.files.folder import Folder, Watched
from lineside.testing.workers import InlineWorker, call_at_once


class Watching(FileCase):
    """Files that appear in it."""

    def watch(self, pattern: str = "*", done: str = "") -> Folder:
        watched = Watched(self.folder / "in", pattern, done)
        aside = Aside("folder", call_at_once, InlineWorker)
        folder = Folder("edi", watched, "acme", self.intake, self.clock, every=1, aside=aside)
        self.done(folder.start())
        self.addCleanup(lambda: self.done(folder.stop()))
        return folder

    def test_a_file_is_taken_when_it_rests(self) -> None:
        """One that still grows is left alone."""
        self.watch()
        path = self.put(b"a,1\n")
        self.wait(1)
        with path.open("ab") as file:
            file.write(b"b,2\n")
        self.wait(1)
        self.assertEqual(0, len(self.records()))
        self.wait(1)
        self.assertEqual(2, len(self.records()))
        self.assertFalse(path.exists())

    def test_only_finished_names_that_fit_are_taken(self) -> None:
        """No hidden ones, none that other programs use meanwhile, no folders and no links."""
        self.watch("*.csv")
        names = (".a.csv", "b.csv.part", "c.csv.filepart", "d.txt")
        for name in names:
            self.put(b"a,1\n", name)
        (self.folder / "in" / "folder.csv").mkdir()
        (self.folder / "in" / "link.csv").symlink_to(self.put(b"secret,1\n", "secret"))
        self.put(b"a,1\n", "good.csv")
        self.wait(3)
        self.assertEqual(1, len(self.records()))
        left = {path.name for path in (self.folder / "in").iterdir()}
        self.assertEqual({*names, "folder.csv", "secret", "link.csv"}, left)

    def test_a_mark_says_that_a_file_is_whole(self) -> None:
        """It goes with its file."""
        self.watch(done=".done")
        self.put(b"a,1\n")
        self.wait(5)
        self.assertEqual(0, len(self.records()))
        self.put(b"", "a.csv.done")
        self.wait(1)
        self.assertEqual(1, len(self.records()))
        self.assertEqual([], list((self.folder / "in").iterdir()))

    def test_a_file_that_cannot_be_taken_keeps_no_other(self) -> None:
        """It is told, and tried again."""
        said: list[str] = []
        self.patch(folders.log, "warn", lambda name, **_: said.append(name))
        self.patch(folders.log, "info", lambda name, **_: said.append(name))
        folder = self.watch()
        self.put(b"x,1\n" * 300, "a-large.csv")
        self.put(b"a,1\n", "b.csv")
        self.wait(3)
        self.assertEqual(1, len(self.records()))
        self.assertIn("has no room", str(folder.problem))
        (self.folder / "in" / "a-large.csv").unlink()
        self.wait(1)
        self.assertIsNone(folder.problem)
        self.assertEqual(["folder.failing", "folder.works_again"], said)
