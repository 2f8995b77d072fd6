"""The threat model names every way in, and tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


class ThreatModel(SynchronousTestCase):
    """SECURITY.md."""

    def test_every_edge_has_its_threats(self) -> None:
        """A new one cannot be added without them; each says what remains."""
        edges = {path.parent.name for path in (ROOT / "src/lineside/edges").glob("*/__init__.py")}
        self.assertEqual(set(re.findall(r"^### .*\(`edges/(\w+)`\)$", PAGE, re.MULTILINE)), edges)
        self.assertEqual(PAGE.count("**What remains:**"), len(edges))

    def test_what_holds_a_defence_is_there(self) -> None:
        """Each line of the tables names tests, and all of them exist."""
        rows = re.findall(r"^\| ([STRIDE](?:, [STRIDE])*) \| .* \| ([^|]*) \|$", PAGE, re.MULTILINE)
        self.assertGreater(len(rows), 30)
        for letter, held in rows:
            named = re.findall(r"`(tests/[\w/.]+)`", held)
            self.assertTrue(named, (letter, held))
            self.assertEqual([name for name in named if not (ROOT / name).exists()], [])

    def test_each_attack_is_a_test(self) -> None:
        """The file that is named has the test that is named."""
        part = PAGE.partition("## Attacks that are tests")[2].partition("\n## ")[0]
        rows = [row for row in part.splitlines() if row.startswith("| ")][2:]
        self.assertGreater(len(rows), 25)
        for row in rows:
            named = re.search(r"\| `(tests/[\w/.]+)`, `(test_\w+)` \|$", row)
            assert named is not None, row
            self.assertIn(f"def {named[2]}(", (ROOT / named[1]).read_text(encoding="utf-8"), row)
