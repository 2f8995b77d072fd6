"""The configuration's reference says what the settings' types say, and its examples are right."""

from __future__ import annotations

import re
from pathlib import Path

from tests.rig.sshd import make_key
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.reference import TABLES, key_table, rewrite
from lineside.delivery.faults import ENVELOPE
from lineside.delivery.filters import FILTERS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"
TEXT = PAGE.read_text(encoding="utf-8")


class ConfigurationReference(SynchronousTestCase):
    """`docs/reference/configuration.md`."""

    def test_describes_every_key(self) -> None:
        """With the type, default and meaning that the program has; else: python -m lineside.assemble.reference."""
        self.assertEqual(rewrite(TEXT), TEXT)

    def test_no_table_can_be_forgotten(self) -> None:
        """A page that leaves a table out, or has one that is not there, is refused."""
        self.assertRaises(ValueError, rewrite, TEXT.replace("<!-- keys: routes -->", ""))
        self.assertRaises(ValueError, rewrite, TEXT.replace("<!-- keys: routes -->", "<!-- keys: router -->"))

    def test_every_key_is_explained(self) -> None:
        """Each has a meaning of a sentence, and those that are not required a default or what is done without."""
        for name, table in TABLES.items():
            for key, field in table.model_fields.items():
                description = field.description or ""
                self.assertRegex(description, r"^[A-Z`].*\.$", f"{name}.{key}")
                if not field.is_required() and field.default is None:
                    self.assertIn("Default:", description, f"{name}.{key}")

    def test_types_and_defaults_read_like_the_file(self) -> None:
        """A few rows, to hold the writer itself."""
        frappe, routes = key_table(TABLES["targets frappe"]), key_table(TABLES["routes"])
        self.assertIn('| `type` | `"frappe"` | required |', frappe)
        self.assertIn("| `concurrency` | whole number, 1 to 64 | `4` |", frappe)
        self.assertIn('| `timeout` | duration, more than 0 | `"30s"` |', frappe)
        self.assertIn('| `backoff` | array of durations | `["1s", "2s", "5s", "15s", "1m"]` |', routes)
        self.assertIn('| `deliver_policy` | `"all"`, `"new"` or a sequence | `"all"` |', routes)
        self.assertIn("| `concurrency` | whole number, 1 to 64 |  |", routes)
        self.assertIn("| `submit` | `true` or `false` | `false` |", routes)
        self.assertIn("| `ack` | `true` or `false` |  |", key_table(TABLES["sources lines"]))
        self.assertIn('| `timeout` | duration, more than 0 | `"5s"` |', key_table(TABLES["poll"]))

    def test_every_example_loads(self) -> None:
        """The examples of the page, put together, are a configuration without a warning."""
        examples = re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
        self.assertEqual(4, len(examples))
        make_key(Path("scale_ed25519"))
        path = Path("lineside.toml")
        path.write_text("\n".join(examples), encoding="utf-8")
        settings = load(path, {"LINESIDE_ERP_KEY": "k", "LINESIDE_ERP_SECRET": "s"})
        self.assertEqual([], settings.warnings)
        self.assertEqual(1, len(settings.tests))

    def test_names_the_envelope_and_the_filters(self) -> None:
        """All that there are, and no others."""
        self.assertEqual(sorted(ENVELOPE), sorted(re.findall(r"^\| `event\.(\w+)` \|", TEXT, re.MULTILINE)))
        section = TEXT.split("### Filters")[1]
        named = re.findall(r"`(\w+)`", " ".join(re.findall(r"^(`.*)\n: ", section, re.MULTILINE)))
        self.assertEqual(sorted(FILTERS), sorted(named))
