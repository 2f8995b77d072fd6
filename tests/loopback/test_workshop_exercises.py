"""Every exercise fails as handed out with words that help, and every solution passes."""

from __future__ import annotations

import ast
import re

import pytest
from tests.rig.chapters import assignments, name_of, tree

from lineside.workshop.examine import NEVER, examine
from lineside.workshop.learner import Assignment

exercises = pytest.mark.parametrize("assignment", assignments(), ids=name_of)
LEAST = 50
"""Characters of a message that can say what was seen and where to look."""


@exercises
def test_as_handed_out_it_fails_and_teaches(assignment: Assignment) -> None:
    """The first thing that a learner sees is what is missing, not a traceback and not a time-out."""
    report = examine(assignment.check, assignment.exercise.number, assignment.file)
    assert report.problem is not None, "nothing is left to do"
    problem = report.problem.problem
    assert problem is not None
    assert len(problem) >= LEAST, problem
    assert problem != NEVER
    assert "Traceback" not in problem
    assert not re.match(r"(\S+, line \d+, in \S+: )?([\w.]*(Error|Exception)\b|Python ended early)", problem), (
        problem
    )


@exercises
def test_the_solution_passes_every_check(assignment: Assignment) -> None:
    """All checks of the exercise were run, in the order of the file."""
    file = assignment.file.with_name(assignment.exercise.solution)
    report = examine(assignment.check, assignment.exercise.number, file)
    assert report.problem is None, report
    expected = [
        (ast.get_docstring(test) or "").partition("\n")[0]
        for case in tree(assignment.check).body
        if isinstance(case, ast.ClassDef) and f"exercise = {assignment.exercise.number}" in ast.unparse(case)
        for test in case.body
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name.startswith("test_")
    ]
    assert [finding.expected for finding in report.findings] == expected
