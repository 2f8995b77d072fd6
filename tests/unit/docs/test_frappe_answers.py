"""The table of Frappe's answers says what the classifier does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.outcomes import BY_STATUS, BY_TYPE, Ambiguous, Conflict, Verdict, classify
from lineside.edges.frappe.reply import Reply
from lineside.model.outcome import Blocked, Refused, TargetDown

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "frappe-answers.md"
ROW = re.compile(r"^\| (\d{3}) \| (`(\w+)`|none|\*) \| [^|]*\| ([a-z, ]+) \|$", re.MULTILINE)
ROWS = [
    (int(status), name or kind, verdict) for status, kind, name, verdict in ROW.findall(PAGE.read_text("utf-8"))
]


def answer(status: int, name: str) -> Reply:
    """Return an error as Frappe, or something before it, would answer it."""
    if name == "none":
        return Reply(status, {}, "text/html", b"<h1>an error</h1>")
    exc_type = "SomeNewError" if name == "*" else name
    return Reply(status, {}, "application/json", json.dumps({"exc_type": exc_type}).encode())


def name_of(verdict: Verdict) -> str:
    """Return what the page calls a verdict."""
    match verdict:
        case Conflict(passing=passing):
            return "conflict, passing" if passing else "conflict"
        case Ambiguous():
            return "ambiguous"
        case Blocked():
            return "blocked"
        case TargetDown():
            return "down"
        case Refused():
            return "refused"
    return "done"


@pytest.mark.parametrize(("status", "name", "verdict"), ROWS)
def test_each_row_is_what_is_done(status: int, name: str, verdict: str) -> None:
    """The program's verdict on such an answer is the page's."""
    assert name_of(classify(answer(status, name))) == verdict


class ThePage(SynchronousTestCase):
    def test_no_answer_that_the_program_knows_is_left_out(self) -> None:
        """Every class and every status with a rule of its own stands in the table, once."""
        self.assertEqual(len(ROWS), len(set(ROWS)))
        self.assertEqual(set(BY_TYPE) - {name for _, name, _ in ROWS}, set())
        self.assertEqual(set(BY_STATUS) - {status for status, _, _ in ROWS}, set())
