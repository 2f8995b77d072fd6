"""The operator's page explains every event of the log."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "guides" / "operations.md"

CALL = re.compile(r"\blog\.(debug|info|warn|error|critical|failure)(?:\(|,)\s*(?:\"([a-z_.]+)\"[,)])?")
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


class TheLog(SynchronousTestCase):
    """Whoever reads a name in the log finds it on the page."""

    def test_every_name_is_a_constant(self) -> None:
        """What is searched for in a log, and alarmed on, never varies."""
        self.assertNotIn("", {name for name, _ in logged()})

    def test_the_page_explains_what_is_logged_and_nothing_else(self) -> None:
        """Each event stands in the tables once, with its level."""
        rows = explained(PAGE.read_text(encoding="utf-8"))
        self.assertEqual(sorted(logged()), sorted(rows))
