"""What the configuration can say of drop boxes, and what it is told where that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.settings import Settings
from lineside.model.errors import ConfigurationError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHdfEqz9ddA9YZB/wEiOZjmkj4uEwOjRkoJ26fZQdiAE acme"
PLANT = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "KEY" }
api_secret = { env = "KEY" }

[routes.note]
doctype = "ToDo"
document = { description = "{{ text }}" }
"""
BOX = """
[sources.acme]
type = "sftp"
folder = "partners/acme"
"""
USER = f"""
[ssh.users.acme]
source = "acme"
keys = ["{KEY}"]
"""


class DropBoxSettings(SynchronousTestCase):
    """One configuration, altered."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.path = tmp_path / "lineside.toml"

    def load(self, text: str) -> Settings:
        self.path.write_text(PLANT + text)
        return load(self.path, {"KEY": "k"})

    def problems(self, text: str) -> list[str]:
        wrong = self.assertRaises(ConfigurationError, self.load, text)
        return [problem.removeprefix(f"{self.path}: ") for problem in wrong.problems]

    def test_little_must_be_said(self) -> None:
        """A folder, and a user; the limits are there already."""
        box = self.load(BOX + USER).drop_boxes["acme"]
        self.assertEqual(box.folder, self.path.parent / "partners" / "acme")
        self.assertEqual((box.quota, box.largest, box.rate), (1_000_000_000, 200_000_000, 600))
        self.assertEqual((box.resumable, box.keep), (7 * 86_400.0, 30 * 86_400.0))

    def test_a_box_that_nobody_can_open_is_named(self) -> None:
        """Without a user for it, a source of files is a mistake."""
        self.assertEqual(
            self.problems(BOX),
            ['sources.acme: nobody can send files; a table [ssh.users.NAME] with source = "acme" is missing'],
        )

    def test_two_sources_share_no_folder(self) -> None:
        """A file would belong to whichever looks first."""
        other = BOX.replace("sources.acme", "sources.other") + USER.replace("acme]", "other]").replace(
            'source = "acme"', 'source = "other"'
        )
        self.assertEqual(
            self.problems(BOX + USER + other), ["sources.other.folder: it is that of sources.acme already"]
        )

    def test_limits_fit_together(self) -> None:
        """A largest file that the quota has no room for could never be sent."""
        (problem,) = self.problems(BOX + 'quota = "1MB"\n' + USER)
        self.assertIn("largest is more than quota", problem)
        (problem,) = self.problems(BOX + "quotas = 1\n" + USER)
        self.assertIn('did you mean "quota"', problem)
