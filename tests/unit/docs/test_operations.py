"""The operator's page explains every event of the log."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "guides" / "operations.md"

CALL = re.compile(r"\b_?log\.(debug|info|warn|error|critical|failure)(?:\(|,)\s*(?:\"([a-z_.]+)\"[,)])?")
ROW = re.compile(r"^\| (`[a-z_.]+`(?:, `[a-z_.]+`)*) \| (info|warn|error|critical) \|", re.MULTILINE)


def logged() -> set[tuple[str, str]]:
    """Return the name and level of each event that the source logs; '' for a name that is no constant."""
    return {
        (name, "critical" if level == "failure" else level)
        for file in (ROOT / "src").rglob("*.py")
        for level, name in CALL.findall(file.read_text(encoding="utf-8"))
    }


def explained(page: str) -> list[tuple[str, str]]:
    """Return the name and level of each event in the page's tables."""
    return [(name, level) for names, level in ROW.findall(page) for name in re.findall(r"[a-z_.]+", names)]


REMEDY = re.compile(
    r"^\| (`[a-z_.]+`(?:, `[a-z_.]+`)*) \| (?:warn|error|critical) \| [^|]+ \| ([^|]*) \|$", re.MULTILINE
)
ALARMS = {"warn", "error", "critical", "failure"}


def remedies(page: str) -> dict[str, str]:
    """Return what the page says to do about each event that is an alarm, as `lineside top` shows them."""
    return {name: todo for names, todo in REMEDY.findall(page) for name in re.findall(r"[a-z_.]+", names)}


def alarms() -> dict[str, list[set[str]]]:
    """Return for each alarm in the source the facts that every call of its name tells."""
    found: dict[str, list[set[str]]] = {}
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            name = node.args[0]
            if (
                ast.unparse(node.func.value) in {"log", "_log"}
                and node.func.attr in ALARMS
                and isinstance(name, ast.Constant)
            ):
                found.setdefault(str(name.value), []).append({each.arg or "" for each in node.keywords})
    return found


class TheLog(SynchronousTestCase):
    """Whoever reads a name in the log finds it on the page."""

    def test_every_name_is_a_constant(self) -> None:
        """What is searched for in a log, and alarmed on, never varies."""
        self.assertNotIn("", {name for name, _ in logged()})

    def test_the_page_explains_what_is_logged_and_nothing_else(self) -> None:
        """Each event stands in the tables once, with its level."""
        rows = explained(PAGE.read_text(encoding="utf-8"))
        self.assertEqual(sorted(logged()), sorted(rows))

    def test_each_alarm_has_a_remedy(self) -> None:
        """Whoever is woken at night reads what to do, in the row itself."""
        said = remedies(PAGE.read_text(encoding="utf-8"))
        self.assertEqual([], sorted(name for name in alarms() if len(said.get(name, "")) < len("Make room.")))
        self.assertEqual([], [name for name, todo in said.items() if todo.startswith("The same")])

    def test_a_remedy_that_the_log_has_is_there(self) -> None:
        """Where the page sends to the field `remedy`, every line of that name has one."""
        said = remedies(PAGE.read_text(encoding="utf-8"))
        sent = [name for name, todo in said.items() if todo.startswith("`remedy`")]
        self.assertGreaterEqual(len(sent), 5)
        calls = alarms()
        lacking = [name for name in sent if any("remedy" not in facts for facts in calls[name])]
        self.assertEqual([], lacking)
