"""The course as it stands in this checkout, chapter by chapter and exercise by exercise."""

from __future__ import annotations

import ast
from pathlib import Path

from lineside.workshop.course import Chapter, Course
from lineside.workshop.learner import Assignment

WORKSHOP = Path(__file__).parents[2] / "workshop"
COURSE = Course(WORKSHOP)

AGENDA = [
    "01_introduction",
    "02_setup",
    "03_real_time_data_processing",
    "04_asynchronous_task_management",
    "05_custom_network_services",
    "06_enhanced_security_features",
    "07_scalable_websocket_implementation",
    "08_protocol_implementations_for_legacy_systems",
]
"""The sections of the agenda, as the folders of their chapters."""

TO_COME = set(AGENDA) - {chapter.folder for chapter in COURSE.chapters}
"""Chapters that the course does not list yet: others may point to them."""


def folder(chapter: Chapter) -> Path:
    """Return where a chapter's files are."""
    return COURSE.folder(chapter)


def assignments() -> list[Assignment]:
    """Return every exercise of the course, as it is handed out."""
    return [
        Assignment(chapter, exercise, folder(chapter) / exercise.file, folder(chapter) / "check.py")
        for chapter in COURSE.chapters
        for exercise in chapter.exercises
    ]


def tree(file: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(file.read_text(encoding="utf-8"))


def name_of(value: object) -> str:
    """Return what pytest calls a chapter, an assignment or a file."""
    if isinstance(value, Chapter):
        return value.folder
    if isinstance(value, Assignment):
        return f"{value.chapter.number}.{value.exercise.name}"
    assert isinstance(value, Path)
    return f"{value.parent.name}/{value.name}"
