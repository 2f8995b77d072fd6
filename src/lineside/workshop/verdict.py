"""How the findings about an exercise look to its learner."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from lineside.workshop.course import Course
from lineside.workshop.examine import Report
from lineside.workshop.learner import Assignment, LearnerFolder

WIDTH = 100
"""Columns at which prose is folded at most."""
PAGE_WIDTH = 120
"""Columns of a page at most: its code is up to 116 wide."""
PRINTED = 20
"""Lines that are shown of what a learner's file printed: the last ones."""


def terminal(width: int = WIDTH) -> Console:
    """Return the console of standard output, ``width`` columns wide at most, and in a pipe just so wide."""
    console = Console(highlight=False)
    console.width = min(console.width, width) if console.is_terminal else width
    return console


def show_verdict(console: Console, assignment: Assignment, report: Report) -> None:
    """Print what was expected, what was found up to the first problem, and what the learner's file printed."""
    console.print(Text(assignment.label, "bold"), Text(f"({assignment.exercise.level})", "dim"))
    console.print(Text(f"  {shortened(assignment.file)}", "dim"))
    for finding in report.findings:
        mark = Text("ok", "green") if finding.problem is None else Text("NO", "bold red")
        console.print(Padding(Text.assemble(mark, "  ", _plain(finding.expected)), (0, 0, 0, 2), expand=False))
        if finding.problem is not None:
            console.print(Padding(Text(_plain(finding.problem)), (0, 0, 0, 6), expand=False))
    if report.passed or not report.printed.strip():
        return
    lines = _plain(report.printed).rstrip().splitlines()
    console.print(Text("  your file printed:", "dim"))
    if len(lines) > PRINTED:
        console.print(Text(f"  | … {len(lines) - PRINTED} lines before", "dim"))
    for line in lines[-PRINTED:]:
        console.print(Text(f"  | {line}", "dim"), soft_wrap=True)


def show_hints_left(console: Console, assignment: Assignment, folder: LearnerFolder) -> None:
    """Say how many hints there are for an exercise that is not solved, and how to see one."""
    exercise = assignment.exercise
    shown = folder.progress.hints.get(exercise.name, 0)
    left = len(exercise.hints) - shown
    which = f"{assignment.chapter.number}.{exercise.number}"
    if left > 0:
        many = f"{left} {'more ' if shown else ''}{'hint' if left == 1 else 'hints'}"
        console.print(f"  {many}: lineside workshop hint {which}")
    else:
        console.print(f"  you have seen all hints; a solution: lineside workshop solution {which}")


def what_is_next(course: Course, folder: LearnerFolder, solved: Assignment) -> str:
    """Return in one line what to do once an exercise is solved."""
    after = next(folder.unsolved(solved.chapter), None)
    if after is not None:
        return f"Next is {after.label}: {shortened(after.file)}"
    number = solved.chapter.number
    later = next((chapter for chapter in course.chapters if chapter.number > number), None)
    if later is not None:
        return f"Chapter {number} is done. Next: lineside workshop show {later.number}  ({later.title})"
    rest = next(folder.unsolved(), None)
    if rest is not None:
        return f"Chapter {number} is done. Still open is {rest.label}: {shortened(rest.file)}"
    return "That was the last one: you have built a gateway. See what it lacks: lineside demo --chaos"


def shortened(path: Path) -> str:
    """Return a path as it can be typed here: relative where that is below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _plain(text: str) -> str:
    # What a learner's file prints must not command the terminal.
    kept = (character if character.isprintable() or character in "\n\t" else "·" for character in text)
    return "".join(kept).expandtabs(4)
