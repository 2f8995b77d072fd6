"""A learner's folder: what is put there, what is left alone, and what is remembered."""

from __future__ import annotations

import os
from pathlib import Path

from tests.rig.small_course import FILES, KEPT_BACK, small_course
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.errors import ConfigurationError, LinesideError
from lineside.workshop.learner import MARKER, LearnerFolder, begin, found

EXERCISE = "01_sums/exercise_1_add.py"


class Case(SynchronousTestCase):
    """Has a course and a folder that was begun."""

    def setUp(self) -> None:
        """Begin."""
        self.course = small_course(Path(self.mktemp()))
        self.sums, self.products = self.course.chapters
        self.root = Path(self.mktemp()).absolute()
        self.begun = begin(self.root, self.course)
        self.folder = LearnerFolder(self.root, self.course)

    def text(self, name: str) -> str:
        """Return what a file of the learner's holds."""
        return (self.root / name).read_text(encoding="utf-8")


class Beginning(Case):
    """`begin`, once and again."""

    def test_a_new_folder_gets_what_a_learner_needs(self) -> None:
        """Everything but checks, solutions and the teacher's notes, and a README that names the commands."""
        there = {str(file.relative_to(self.root)) for file in self.root.rglob("*") if file.is_file()}
        expected = {name for name in FILES if "/" in name and Path(name).name not in KEPT_BACK}
        self.assertEqual(expected | {"README.md", MARKER}, there)
        self.assertEqual((True, []), (self.begun.new, self.begun.renewed))
        self.assertEqual(FILES[EXERCISE], self.text(EXERCISE))
        self.assertIn("lineside workshop check", self.text("README.md"))
        self.assertIn("[Sums](01_sums/README.md)", self.text("README.md"))

    def test_the_texts_stand_alone(self) -> None:
        """No link of theirs leads out of the folder."""
        self.assertNotIn("](../../src", self.text("01_sums/README.md"))

    def test_a_folder_with_something_else_is_refused(self) -> None:
        """And left as it was."""
        other = Path(self.mktemp())
        other.mkdir()
        (other / "letter.txt").write_text("Dear")
        wrong = self.assertRaises(LinesideError, begin, other, self.course)
        self.assertIn("not empty", str(wrong))
        self.assertEqual(["letter.txt"], [file.name for file in other.iterdir()])

    def test_again_it_adds_what_is_missing_and_leaves_what_was_edited(self) -> None:
        """A deleted file comes back; an edited one stays."""
        (self.root / EXERCISE).write_text("mine")
        (self.root / "01_sums/diagram.txt").unlink()
        again = begin(self.root, self.course)
        self.assertEqual((False, ["01_sums/diagram.txt"], []), (again.new, again.added, again.renewed))
        self.assertEqual("mine", self.text(EXERCISE))

    def test_a_newer_course_renews_what_was_not_edited(self) -> None:
        """Corrections reach learners, and cost them no line of their own."""
        (self.root / EXERCISE).write_text("mine")
        for name in (EXERCISE, "01_sums/example.py"):
            (self.course.root / name).write_text("newer")
        again = begin(self.root, self.course)
        self.assertEqual(([], ["01_sums/example.py"]), (again.added, again.renewed))
        self.assertEqual(("mine", "newer"), (self.text(EXERCISE), self.text("01_sums/example.py")))

    def test_progress_outlives_it(self) -> None:
        """What was solved stays solved."""
        self.folder.mark_passed(self.sums.exercises[0])
        begin(self.root, self.course)
        self.assertIn("add", LearnerFolder(self.root, self.course).progress.passed)


class Finding(Case):
    """`found`: the folder that a command is about."""

    def test_the_nearest_above(self) -> None:
        """Commands work anywhere in the folder."""
        os.chdir(self.root / "01_sums")
        here = found(None, self.course)
        assert here is not None
        self.assertEqual(self.root.resolve(), here.root)

    def test_none(self) -> None:
        """Elsewhere there is none."""
        self.assertIsNone(found(None, self.course))

    def test_a_given_one_must_be_one(self) -> None:
        """The error says how to make it one."""
        here = found(self.root, self.course)
        assert here is not None
        self.assertEqual(self.root, here.root)
        wrong = self.assertRaises(ConfigurationError, found, self.root / "01_sums", self.course)
        self.assertIn("lineside workshop start", str(wrong))

    def test_damaged_progress_is_told_with_the_remedy(self) -> None:
        """Not with a traceback, and nothing is overwritten."""
        (self.root / MARKER).write_text('{"passed": 5}')
        wrong = self.assertRaises(LinesideError, found, self.root, self.course)
        self.assertIn("passed", str(wrong))
        self.assertIn("your files stay", str(wrong))


class Progressing(Case):
    """What is solved and what was shown."""

    def test_the_next_exercise_is_the_first_unsolved_one(self) -> None:
        """In the course's order, over chapters."""
        self.folder.mark_passed(self.sums.exercises[0])
        self.assertEqual(["total", "double"], [each.exercise.name for each in self.folder.unsolved()])
        self.assertEqual(["total"], [each.exercise.name for each in self.folder.unsolved(self.sums)])

    def test_hints_are_counted_up_to_the_last(self) -> None:
        """One more each time, for each exercise by itself."""
        add, total = self.sums.exercises
        self.assertEqual([1, 2, 3, 3], [self.folder.one_more_hint(add) for _ in range(4)])
        self.assertEqual(1, self.folder.one_more_hint(total))

    def test_two_terminals_lose_nothing_of_each_other(self) -> None:
        """What one remembers is not overwritten with what the other read before."""
        other = LearnerFolder(self.root, self.course)
        other.one_more_hint(self.sums.exercises[1])
        self.folder.mark_passed(self.sums.exercises[0])
        last = LearnerFolder(self.root, self.course).progress
        self.assertEqual((["add"], {"total": 1}), (list(last.passed), last.hints))

    def test_the_first_time_counts(self) -> None:
        """Solving again does not change when it was solved."""
        self.folder.mark_passed(self.sums.exercises[0])
        first = self.folder.progress.passed["add"]
        self.folder.mark_passed(self.sums.exercises[0])
        self.assertEqual(first, self.folder.progress.passed["add"])
        self.assertIsNotNone(first.tzinfo)


class PuttingBack(Case):
    """`reset` and `replace`: nothing of the learner's is lost."""

    def test_an_edited_file_is_kept_beside(self) -> None:
        """Under a name that says whose it is, each time another."""
        for number in range(3):
            (self.root / EXERCISE).write_text(f"mine {number}")
            self.folder.reset(self.sums, self.sums.exercises[0])
            self.assertEqual(FILES[EXERCISE], self.text(EXERCISE))
        kept = [self.text(f"01_sums/exercise_1_add.mine{number}.py") for number in ("", "2", "3")]
        self.assertEqual(["mine 0", "mine 1", "mine 2"], kept)

    def test_a_whole_chapter(self) -> None:
        """Edited files, lost ones, and no others; its exercises count as unsolved, others' stay solved."""
        for exercise in (*self.sums.exercises, *self.products.exercises):
            self.folder.mark_passed(exercise)
        (self.root / EXERCISE).write_text("mine")
        (self.root / "01_sums/example.py").unlink()
        done = {file.name: kept and kept.name for file, kept in self.folder.reset(self.sums)}
        self.assertEqual({"exercise_1_add.py": "exercise_1_add.mine.py", "example.py": None}, done)
        self.assertEqual(["double"], list(LearnerFolder(self.root, self.course).progress.passed))

    def test_a_solution_in_place_of_what_was_never_edited(self) -> None:
        """There is nothing of the learner's to keep."""
        file = self.root / EXERCISE
        self.assertIsNone(self.folder.replace(file, b"solution"))
        self.assertEqual("solution", file.read_text())
        self.assertEqual(1, len(list(file.parent.glob("exercise_1*"))))
