"""The course is complete and consistent, chapter by chapter."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.rig.chapters import AGENDA, COURSE, TO_COME, WORKSHOP, assignments, folder, name_of, tree

from lineside.workshop.course import Chapter
from lineside.workshop.excerpts import filled, pages
from lineside.workshop.learner import Assignment
from lineside.workshop.transcripts import transcripts

HEADINGS = [
    "Why an ERP needs this",
    "The mental model",
    "The API",
    "The example",
    "What goes wrong in practice",
    "See it",
    "Exercises",
    "In the gateway",
    "What hurts next",
]
IN_FULL = 3
"""The chapter from which on every section of the agenda has an explanation, an example and a demonstration."""

chapters = pytest.mark.parametrize("chapter", COURSE.chapters, ids=name_of)
full_chapters = pytest.mark.parametrize(
    "chapter", [chapter for chapter in COURSE.chapters if chapter.number >= IN_FULL], ids=name_of
)
exercises = pytest.mark.parametrize("assignment", assignments(), ids=name_of)
scripts = pytest.mark.parametrize(
    "script", [file for chapter in COURSE.chapters for file in sorted(folder(chapter).glob("*.py"))], ids=name_of
)
texts = pytest.mark.parametrize("page", pages([WORKSHOP]), ids=name_of)


def headings(page: Path) -> list[str]:
    """Return the headings of a page, those in code left out."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#+ .*$", prose, re.MULTILINE)


def imports(script: Path) -> set[str]:
    """Return the top packages that a script imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree(script)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


def called(node: ast.Call) -> str:
    """Return the last name of what is called."""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_the_chapters_are_those_of_the_agenda() -> None:
    """In its order, under names that say which section they are; those that are still to come leave gaps."""
    assert [chapter.folder for chapter in COURSE.chapters] == [name for name in AGENDA if name not in TO_COME]
    for chapter in COURSE.chapters:
        assert re.sub(r"\W+", "_", chapter.title).lower() == chapter.folder[3:]


def test_the_names_of_exercises_are_unique() -> None:
    """A learner's progress goes by them."""
    names = [assignment.exercise.name for assignment in assignments()]
    assert len(names) == len(set(names))


@chapters
def test_every_chapter_has_its_landmarks(chapter: Chapter) -> None:
    """A text, a demonstration and the teacher's notes; its title as in the course; the last two sections."""
    for name in ("README.md", "demo.py", "teacher.md"):
        assert (folder(chapter) / name).is_file(), name
    told = headings(folder(chapter) / "README.md")
    assert told[0] == f"# {chapter.number}. {chapter.title}"
    assert told[-2:] == ["## In the gateway", "## What hurts next"]
    assert chapter.goal.endswith(".")


@full_chapters
def test_every_section_is_there_in_order(chapter: Chapter) -> None:
    """Explanation, example and demonstration, exercises, and the way into the gateway."""
    told = [line[3:] for line in headings(folder(chapter) / "README.md") if line.startswith("## ")]
    assert [heading for heading in told if heading in HEADINGS] == HEADINGS
    assert chapter.requires, "what pip needs for its example"
    assert 2 <= len(chapter.exercises) <= 3
    for name in ("example.py", "check.py", "diagram.svg", "diagram.txt"):
        assert (folder(chapter) / name).is_file(), name


@chapters
def test_diagrams_can_be_read_by_everyone(chapter: Chapter) -> None:
    """The picture is well-formed and has a title; its sentence is one; in characters it fits a terminal."""
    page = (folder(chapter) / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"^!\[(.*)\]\((.*)\)$", page, re.MULTILINE)
    assert {file for _, file in pictures} == {picture.name for picture in folder(chapter).glob("*.svg")}
    for sentence, file in pictures:
        assert re.fullmatch(r"[A-Z].{40,}\.", sentence), sentence
        picture = ElementTree.parse(folder(chapter) / file).getroot()
        assert picture.find("{http://www.w3.org/2000/svg}title") is not None
        drawing = (folder(chapter) / file).with_suffix(".txt").read_text(encoding="utf-8")
        assert max(map(len, drawing.splitlines())) <= 78


@texts
def test_code_in_the_text_is_the_code_of_files(page: Path) -> None:
    """Filling the excerpts changes nothing, and no fence of more than three lines is without its file."""
    text = page.read_text(encoding="utf-8")
    assert filled(text, page.parent) == (text, [])
    for before, code in re.findall(r"(.*)\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        typed = not before.rpartition("\n")[2].startswith("<!-- from ")
        assert not typed or code.count("\n") <= 3, f"typed, not taken from a file:\n{code}"


@chapters
def test_the_demonstration_is_in_the_text(chapter: Chapter) -> None:
    """At least six lines of what it shows: they are what the demonstration is held to."""
    found = transcripts((folder(chapter) / "README.md").read_text(encoding="utf-8"))
    if chapter.number >= IN_FULL:
        assert sum(len(transcript.seen) for transcript in found if transcript.file == "demo.py") >= 6
    for transcript in found:
        assert (folder(chapter) / transcript.file).is_file()


@full_chapters
def test_the_example_is_short(chapter: Chapter) -> None:
    """One file of 40 to 120 lines."""
    assert 40 <= len((folder(chapter) / "example.py").read_text(encoding="utf-8").splitlines()) <= 120


@scripts
def test_what_learners_read_stands_without_lineside(script: Path) -> None:
    """Only checks and demonstrations import it: everything else runs where pip installed Twisted."""
    if script.name not in {"check.py", "demo.py"}:
        assert "lineside" not in imports(script)


@scripts
def test_no_check_and_no_demonstration_sleeps(script: Path) -> None:
    """Each waits for events: sleeping is slow on every machine, and too short on some."""
    if script.name in {"check.py", "demo.py"}:
        calls = [node for node in ast.walk(tree(script)) if isinstance(node, ast.Call)]
        assert not [f"line {node.lineno}" for node in calls if called(node) == "sleep"]


@scripts
def test_no_port_is_fixed(script: Path) -> None:
    """Whatever listens takes a free port unless it is told one: two learners may share a machine."""
    fixed = []
    for node in ast.walk(tree(script)):
        if isinstance(node, ast.Call) and called(node) in LISTENING:
            arguments = [part for value in [*node.args[:2], *named(node, {"port"})] for part in ast.walk(value)]
            fixed += [part for part in arguments if isinstance(part, ast.Constant) and is_port(part.value)]
        elif isinstance(node, ast.Call) and called(node) == "add_argument" and "port" in ast.dump(node.args[0]):
            fixed += [
                value for value in named(node, {"default"}) if isinstance(value, ast.Constant) and value.value
            ]
        elif isinstance(node, ast.Constant) and re.match(r"(tcp6?|ssl|tls|udp):0*[1-9]\d*(:|$)", str(node.value)):
            fixed.append(node)
    assert not [f"line {node.lineno}: {ast.unparse(node)}" for node in fixed]


LISTENING = {
    "listenTCP",
    "listenSSL",
    "listenUDP",
    "create_server",
    "bind",
    "TCP4ServerEndpoint",
    "TCP6ServerEndpoint",
    "SSL4ServerEndpoint",
}


def named(node: ast.Call, names: set[str]) -> list[ast.expr]:
    """Return the values of a call's keywords of these names."""
    return [keyword.value for keyword in node.keywords if keyword.arg in names]


def is_port(value: object) -> bool:
    """Tell whether a constant can be a port that somebody chose."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@exercises
def test_an_exercise_is_told_at_its_top(assignment: Assignment) -> None:
    """What to do is in its docstring and where is marked TODO; its level and hints are as promised."""
    assert len(ast.get_docstring(tree(assignment.file)) or "") > 100
    assert "TODO" in assignment.file.read_text(encoding="utf-8")
    assert assignment.exercise.level in {"guided", "on your own", "open"}
    assert 2 <= len(assignment.exercise.hints) <= 4
    assert all(re.search(r"[.?!)]$", hint) for hint in assignment.exercise.hints)
    assert assignment.exercise.file in (assignment.file.parent / "README.md").read_text(encoding="utf-8")


@chapters
def test_files_of_exercises_are_those_that_the_course_names(chapter: Chapter) -> None:
    """Each has its solution, and none is left over that nobody would find."""
    there = {file.name for pattern in ("exercise_*", "solution_*") for file in folder(chapter).glob(pattern)}
    assert there == {name for exercise in chapter.exercises for name in (exercise.file, exercise.solution)}


@chapters
def test_every_check_says_what_a_right_answer_does(chapter: Chapter) -> None:
    """Each exercise has a class of checks, and each check a docstring that the learner reads."""
    if not chapter.exercises:
        return
    found = []
    for node in tree(folder(chapter) / "check.py").body:
        if isinstance(node, ast.ClassDef) and "Lesson" in [ast.unparse(parent) for parent in node.bases]:
            found += [
                statement.value.value
                for statement in node.body
                if isinstance(statement, ast.Assign)
                and ast.unparse(statement.targets[0]) == "exercise"
                and isinstance(statement.value, ast.Constant)
            ]
            tests = [one for one in node.body if getattr(one, "name", "").startswith("test_")]
            assert tests, node.name
            for test in tests:
                assert isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef)
                assert (ast.get_docstring(test) or "").endswith("."), f"{node.name}.{test.name}"
    assert found == [exercise.number for exercise in chapter.exercises]


@texts
def test_links_lead_somewhere(page: Path) -> None:
    """A reader who follows one arrives; chapters that are still to come are no dead ends."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s#]+)[^)]*\)", prose):
        if not re.match(r"[a-z]+:", link):
            assert (page.parent / link).exists() or TO_COME & set(Path(link).parts), link


def test_the_checks_of_this_file_find_what_they_look_for() -> None:
    """A port, a sleep and an import, wherever they are: the tests above cannot pass by finding nothing."""
    script = Path("script.py")
    script.write_text("def main():\n    import lineside.x\n    from twisted import y\n")
    assert imports(script) == {"lineside", "twisted"}
    (call,) = [node for node in ast.walk(ast.parse("task.sleep(3)")) if isinstance(node, ast.Call)]
    assert called(call) == "sleep"
    assert is_port(8000)
    assert not is_port(0)
