"""The examples of the guide for devices are right."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load

PAGE = Path(__file__).parents[3] / "docs" / "guides" / "devices.md"
AROUND = """
[targets.erp]
type = "frappe"
url = "https://erp.example.com"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }

[routes.weight]
doctype = "Weight"
document = { kg = "{{ kg }}" }
"""


class DeviceExamples(SynchronousTestCase):
    """`docs/guides/devices.md`."""

    def test_every_source_loads(self) -> None:
        """Each table of the page is a source, without a warning."""
        examples = re.findall(
            r"^```toml\n(\[sources.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
        self.assertGreaterEqual(len(examples), 4)
        for example in examples:
            path = Path("lineside.toml")
            path.write_text(AROUND + example, encoding="utf-8")
            self.assertEqual([], load(path, {}, secrets=False).warnings, example)
