"""The guide's configuration is right, and its curl is what the gateway takes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.edges.frappe.webhook import WebhookFormat, rightly_signed

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "webhooks.md"


def blocks(language: str) -> list[str]:
    """Return the page's blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


class WebhooksGuide(SynchronousTestCase):
    """What a reader copies works."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def test_its_example_is_a_configuration(self) -> None:
        """Without a warning."""
        [text] = blocks("toml")
        path = self.directory / "lineside.toml"
        path.write_text(text, encoding="utf-8")
        environ = {"LINESIDE_ERP_KEY": "k", "LINESIDE_ERP_SECRET": "s", "LINESIDE_HOOK_SECRET": "geheim"}
        settings = load(path, environ)
        self.assertEqual(([], ["orders"]), (settings.warnings, list(settings.hooks)))

    def test_its_shell_signs_as_frappe_does(self) -> None:
        """The lines before curl, as they stand there."""
        [script] = blocks("sh")
        signing, _, _ = script.partition("curl")
        done = subprocess.run(
            ["sh", "-c", signing + 'printf "%s\\n%s" "$sign" "$body"'],
            capture_output=True,
            check=True,
            env={"LINESIDE_HOOK_SECRET": "geheim", "PATH": "/usr/bin:/bin"},
        )
        sign, _, body = done.stdout.partition(b"\n")
        self.assertTrue(rightly_signed("geheim", body, sign.decode()))
        self.assertIsNone(WebhookFormat("Sales Order").decode(body).error)
