"""A learner's folder: their files, and how far they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec import Struct, field

from lineside.model.errors import ConfigurationError, LinesideError
from lineside.workshop.course import Chapter, Course, Exercise
from lineside.workshop.handout import handed_out, welcome

MARKER = ".lineside-workshop.json"
"""The file that makes a folder a learner's, and holds the progress."""


class Progress(Struct, forbid_unknown_fields=True):
    """How far a learner is; exercises go by their names, which are unique in the course."""

    passed: dict[str, datetime] = field(default_factory=dict)
    """When each was solved first."""
    hints: dict[str, int] = field(default_factory=dict)
    """How many were shown of each."""
    handed_out: dict[str, str] = field(default_factory=dict)
    """A digest of each file as it was handed out, by its path in the folder: tells what was edited since."""


class Assignment(Struct, frozen=True):
    """One exercise, with where its files are."""

    chapter: Chapter
    exercise: Exercise
    file: Path
    """The learner's."""
    check: Path
    """The course's."""

    @property
    def label(self) -> str:
        """Its number and title, for a person: ``3.1 The first lines``."""
        return f"{self.chapter.number}.{self.exercise.number} {self.exercise.title}"


class Begun(Struct, frozen=True):
    """What `begin` did; paths in the folder."""

    new: bool
    """The folder was not a learner's before."""
    added: list[str]
    renewed: list[str]
    """Newer in the course, and not edited by the learner."""


class LearnerFolder:
    """A folder that `begin` made.

    Args:
        root: it; holds the progress.
        course: what is learned.

    Raises:
        LinesideError: the progress cannot be read.

    """

    def __init__(self, root: Path, course: Course) -> None:
        self.root = root
        self._course = course
        self._marker = root / MARKER
        self.progress = self._read()

    def assignments(self, chapter: Chapter | None = None) -> Iterator[Assignment]:
        """Yield the exercises of a chapter or of the course, in order."""
        for one in [chapter] if chapter else self._course.chapters:
            for exercise in one.exercises:
                file = self.root / one.folder / exercise.file
                yield Assignment(one, exercise, file, self._course.folder(one) / "check.py")

    def unsolved(self, chapter: Chapter | None = None) -> Iterator[Assignment]:
        """Yield those that have not been solved yet."""
        return (each for each in self.assignments(chapter) if each.exercise.name not in self.progress.passed)

    def mark_passed(self, exercise: Exercise) -> None:
        """Remember that an exercise is solved."""
        self.progress = self._read()
        self.progress.passed.setdefault(exercise.name, datetime.now(UTC).replace(microsecond=0))
        self._save()

    def one_more_hint(self, exercise: Exercise) -> int:
        """Count a hint, up to all there are; returns how many are to be shown."""
        self.progress = self._read()
        shown = min(self.progress.hints.get(exercise.name, 0) + 1, len(exercise.hints))
        self.progress.hints[exercise.name] = shown
        self._save()
        return shown

    def begin(self) -> Begun:
        """Add what is missing and renew what is newer in the course; what the learner edited stays."""
        new = not self.progress.handed_out
        added, renewed = [], []
        for name, content in self._all_files():
            file = self.root / name
            digest = _digest(content)
            if not file.exists():
                added.append(name)
            elif _digest(file.read_bytes()) == digest:
                pass
            elif _digest(file.read_bytes()) == self.progress.handed_out.get(name):
                renewed.append(name)
            else:
                continue
            self.progress.handed_out[name] = digest
            if name in added or name in renewed:
                _write(file, content)
        self._save()
        return Begun(new, added, renewed)

    def reset(self, chapter: Chapter, exercise: Exercise | None = None) -> list[tuple[Path, Path | None]]:
        """Put files of a chapter back as handed out, or one exercise's alone, which count as unsolved again.

        Returns:
            The files that were not as handed out, each with where the learner's version is kept now.

        """
        done = []
        for name, content in handed_out(self._course, chapter).items():
            if exercise is None or name == exercise.file:
                file = self.root / chapter.folder / name
                if not file.exists() or file.read_bytes() != content:
                    done.append((file, self.replace(file, content)))
                    self.progress.handed_out[f"{chapter.folder}/{name}"] = _digest(content)
        for each in [exercise] if exercise else chapter.exercises:
            self.progress.passed.pop(each.name, None)
            self.progress.hints.pop(each.name, None)
        self._save()
        return done

    def replace(self, file: Path, content: bytes) -> Path | None:
        """Write a file of the learner's, and keep their own version beside it as ``….mine.py``.

        Returns:
            Where it is kept; None where they had not edited it.

        """
        kept = None
        if file.exists():
            old = file.read_bytes()
            original = self.progress.handed_out.get(file.relative_to(self.root).as_posix())
            if old != content and _digest(old) != original:
                kept = _free(file)
                file.rename(kept)
        _write(file, content)
        return kept

    def _all_files(self) -> Iterator[tuple[str, bytes]]:
        yield "README.md", welcome(self._course)
        for chapter in self._course.chapters:
            if (self._course.folder(chapter) / "README.md").exists():
                for name, content in handed_out(self._course, chapter).items():
                    yield f"{chapter.folder}/{name}", content

    def _read(self) -> Progress:
        # Before every change too: `watch` is at work in one terminal, hints are asked for in another.
        try:
            return msgspec.json.decode(self._marker.read_bytes(), type=Progress)
        except (OSError, msgspec.DecodeError) as wrong:
            raise LinesideError(
                f"{self._marker}: {wrong}; empty it to a {{}} and run `lineside workshop start {self.root}`: "
                "your files stay, only the progress is lost"
            ) from wrong

    def _save(self) -> None:
        _write(self._marker, msgspec.json.format(msgspec.json.encode(self.progress, order="sorted"), indent=2))


def begin(directory: Path, course: Course) -> Begun:
    """Make a folder a learner's, or complete one that is.

    Raises:
        LinesideError: it holds something else, or cannot be written.

    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not (directory / MARKER).exists():
            if any(directory.iterdir()):
                raise LinesideError(f"{directory} is not empty and no folder of the workshop; name a new one")
            _write(directory / MARKER, b"{}")
        return LearnerFolder(directory, course).begin()
    except OSError as failed:
        raise LinesideError(f"cannot write {directory}: {failed.strerror}") from failed


def found(given: Path | None, course: Course) -> LearnerFolder | None:
    """Return the learner's folder: the given one, or else the current one or the nearest above; None without any.

    Raises:
        ConfigurationError: the one that was given is none.

    """
    if given is not None:
        if not (given / MARKER).exists():
            raise ConfigurationError([f"{given} is no folder of the workshop; `lineside workshop start {given}`"])
        return LearnerFolder(given.absolute(), course)
    here = Path.cwd()
    root = next((folder for folder in [here, *here.parents] if (folder / MARKER).exists()), None)
    return None if root is None else LearnerFolder(root, course)


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=12).hexdigest()


def _write(file: Path, content: bytes) -> None:
    # A crash leaves the old file or the new one, and watchers never see half of it.
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(file)


def _free(file: Path) -> Path:
    candidates = (file.with_name(f"{file.stem}.mine{number or ''}{file.suffix}") for number in [0, *range(2, 1000)])
    return next(candidate for candidate in candidates if not candidate.exists())
