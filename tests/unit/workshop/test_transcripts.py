"""Output in the course's text is what programs print."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.workshop.transcripts import difference, transcripts

OUTPUT = """1. A scanner sends a line
  scanner | sends   'BOLT-M8 5'
  scanner | hears   'OK MAT-STE-2026-00001'
It took 12 ms.
  ok  one document
"""


class Transcripts(SynchronousTestCase):
    """Fences on a page, and an output."""

    def test_found_on_a_page(self) -> None:
        """With the program, the line and what they show; other fences are none."""
        page = "A\n```text\nno\n```\n\n<!-- seen in demo.py -->\n```text\n  one\n…\n\n  two …\n```\n"
        (found,) = transcripts(page)
        self.assertEqual(("demo.py", 6, ["one", "two …"]), (found.file, found.line, found.seen))

    def test_a_mark_without_a_fence_and_an_empty_one(self) -> None:
        """Both are errors: nothing could ever be missing from them."""
        self.assertRaises(ValueError, transcripts, "<!-- seen in demo.py -->\n\n```text\nA\n```\n")
        self.assertRaises(ValueError, transcripts, "<!-- seen in demo.py -->\n```text\n…\n```\n")

    def test_lines_in_order_with_others_between(self) -> None:
        """White space at the ends and what `…` stands for may be anything."""
        self.assertIsNone(difference(["1. A scanner sends a line", "It took … ms.", "ok  one document"], OUTPUT))
        self.assertIsNone(difference(["scanner | hears   'OK MAT-STE-…'"], OUTPUT))

    def test_a_part_of_a_line_is_not_the_line(self) -> None:
        """A transcript shows whole lines, so a changed end is noticed."""
        self.assertIsNotNone(difference(["1. A scanner sends"], OUTPUT))

    def test_what_is_missing_is_told_with_what_is_near(self) -> None:
        """The line, the one before it, the nearest, and how the output goes on."""
        told = difference(["1. A scanner sends a line", "It took 12 seconds."], OUTPUT)
        assert told is not None
        for text in ("It took 12 seconds.", "1. A scanner sends a line", "It took 12 ms.", "sends   'BOLT-M8 5'"):
            self.assertIn(text, told)

    def test_the_wrong_order_is_told_as_such(self) -> None:
        """The line is there, but before the one that should precede it."""
        told = difference(["ok  one document", "It took … ms."], OUTPUT)
        assert told is not None
        self.assertIn("earlier", told)
        self.assertIn("there it ends", told)
