"""The course as its files describe it: chapters, exercises and hints."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct

from lineside.model.errors import LinesideError

LANDMARKS = ("README.md", "demo.py", "teacher.md")
"""Files that every chapter has."""


class Exercise(Struct, frozen=True, forbid_unknown_fields=True):
    """One exercise of a chapter, as ``course.toml`` describes it."""

    name: str
    """What follows ``exercise_N_`` and ``solution_N_`` in the names of its files; unique in the course."""
    title: str
    """What the learner builds, in one line."""
    level: str
    """``guided``, ``on your own`` or ``open``."""
    hints: list[str]
    """From a nudge to nearly the answer; shown one at a time."""
    number: int = 0
    """Its place in the chapter, from 1."""

    @property
    def file(self) -> str:
        """The file that the learner edits."""
        return f"exercise_{self.number}_{self.name}.py"

    @property
    def solution(self) -> str:
        """The file that solves it."""
        return f"solution_{self.number}_{self.name}.py"


class Chapter(Struct, frozen=True, forbid_unknown_fields=True):
    """One chapter, as ``course.toml`` describes it."""

    folder: str
    """Its folder in the course, ``NN_name``."""
    title: str
    """Its name in the agenda."""
    goal: str
    """What the learner can do after it, in one line."""
    minutes: int
    """How long it takes in a class, its exercises included."""
    requires: list[str] = []
    """What pip is to install for its example, in an environment of its own."""
    exercises: list[Exercise] = []

    @property
    def number(self) -> int:
        """Its place in the agenda, from 1."""
        return int(self.folder[:2])


class Course:
    """The chapters, in the order of the agenda.

    Args:
        root: the folder that holds ``course.toml``.

    Raises:
        LinesideError: there is no course, or ``course.toml`` is not what it should be.

    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            read = msgspec.toml.decode((root / "course.toml").read_bytes(), type=_File)
        except (OSError, msgspec.DecodeError) as wrong:
            raise LinesideError(f"{root / 'course.toml'}: {wrong}") from wrong
        self.title = read.title
        self.chapters = [_numbered(chapter) for chapter in read.chapters]

    def chapter(self, number: int) -> Chapter:
        """Return a chapter by its number.

        Raises:
            LinesideError: there is none of that number.

        """
        for chapter in self.chapters:
            if chapter.number == number:
                return chapter
        raise LinesideError(f"there is no chapter {number}; the course has {len(self.chapters)}")

    def folder(self, chapter: Chapter) -> Path:
        """Return where the chapter's files are, as the course has them."""
        return self.root / chapter.folder


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    chapters: list[Chapter]


def _numbered(chapter: Chapter) -> Chapter:
    exercises = [
        msgspec.structs.replace(exercise, number=number)
        for number, exercise in enumerate(chapter.exercises, start=1)
    ]
    return msgspec.structs.replace(chapter, exercises=exercises)


def installed_course() -> Course:
    """Return the course that came with Lineside: packaged into the wheel, or in the checkout beside ``src``."""
    packaged = Path(str(files("lineside.workshop"))) / "course"
    checkout = Path(__file__).resolve().parents[3] / "workshop"
    return Course(packaged if packaged.is_dir() else checkout)
