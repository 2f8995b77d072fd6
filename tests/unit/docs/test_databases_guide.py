"""The guide's tables make one configuration that is right."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "databases.md"
BLOCK = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)


class DatabasesGuide(SynchronousTestCase):
    """What a reader copies works."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def test_its_examples_are_one_configuration(self) -> None:
        """All of its blocks together, without a warning."""
        text = "\n".join(BLOCK.findall(GUIDE.read_text(encoding="utf-8")))
        self.assertEqual({"databases", "queries", "http", "targets", "sources", "routes"}, set(tomllib.loads(text)))
        path = self.directory / "lineside.toml"
        path.write_text(text, encoding="utf-8")
        settings = load(path, {"LINESIDE_DB_PASSWORD": "s3cret"})
        self.assertEqual([], settings.warnings)
        self.assertEqual({"frappe", "plant", "archive"}, set(settings.databases))
        self.assertEqual("datetime", settings.queries["open-orders"].parameters["since"].type)
