"""What the commands of the workshop share: how a chapter and a learner's folder are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
import msgspec
from click.shell_completion import CompletionItem

from lineside.model.errors import ConfigurationError
from lineside.workshop.course import Chapter, Course, installed_course

if TYPE_CHECKING:
    from lineside.workshop.learner import LearnerFolder

Command = TypeVar("Command", bound=Callable[..., Any])


class ChapterType(click.ParamType[Chapter]):
    """A chapter by its number, or by its folder."""

    name = "chapter"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Chapter:
        chapters = installed_course().chapters
        word = str(value).rstrip("/").rpartition("/")[2]
        for chapter in chapters:
            if word == chapter.folder or (word.isdecimal() and int(word) == chapter.number):
                return chapter
        numbers = f"{chapters[0].number} to {chapters[-1].number}"
        raise click.BadParameter(f"{value} is no chapter; there are {numbers}: lineside workshop list", ctx, param)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [
            CompletionItem(str(chapter.number), help=chapter.title)
            for chapter in installed_course().chapters
            if str(chapter.number).startswith(incomplete)
        ]


class Part(NamedTuple):
    """A chapter, or one exercise of it."""

    chapter: Chapter
    number: int | None = None
    """The exercise's number; None for the whole chapter."""


class PartType(click.ParamType[Part]):
    """A chapter as `ChapterType` has it, or an exercise by its number, such as 3.1, or by its file."""

    name = "part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Part:
        word = str(value)
        for chapter in installed_course().chapters:
            for exercise in chapter.exercises:
                if word.rpartition("/")[2] == exercise.file:
                    return Part(chapter, exercise.number)
        first, dot, last = word.partition(".")
        if not (dot and first.isdecimal() and last.isdecimal()):
            return Part(ChapterType().convert(word, param, ctx))
        return Part(ChapterType().convert(first, param, ctx), int(last))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return ChapterType().shell_complete(ctx, param, incomplete)


def part_argument(*, required: bool = True) -> Callable[[Command], Command]:
    return click.argument("part", type=PartType(), metavar="N[.M]" if required else "[N[.M]]", required=required)


def chapter_argument(*, required: bool = True) -> Callable[[Command], Command]:
    return click.argument("chapter", type=ChapterType(), metavar="N" if required else "[N]", required=required)


folder_option = click.option(
    "--dir",
    "directory",
    metavar="DIR",
    envvar="LINESIDE_WORKSHOP",
    type=click.Path(file_okay=False, path_type=Path),
    help="Your folder; by default the current one or the nearest above. Or set LINESIDE_WORKSHOP.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one value a line.")


def course_and_folder(directory: Path | None) -> tuple[Course, LearnerFolder]:
    """Return the course and the learner's folder.

    Raises:
        ConfigurationError: they have none here.

    """
    from lineside.workshop.learner import found  # noqa: PLC0415

    course = installed_course()
    folder = found(directory, course)
    if folder is None:
        raise ConfigurationError(
            ["this is no folder of the workshop; go into yours, or make one: lineside workshop start DIR"]
        )
    return course, folder


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    click.echo(msgspec.json.encode(value))
