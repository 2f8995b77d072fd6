"""`lineside workshop check`, `hint`, `solution`, `watch` and `reset`: a learner's exercises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lineside.cli.chapters import (
    Part,
    chapter_argument,
    course_and_folder,
    folder_option,
    json_option,
    part_argument,
    print_json,
)
from lineside.model.errors import ConfigurationError, LinesideError
from lineside.workshop.course import Chapter, Course, Exercise, installed_course

if TYPE_CHECKING:
    from lineside.workshop.examine import Report
    from lineside.workshop.learner import Assignment, LearnerFolder

CLEAR = "\x1b[2J\x1b[3J\x1b[H"

exercise_option = click.option(
    "--exercise", "number", type=click.IntRange(min=1), metavar="M", help="Only this exercise: the M of N.M."
)


@click.command(epilog="Example: lineside workshop check 3.1")
@part_argument(required=False)
@exercise_option
@folder_option
@json_option
def check(part: Part | None, number: int | None, directory: Path | None, as_json: bool) -> None:
    """Check your solutions of chapter N; by default of the one that you are at.

    Exits with 1 unless all are right. The first one that is not is told in full.
    """
    from lineside.workshop.examine import examine  # noqa: PLC0415

    course, folder = course_and_folder(directory)
    asked = _asked(folder, *_named(part, number))
    reports = []
    for assignment in asked:
        report = examine(assignment.check, assignment.exercise.number, assignment.file)
        if report.passed:
            folder.mark_passed(assignment.exercise)
        if as_json:
            print_json(_as_json(assignment, report, folder))
        reports.append(report)
    if not as_json:
        _tell(course, folder, asked, reports)
    if not all(report.passed for report in reports):
        raise SystemExit(1)


@click.command(epilog="Example: lineside workshop hint 3.1")
@part_argument(required=False)
@exercise_option
@folder_option
def hint(part: Part | None, number: int | None, directory: Path | None) -> None:
    """Show one more hint for an exercise: by default for the first that you have not solved."""
    from rich.padding import Padding  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from lineside.workshop.verdict import terminal  # noqa: PLC0415

    _, folder = course_and_folder(directory)
    (assignment, *_) = _asked(folder, *_named(part, number), unsolved=True)
    hints = assignment.exercise.hints
    before = folder.progress.hints.get(assignment.exercise.name, 0)
    shown = folder.one_more_hint(assignment.exercise)
    out = terminal()
    out.print(Text(assignment.label, "bold"))
    for place, text in enumerate(hints[:shown], start=1):
        line = Text(f"Hint {place} of {len(hints)}: {text}", "" if place == shown else "dim")
        out.print(Padding(line, (0, 0, 0, 2), expand=False))
    if shown == before:
        which = f"{assignment.chapter.number}.{assignment.exercise.number}"
        out.print(f"  These are all. A solution: lineside workshop solution {which}")


@click.command(epilog="Example: lineside workshop solution 3.1")
@part_argument()
@exercise_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--write", is_flag=True, help="Put it in place of your file; yours is kept beside it.")
@folder_option
def solution(part: Part, number: int | None, yes: bool, write: bool, directory: Path | None) -> None:
    """Show a solution: by default of the chapter's first exercise that you have not solved. Asks first."""
    from rich.syntax import Syntax  # noqa: PLC0415

    from lineside.workshop.learner import found  # noqa: PLC0415
    from lineside.workshop.verdict import shortened, terminal  # noqa: PLC0415

    course = installed_course()
    chapter, number = part.chapter, _named(part, number)[1]
    folder = course_and_folder(directory)[1] if write else found(directory, course)
    if folder is None:
        exercise = _numbered(chapter, number or 1)
    else:
        exercise = _asked(folder, chapter, number, unsolved=True)[0].exercise
    what = f"{chapter.number}.{exercise.number} {exercise.title}"
    if not yes:
        click.confirm(f"Show the solution of {what}?", abort=True)
    source = (course.folder(chapter) / exercise.solution).read_text(encoding="utf-8")
    if folder is None or not write:
        out = terminal()
        if out.is_terminal:
            out.print(Syntax(source, "python", background_color="default", word_wrap=True))
        else:
            click.echo(source, nl=False)
        return
    file = folder.root / chapter.folder / exercise.file
    kept = folder.replace(file, source.encode())
    click.echo(f"{shortened(file)} is the solution now")
    if kept is not None:
        click.echo(f"yours is kept as {shortened(kept)}")


@click.command(epilog="Example: lineside workshop watch 3")
@chapter_argument(required=False)
@folder_option
def watch(chapter: Chapter | None, directory: Path | None) -> None:
    """Check the exercise that you are at on each save, and go on to the next. Ctrl-C ends it."""
    from lineside.assemble.lifecycle import run_reactor  # noqa: PLC0415 (Twisted takes half a second)

    course, folder = course_and_folder(directory)
    if next(folder.unsolved(chapter), None) is None:
        what = "of the course" if chapter is None else f"of chapter {chapter.number}"
        click.echo(f"all exercises {what} are solved")
        return
    run_reactor(_watch, course, folder, list(folder.unsolved(chapter)))


@click.command(epilog="Example: lineside workshop reset 3.1")
@part_argument()
@exercise_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@folder_option
def reset(part: Part, number: int | None, yes: bool, directory: Path | None) -> None:
    """Put files of chapter N back as they were handed out; yours are kept beside them. Asks first."""
    from lineside.workshop.verdict import shortened  # noqa: PLC0415

    _, folder = course_and_folder(directory)
    chapter, number = part.chapter, _named(part, number)[1]
    exercise = None if number is None else _numbered(chapter, number)
    what = f"chapter {chapter.number}" if exercise is None else f"{chapter.folder}/{exercise.file}"
    if not yes:
        click.confirm(f"Put {what} back as handed out?", abort=True)
    done = folder.reset(chapter, exercise)
    for file, kept in done:
        click.echo(f"{shortened(file)} is as handed out; {f'yours is {kept.name}' if kept else 'it was gone'}")
    if not done:
        click.echo(f"{what} was as handed out already")


async def _watch(reactor: Any, course: Course, folder: LearnerFolder, assignments: list[Assignment]) -> None:
    from twisted.internet.defer import CancelledError, Deferred  # noqa: PLC0415

    from lineside.workshop.aside import Aside  # noqa: PLC0415
    from lineside.workshop.watching import Watch  # noqa: PLC0415

    watching = Deferred.fromCoroutine(
        Watch(reactor, Aside(reactor).examine, _Onlooker(course, folder)).run(assignments)
    )
    reactor.addSystemEventTrigger("before", "shutdown", watching.cancel)
    try:
        await watching
    except CancelledError:
        return


class _Onlooker:
    """Shows a watch on the terminal."""

    def __init__(self, course: Course, folder: LearnerFolder) -> None:
        from lineside.workshop.verdict import terminal  # noqa: PLC0415

        self._course, self._folder = course, folder
        self._out = terminal()
        self._solved = ""

    def examining(self, assignment: Assignment) -> None:
        from lineside.workshop.verdict import shortened  # noqa: PLC0415

        if self._out.is_terminal:
            self._out.file.write(CLEAR)
        if self._solved:
            self._out.print(self._solved, style="green", markup=False)
        self._out.print(f"Watching {shortened(assignment.file)}; Ctrl-C ends it.\n", style="dim", markup=False)

    def examined(self, assignment: Assignment, report: Report) -> None:
        from lineside.workshop.verdict import show_hints_left, show_verdict, what_is_next  # noqa: PLC0415

        show_verdict(self._out, assignment, report)
        if not report.passed:
            show_hints_left(self._out, assignment, self._folder)
            return
        self._folder.mark_passed(assignment.exercise)
        self._solved = f"Solved: {assignment.label}"
        self._out.print(what_is_next(self._course, self._folder, assignment), markup=False)


def _tell(course: Course, folder: LearnerFolder, asked: list[Assignment], reports: list[Report]) -> None:
    from lineside.workshop.verdict import show_hints_left, show_verdict, terminal, what_is_next  # noqa: PLC0415

    out = terminal()
    told = False
    for assignment, report in zip(asked, reports, strict=True):
        if report.passed or not told:
            show_verdict(out, assignment, report)
            if not report.passed:
                show_hints_left(out, assignment, folder)
        else:
            out.print(f"{assignment.label}: not yet", style="dim", markup=False)
        told = told or not report.passed
    if not told:
        out.print(what_is_next(course, folder, asked[-1]), style="bold", markup=False)


def _as_json(assignment: Assignment, report: Report, folder: LearnerFolder) -> dict[str, object]:
    return {
        "chapter": assignment.chapter.number,
        "exercise": assignment.exercise.number,
        "name": assignment.exercise.name,
        "file": str(assignment.file),
        "passed": report.passed,
        "findings": report.findings,
        "printed": report.printed,
        "hints": len(assignment.exercise.hints),
        "hints_shown": folder.progress.hints.get(assignment.exercise.name, 0),
    }


def _named(part: Part | None, number: int | None) -> tuple[Chapter | None, int | None]:
    """Return the chapter and the exercise that were named: as N.M, by --exercise, or not at all."""
    if part is None:
        return None, number
    if part.number is not None and number is not None and part.number != number:
        raise click.UsageError(f"{part.chapter.number}.{part.number} and --exercise {number} are two; name one")
    return part.chapter, part.number if number is None else number


def _asked(
    folder: LearnerFolder, chapter: Chapter | None, number: int | None, *, unsolved: bool = False
) -> list[Assignment]:
    """Return the assignments that a command is about, at least one.

    Args:
        folder: the learner's.
        chapter: the one they named; else the one whose folder they are in, or that they are at.
        number: of the one exercise they named.
        unsolved: whether the first that is not solved comes first.

    """
    if chapter is None:
        here, every = Path.cwd(), list(folder.assignments())
        inside = (each for each in every if here.is_relative_to(each.file.parent))
        at = next(inside, None) or next(folder.unsolved(), None)
        if at is None:
            raise LinesideError("all exercises of the course are solved; name a chapter")
        chapter = at.chapter
    everything = list(folder.assignments(chapter))
    if not everything:
        raise LinesideError(f"chapter {chapter.number}, {chapter.title}, has no exercises")
    if number is not None:
        exercise = _numbered(chapter, number)
        everything = [each for each in everything if each.exercise == exercise]
    elif unsolved:
        everything.sort(key=lambda each: each.exercise.name in folder.progress.passed)
    lost = next((each.file for each in everything if not each.file.exists()), None)
    if lost is not None:
        raise LinesideError(f"{lost} is gone; `lineside workshop start {folder.root}` puts it back")
    return everything


def _numbered(chapter: Chapter, number: int) -> Exercise:
    many = len(chapter.exercises)
    if not 1 <= number <= many:
        has = f"has {many} exercises" if many else "has no exercises"
        raise ConfigurationError(
            [f"there is no exercise {number}; chapter {chapter.number}, {chapter.title}, {has}"]
        )
    return chapter.exercises[number - 1]
