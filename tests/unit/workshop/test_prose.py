"""A chapter's text away from the repository."""

from __future__ import annotations

from pathlib import Path

from tests.rig.small_course import README, small_course
from twisted.trial.unittest import SynchronousTestCase

from lineside.workshop.prose import for_terminal, standing_alone


class StandingAlone(SynchronousTestCase):
    """In a learner's folder."""

    def test_links_out_of_the_course_name_their_files(self) -> None:
        """They would lead nowhere; links within the course stay, and so does code."""
        text = standing_alone(README)
        self.assertIn("See the code (`src/lineside/model/event.py` in Lineside's repository), ", text)
        self.assertIn("[chapter 2](../02_products/README.md)", text)
        self.assertIn("# [no](../../link.md)", text)

    def test_what_is_in_the_folder_stays_linked(self) -> None:
        """So do pictures and addresses of the web."""
        text = "[a](example.py) ![b](diagram.svg) [c](https://example.org/src/x) [d](#part)"
        self.assertEqual(text, standing_alone(text))


class ForTerminal(SynchronousTestCase):
    """In a terminal."""

    def setUp(self) -> None:
        """Have a chapter's folder."""
        self.folder = small_course(Path(self.mktemp())).root / "01_sums"

    def test_a_picture_is_drawn_in_characters(self) -> None:
        """Its sentence first, then what `diagram.txt` holds, as it is."""
        self.assertIn("*Two numbers become one.*\n\n```text\n1 ──► +\n```", for_terminal(README, self.folder))

    def test_a_picture_without_characters_is_its_sentence(self) -> None:
        """Nothing of the picture's file is left in the text."""
        (self.folder / "diagram.txt").unlink()
        text = for_terminal(README, self.folder)
        self.assertIn("*Two numbers become one.*", text)
        self.assertNotIn("diagram", text)

    def test_remarks_are_hidden_and_links_are_words(self) -> None:
        """Code stays as it is, whatever it looks like."""
        text = for_terminal(README, self.folder)
        self.assertNotIn("a remark for authors", text)
        self.assertIn(" chapter 2.", text)
        self.assertIn("answer = 1 + 1  # [no](../../link.md)", text)
