"""Whatever a partner asks for, it is one of three folders, or one name in one of them, or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.ssh.dropbox.folders import Folders
from lineside.edges.ssh.dropbox.names import (
    FOLDERS,
    LONGEST_NAME,
    BadName,
    NotHere,
    Place,
    is_draft,
    place_of,
)

WORDS = (
    *(
        "..",
        ".",
        "",
        "inbox",
        "outbox",
        "archive",
        "INBOX",
        ".partial",
        "link",
        "away",
        "secret",
        "etc",
        "passwd",
        "~",
    ),
    *("\uff0e\uff0e", "\u2025", "\uff0f", "a\uff0fb", "\u2044", "..\\..", "con", "NUL.csv", "a\0b", "x" * 300),
    *("%2e%2e", "\u202egnp", "e\u0301", "\u00e9", " ..", ".. ", "...", "..;", "orders.csv", "\ud800", "a.csv"),
)
PARTS = st.one_of(st.sampled_from(WORDS), st.text(max_size=12))
PATHS = st.one_of(
    st.lists(PARTS, max_size=8).map(lambda parts: "/".join(parts).encode("utf-8", "surrogatepass")),
    st.binary(max_size=40),
)


def made(random: Random, number: int) -> Iterator[bytes]:
    """Yield paths of words that have led elsewhere somewhere, and of any characters."""
    for _ in range(number):
        parts = [
            random.choice(WORDS) if random.random() < 0.8 else "".join(map(chr, random.choices(range(0x3000), k=5)))
            for _ in range(random.randrange(1, 7))
        ]
        yield "/".join(parts).encode("utf-8", "surrogatepass")


class Names(SynchronousTestCase):
    """From the bytes of a request to a place."""

    def test_a_path_means_the_same_however_it_is_written(self) -> None:
        """With detours and without its first slash a path leads to the same file; above the root is the root."""
        for path in (b"/inbox/a.csv", b"inbox/a.csv", b"//inbox/./a.csv", b"/../outbox/../inbox/a.csv"):
            self.assertEqual(place_of(path), Place("inbox", "a.csv"))
        for path in (b"", b".", b"/", b"/..", b"/../..", b"/inbox/.."):
            self.assertEqual(place_of(path), Place())
        self.assertEqual(place_of("/inbox/Bestellung März.csv".encode()).path, "/inbox/Bestellung März.csv")

    def test_there_is_nothing_but_three_folders(self) -> None:
        """Other folders, folders in folders, and folders in other letters are not there."""
        for path in (b"/etc/passwd", b"/inbox/a/b", b"/Inbox/a", b"/.partial/a", b"/inbox/../.partial/a"):
            self.assertRaises(NotHere, place_of, path)

    def test_some_names_are_no_files_anywhere(self) -> None:
        """Hidden ones, ones that are paths once they are normalised, devices, and what no screen shows."""
        for name in (
            ".hidden",
            "a\\b",
            "a\0b",
            "a\nb",
            "\uff0e\uff0e",
            "a\uff0fb",
            "nul",
            "COM1.csv",
            "a ",
            "a.",
            "\u202ea",
        ):
            self.assertRaises(BadName, place_of, f"/inbox/{name}".encode())
        self.assertRaises(BadName, place_of, b"/inbox/\xff\xfe")
        self.assertRaises(BadName, place_of, b"/inbox/" + b"x" * (LONGEST_NAME + 1))
        self.assertRaises(BadName, place_of, b"/." * 5_000)

    def test_drafts_are_told_by_their_ends(self) -> None:
        """A name with which a client says "not yet" is known in any letters."""
        for name in ("a.csv.part", "a.csv.FILEPART", "a.tmp"):
            self.assertTrue(is_draft(name))
        for name in ("part", "a.csv", "a.part.csv"):
            self.assertFalse(is_draft(name))

    @settings(max_examples=150)
    @given(PATHS)
    @example(b"/inbox/../../../../etc/passwd")
    def test_every_path_is_a_place_or_refused(self, path: bytes) -> None:
        """Nothing else comes of any bytes, and what a place says of itself means that place again."""
        self.judge(path)

    def test_ten_thousand_made_paths_are_places_or_refused(self) -> None:
        """The same holds of many more."""
        for path in made(Random(1), 10_000):
            self.judge(path)

    def judge(self, path: bytes) -> None:
        """Say what must hold of any path."""
        try:
            place = place_of(path)
        except (NotHere, BadName):
            return
        self.assertIn(place.folder, (None, *FOLDERS))
        if place.name is not None:
            self.assertNotIn("/", place.name)
            self.assertNotIn("\0", place.name)
            self.assertNotIn(place.name, ("", ".", ".."))
        self.assertEqual(place_of(place.path.encode()), place)


class Reach(SynchronousTestCase):
    """What can be opened, beside a secret, a link to it, and links to folders."""

    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        top = Path(temporary.name)
        self.secret = top / "secret"
        self.secret.write_text("secret")
        self.folders = Folders(top / "acme")
        self.addCleanup(self.folders.close)
        for folder in FOLDERS:
            (top / "acme" / folder / "link").symlink_to(self.secret)
            (top / "acme" / folder / "away").symlink_to(top)
            (top / "acme" / folder / "loop").symlink_to("loop")
            os.mkfifo(top / "acme" / folder / "pipe")
        (top / "acme" / ".partial" / "link").symlink_to(self.secret)
        (top / "acme" / "inbox" / "a.csv").write_text("mine")
        self.top = top

    def read(self, path: bytes) -> bytes | None:
        """Return what a path gives its reader; None for nothing."""
        try:
            place = place_of(path)
            if place.folder is None or place.name is None:
                return None
            descriptor = self.folders.read(place.folder, place.name)
        except (NotHere, BadName, OSError):
            return None
        try:
            return os.read(descriptor, 100)
        finally:
            os.close(descriptor)

    def test_links_are_neither_followed_nor_listed(self) -> None:
        """Whoever planted them: neither reading nor sending follows a link, and a pipe keeps nobody waiting."""
        self.assertEqual(self.read(b"/inbox/a.csv"), b"mine")
        for name in (b"link", b"loop", b"pipe", b"away", b"away/secret"):
            self.assertIsNone(self.read(b"/inbox/" + name))
        self.assertEqual([file.name for file in self.folders.files("inbox")], ["a.csv"])
        self.assertRaises(OSError, self.folders.write_partial, "link", afresh=True)
        self.assertEqual(self.secret.read_text(), "secret")

    def test_a_folder_that_is_a_link_is_refused(self) -> None:
        """A box whose inbox leads elsewhere does not come up."""
        (self.top / "other").mkdir()
        (self.top / "other" / "inbox").symlink_to(self.top)
        self.assertRaises(OSError, Folders, self.top / "other")

    @settings(max_examples=150)
    @given(PATHS)
    def test_nothing_outside_is_ever_read(self, path: bytes) -> None:
        """Of thousands of made paths none gives a byte of the secret, nor of anything but the one file."""
        self.assertIn(self.read(path), (None, b"mine"))

    def test_ten_thousand_made_paths_read_nothing_outside(self) -> None:
        """Neither do many more, of which some do lead to the one file."""
        read = [self.read(path) for path in made(Random(2), 10_000)]
        self.assertEqual(set(read), {None, b"mine"})
