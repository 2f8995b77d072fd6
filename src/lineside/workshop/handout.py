"""What a learner gets of the course: everything but the checks, the solutions and the teacher's notes."""

from __future__ import annotations

from lineside.model.errors import LinesideError
from lineside.workshop.course import Chapter, Course
from lineside.workshop.prose import standing_alone

KEPT_BACK = ("check.py", "solution_*", "teacher.md", "__pycache__", ".*")
"""Names in a chapter that are not handed out."""


def handed_out(course: Course, chapter: Chapter) -> dict[str, bytes]:
    """Return the files of a chapter as a learner gets them, by their names.

    Raises:
        LinesideError: the course that is installed lacks the chapter.

    """
    folder = course.folder(chapter)
    if not (folder / "README.md").exists():
        raise LinesideError(f"chapter {chapter.number}, {chapter.title}, is not part of this release yet")
    files = {}
    for file in sorted(folder.iterdir()):
        if file.is_file() and not any(file.match(pattern) for pattern in KEPT_BACK):
            content = file.read_bytes()
            files[file.name] = standing_alone(content.decode()).encode() if file.suffix == ".md" else content
    return files


def welcome(course: Course) -> bytes:
    """Return the README of a learner's folder."""
    chapters = "\n".join(
        f"| {chapter.number} | [{chapter.title}]({chapter.folder}/README.md) | {chapter.goal} | {chapter.minutes} |"
        for chapter in course.chapters
    )
    return WELCOME.format(title=course.title, chapters=chapters).encode()


WELCOME = """# {title}

This folder is yours: edit everything in it. Run these commands here or in any folder below.

| command | what it does |
| --- | --- |
| `lineside workshop` | the chapters, and how far you are |
| `lineside workshop doctor` | is everything there that the course needs? |
| `lineside workshop show 1` | chapter 1 in the terminal; the same text is in each chapter's README.md |
| `lineside workshop demo 1` | its demonstration, step by step |
| `lineside workshop check 3` | your solutions of its exercises, with what is still wrong |
| `lineside workshop watch` | the same on each save, from one exercise to the next |
| `lineside workshop hint 3` | a hint for the next exercise; again for one more |
| `lineside workshop solution 3` | a solution; asks first |
| `lineside workshop reset 3` | the chapter's files as they were; yours are kept beside them |
| `lineside workshop erp` | an ERP to try the examples against |

Each chapter stands on its own: its example.py works from the start, so you can begin anywhere. An exercise says at
its top what to do, and `TODO` where.

| | chapter | what you can do after it | minutes |
| --- | --- | --- | --- |
{chapters}
"""
