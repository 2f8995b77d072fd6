"""`lineside test`: the examples of a configuration."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble import sample
from lineside.cli.test import command

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "NEVER_SET_KEY" }
api_secret = { env = "NEVER_SET_SECRET" }

[sources.gate]
type = "lines"
listen = "tcp:7001:interface=127.0.0.1"
max_line = 200

[routes.count]
id = "older-name"
when = "{{ kind == 'count' }}"
doctype = "ToDo"
[routes.count.document]
item = "{{ item }}"
qty = "{{ qty }}"
at = "{{ event.received | site_time }}"
"""


class Examples(SynchronousTestCase):
    """The command."""

    def run_tests(self, *examples: str, json_lines: bool = False) -> Result:
        tests = [f'[[tests]]\nsource = "gate"\n{example}\n' for example in examples]
        Path("lineside.toml").write_text("\n".join([CONFIGURATION, *tests]))
        return CliRunner().invoke(command, ["--json"] if json_lines else [])

    def problems(self, *examples: str) -> list[str | None]:
        return [
            json.loads(line)["problem"] for line in self.run_tests(*examples, json_lines=True).stdout.splitlines()
        ]

    def test_the_sample_configuration_passes_its_own(self) -> None:
        """What `lineside init` writes is right as it stands, without a secret set."""
        Path("lineside.toml").write_text(sample.text())
        result = CliRunner().invoke(command, [])
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertIn("ok    a badge at the gate: checkin\n", result.stdout)
        self.assertIn("2 of 2 documents as expected\n", result.stdout)

    def test_codes_and_types_must_be_the_same(self) -> None:
        """Text stays text and numbers stay numbers: "007" is not 7, and 5.0 not 5. The order of keys is nothing."""
        document = 'expect.count = { at = "2025-01-01 00:00:00.000000", qty = %s, item = "007" }'
        line = """input = '{"kind": "count", "item": %s, "qty": 5}'"""
        self.assertEqual(
            self.problems(
                line % '"007"' + "\n" + document % "5",
                line % "7" + "\n" + document % "5",
                line % '"007"' + "\n" + document % "5.0",
                line % '"007"' + "\n" + document % "true",
            ),
            [None, *["another document than expected"] * 3],
        )

    def test_a_wrong_document_is_shown_as_a_difference(self) -> None:
        """What was expected and what came stand one below the other; the exit code is 1."""
        result = self.run_tests(
            'name = "a shelf"\ninput = { kind = "count", item = "A", qty = 5 }\n'
            'expect.count = { item = "A", qty = 6, at = "2025-01-01 00:00:00.000000" }'
        )
        self.assertEqual(result.exit_code, 1)
        self.assertIn("FAIL  a shelf: count: another document than expected\n", result.stdout)
        self.assertIn('      -   "qty": 6\n      +   "qty": 5\n', result.stdout)
        self.assertIn('          "item": "A",\n', result.stdout)
        self.assertIn("0 of 1 documents as expected", result.stdout)
        self.assertEqual(result.stderr, "note: targets.erp sets no time_zone, so its site times are in UTC here\n")

    def test_every_way_to_be_no_document_is_named(self) -> None:
        """Skipped, refused, undecodable, too long, no line or two: each has its own words."""
        expected = '\nexpect.count = { item = "A" }'
        self.assertEqual(
            self.problems(
                'input = { kind = "alive" }' + expected,
                'input = { kind = "count" }' + expected,
                'input = "[1]"' + expected,
                f'input = "{"x" * 300}"' + expected,
                r'input = "\n"' + expected,
                """input = '''{"kind": "a"}\n{"kind": "b"}\n'''""" + expected,
            ),
            [
                "skipped: its condition is false",
                'refused: routes.count.document.item: no field "item"',
                "the input is undecodable, json: expected an object, got an array",
                "the input is undecodable, too-long: 300 bytes, at most 200 are taken",
                "the input holds no lines; a test has one",
                "the input holds 2 lines; a test has one",
            ],
        )

    def test_a_document_where_none_is_expected(self) -> None:
        """The document that would have been made is shown."""
        result = self.run_tests('input = { kind = "count", item = "A", qty = 1 }\nexpect.count = "skipped"')
        self.assertEqual(result.exit_code, 1)
        self.assertIn("FAIL  tests[0]: count: not skipped: its condition is true\n", result.stdout)
        self.assertIn('+   "item": "A",', result.stdout)

    def test_json_has_one_verdict_a_line(self) -> None:
        """A program gets both documents, and the exit code as well."""
        result = self.run_tests('input = { kind = "x" }\nexpect.count = { item = "A" }', json_lines=True)
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(
            json.loads(result.stdout),
            {
                "test": "tests[0]",
                "route": "count",
                "problem": "skipped: its condition is false",
                "expected": {"item": "A"},
                "got": "skipped",
            },
        )

    def test_a_file_without_examples(self) -> None:
        """It is said, and it is no failure; a program sees no verdict."""
        result = self.run_tests()
        self.assertEqual(result.exit_code, 0)
        self.assertIn("lineside.toml has no [[tests]]", result.stdout)
        self.assertEqual(self.run_tests(json_lines=True).stdout, "")
