"""`lineside workshop`: the course, from a terminal."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from lineside.cli import exercises
from lineside.cli.chapters import chapter_argument, folder_option, json_option, print_json
from lineside.model.errors import LinesideError
from lineside.workshop.course import Chapter, installed_course


@click.group(invoke_without_command=True, epilog="Example: lineside workshop start learn")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Learn Twisted for ERP applications: eight chapters, each with a demonstration and exercises.

    Everything works offline, on free ports, and needs nothing but this package.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command.command("list", epilog="Example: lineside workshop list")
@folder_option
@json_option
def list_(directory: Path | None = None, as_json: bool = False) -> None:
    """List the chapters, and how far you are."""
    from rich.table import Table  # noqa: PLC0415

    from lineside.workshop.learner import found  # noqa: PLC0415
    from lineside.workshop.verdict import terminal  # noqa: PLC0415

    course = installed_course()
    folder = found(directory, course)
    passed = folder.progress.passed if folder else {}
    table = Table(box=None, pad_edge=False, header_style="bold")
    numbers = "SOLVED" if folder else "EXERCISES"
    for heading in ("", "CHAPTER", "WHAT YOU CAN DO AFTER IT", "MINUTES", numbers):
        table.add_column(heading, justify="right" if heading in {"", "MINUTES", numbers} else "left")
    for chapter in course.chapters:
        solved = sum(exercise.name in passed for exercise in chapter.exercises)
        if as_json:
            print_json(
                {
                    "chapter": chapter.number,
                    "title": chapter.title,
                    "goal": chapter.goal,
                    "minutes": chapter.minutes,
                    "exercises": len(chapter.exercises),
                    "solved": solved if folder else None,
                }
            )
        total = len(chapter.exercises)
        done = (f"{solved} of {total}" if folder else str(total)) if total else ""
        mark = " ✓" if total and solved == total else ""
        table.add_row(str(chapter.number), chapter.title, chapter.goal, str(chapter.minutes), done + mark)
    if as_json:
        return
    out = terminal()
    out.print(course.title, style="bold")
    out.print(table)
    if folder is None:
        out.print("\nBegin with your own folder: lineside workshop start DIR")
        return
    following = next(folder.unsolved(), None)
    out.print(f"\nNext exercise: {following.label}" if following else "\nAll exercises are solved.")


@command.command(epilog="Example: lineside workshop start learn")
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
def start(directory: Path) -> None:
    """Make DIR your folder of the course: texts, examples and exercises.

    Run again, it adds what is missing, renews what is newer, and leaves what you edited alone.
    """
    from lineside.workshop.learner import begin  # noqa: PLC0415

    begun = begin(directory, installed_course())
    if begun.new:
        click.echo(f"{directory} is yours now: {len(begun.added)} files. Next:")
        click.echo(f"  cd {directory}\n  lineside workshop doctor\n  lineside workshop show 1")
        return
    for name in begun.added:
        click.echo(f"added {name}")
    for name in begun.renewed:
        click.echo(f"renewed {name}")
    if not (begun.added or begun.renewed):
        click.echo(f"{directory} is complete; nothing was changed")


@command.command(epilog="Example: lineside workshop show 3")
@chapter_argument()
@click.option("--teacher", is_flag=True, help="Show the notes for the person who teaches.")
def show(chapter: Chapter, teacher: bool) -> None:
    """Read chapter N in the terminal."""
    course = installed_course()
    _show_page(course.folder(chapter) / ("teacher.md" if teacher else "README.md"))


@command.command(epilog="Example: lineside workshop timetable")
def timetable() -> None:
    """Show how half a day or a day is spent."""
    _show_page(installed_course().root / "timetable.md")


@command.command(epilog="Example: lineside workshop demo 3 --fast")
@chapter_argument()
@click.option("--fast", is_flag=True, help="Do not wait for Enter between the steps.")
@click.option(
    "--python",
    metavar="PATH",
    type=click.Path(exists=True, dir_okay=False, executable=True),
    help="The interpreter that runs the example, such as env/bin/python; Lineside need not be installed there.",
)
def demo(chapter: Chapter, fast: bool, python: str | None) -> None:
    """Watch the demonstration of chapter N; exits with 1 if something did not go as it should."""
    script = installed_course().folder(chapter) / "demo.py"
    if not script.exists():
        raise LinesideError(f"chapter {chapter.number}, {chapter.title}, has no demonstration in this release")
    options = ["--fast"] if fast else []
    if python is not None:
        options += ["--python", str(Path(python).absolute())]
    # In its place: it has this process's terminal, its signals and its exit code.
    os.execv(sys.executable, [sys.executable, "-B", str(script), *options])  # noqa: S606 (the course's own)


@command.command(epilog="Example: lineside workshop doctor")
@folder_option
@json_option
def doctor(directory: Path | None, as_json: bool) -> None:
    """Look whether everything is there that the course needs; exits with 1 where something is missing."""
    from rich.text import Text  # noqa: PLC0415

    from lineside.workshop.doctor import examined  # noqa: PLC0415
    from lineside.workshop.learner import found  # noqa: PLC0415
    from lineside.workshop.verdict import terminal  # noqa: PLC0415

    folder = found(directory, installed_course())
    out = terminal()
    colours = {"ok": "green", "missing": "bold red", "optional": "yellow"}
    missing = False
    for one in examined(folder.root if folder else Path.cwd()):
        missing = missing or one.state == "missing"
        if as_json:
            print_json(one)
            continue
        out.print(Text(f"{one.state:9}", colours[one.state]) + Text(f"{one.name}: {one.told}"), soft_wrap=True)
        if one.remedy is not None:
            out.print(Text(f"{'':9}→ {one.remedy}"), soft_wrap=True)
    if missing:
        raise SystemExit(1)
    if not as_json:
        out.print("Everything that the course needs is there.")


@command.command(epilog="Example: lineside workshop erp")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 takes any free port.")
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the ERP's documents in this file; by default they are gone at the end.",
)
def erp(port: int, data: Path | None) -> None:
    """Run the course's ERP, with a warehouse in it, to try things against. Ctrl-C ends it."""
    from lineside.workshop.erp import Erp  # noqa: PLC0415
    from lineside.workshop.programs import Missed  # noqa: PLC0415

    # A handler that raises may do so where Python swallows it; one that takes a lock may find it held by the very
    # code that it interrupts. This one does neither.
    told: list[int] = []
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, lambda received, _frame: told.append(received))
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lineside-workshop-")))
        try:
            running = Erp(installed_course().root, data.absolute() if data else scratch / "erp.db", port=port)
        except Missed as missed:
            raise LinesideError(str(missed).rpartition("\n")[2].removeprefix("lineside: ")) from missed
        stack.callback(running.stop)
        click.echo(f"The ERP listens on {running.url}\n\nIn another terminal:\n")
        for name, value in running.environ.items():
            click.echo(f"  export {name}={value}")
        click.echo(f"  python example.py --frappe {running.url}")
        bins = f"{running.url}/api/resource/Bin?fields=%5B%22item_code%22,%22actual_qty%22%5D"
        click.echo(f"  curl -H \"Authorization: token $FRAPPE_KEY:$FRAPPE_SECRET\" '{bins}'\n")
        click.echo("Ctrl-C ends it.")
        if running.wait(lambda: bool(told)):
            raise LinesideError("the ERP ended by itself")


def _show_page(page: Path) -> None:
    from rich.markdown import Markdown  # noqa: PLC0415

    from lineside.workshop.prose import for_terminal  # noqa: PLC0415
    from lineside.workshop.verdict import PAGE_WIDTH, terminal  # noqa: PLC0415

    try:
        text = page.read_text(encoding="utf-8")
    except OSError as missing:
        raise LinesideError(f"{page}: {missing.strerror}; is this chapter part of this release?") from missing
    out = terminal(PAGE_WIDTH)
    with out.capture() as captured:
        out.print(Markdown(for_terminal(text, page.parent), code_theme="ansi_dark"))
    lines = [line.rstrip() for line in captured.get().splitlines()]
    click.echo_via_pager("\n".join(lines) + "\n", color=out.is_terminal)


for _each in (exercises.check, exercises.hint, exercises.solution, exercises.watch, exercises.reset):
    command.add_command(_each)
