"""`lineside try`: what would become of bytes, before any device sends them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from lineside.cli.try_ import command
from lineside.model.errors import ConfigurationError

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "NEVER_SET_KEY" }
api_secret = { env = "NEVER_SET_SECRET" }
TIME_ZONE

[sources.gate]
type = "lines"
listen = "tcp:7001:interface=127.0.0.1"
dedupe = "scan"
device = "reader"
max_line = 120

[sources.idle]
type = "lines"
listen = "tcp:7002:interface=127.0.0.1"
ack = false

[routes.checkin]
sources = ["gate"]
when = "{{ kind == 'checkin' }}"
doctype = "Employee Checkin"
document = { employee = "{{ employee }}", time = "{{ at | site_time }}" }

[routes.note]
sources = ["gate"]
when = "{{ kind == 'note' }}"
doctype = "ToDo"
document = { description = "{{ text }} from {{ event.device }}" }
"""

CHECKIN = b'{"scan":"s1","kind":"checkin","employee":"E1","at":"2026-06-01T10:00:00Z","reader":"north"}\n'


class Try(SynchronousTestCase):
    """The command."""

    def run_try(self, data: bytes, *arguments: str, source: str = "gate", zone: str = "") -> Result:
        Path("lineside.toml").write_text(CONFIGURATION.replace("TIME_ZONE", zone))
        return CliRunner().invoke(command, [source, *arguments], input=data)

    def lines(self, data: bytes, zone: str = "") -> list[dict[str, Any]]:
        result = self.run_try(data, "--json", zone=zone)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        return [json.loads(line) for line in result.stdout.splitlines()]

    def test_each_route_shows_what_it_would_do(self) -> None:
        """A document where the condition holds, a skip elsewhere; key and device as the gateway would see them."""
        [line] = self.lines(CHECKIN)
        self.assertEqual((line["answer"], line["key"], line["device"]), ("OK", "s1", "north"))
        document = {"employee": "E1", "time": "2026-06-01 10:00:00.000000"}
        self.assertEqual(
            line["routes"],
            {
                "checkin": {
                    "outcome": "document",
                    "action": "insert",
                    "doctype": "Employee Checkin",
                    "document": document,
                    "time_zone": "UTC",
                },
                "note": {"outcome": "skipped"},
            },
        )

    def test_site_times_are_in_the_configured_zone(self) -> None:
        """Without a site to ask, the target's time_zone counts, else UTC; the output says which."""
        [line] = self.lines(CHECKIN, 'time_zone = "Asia/Kolkata"')
        self.assertEqual(line["routes"]["checkin"]["document"]["time"], "2026-06-01 15:30:00.000000")
        self.assertEqual(line["routes"]["checkin"]["time_zone"], "Asia/Kolkata")
        told = self.run_try(CHECKIN, zone='time_zone = "Asia/Kolkata"').stdout
        self.assertIn("targets.erp are in Asia/Kolkata, as configured", told)
        self.assertIn("targets.erp are in UTC, since the target sets no time_zone", self.run_try(CHECKIN).stdout)

    def test_a_refusal_names_the_template_and_the_field(self) -> None:
        """One sees what to mend without a gateway, an ERP or a dead letter."""
        [line] = self.lines(b'{"kind":"note"}\n')
        self.assertEqual(
            line["routes"]["note"],
            {"outcome": "refused", "reason": 'routes.note.document.description: no field "text"'},
        )
        shown = self.run_try(b'{"kind":"note"}\n').stdout
        self.assertIn('note: refused, routes.note.document.description: no field "text"', shown)

    def test_lines_are_framed_as_by_the_gateway(self) -> None:
        """CRLF ends a line, empty ones are passed over and counted, and what is wrong is said in its own line."""
        data = b'{"kind":"a"}\r\n\r\n' + b"x" * 500 + b'\nM\xfcller\n{"kind":"b"}'
        first, long, latin, last = self.lines(data)
        self.assertEqual([each["line"] for each in (first, long, latin, last)], [1, 3, 4, 5])
        self.assertEqual(
            [each["error"] for each in (first, long, latin, last)],
            [
                None,
                "too-long: 500 bytes, at most 120 are taken; the first 480 are kept",
                "utf8: byte 2 is not UTF-8",
                None,
            ],
        )
        self.assertEqual((long["answer"], long["routes"]), ("ERR", {}))
        self.assertEqual([each["ended"] for each in (first, last)], [True, False])

    def test_a_repeat_is_shown_as_one(self) -> None:
        """The second line with a key would get the first one's answer and make no document."""
        data = b'{"scan":"k","kind":"note","text":"a"}\n{"scan":"k","kind":"note","text":"b"}\n'
        first, second = self.lines(data)
        self.assertEqual((first["repeats"], second["repeats"]), (None, 1))
        self.assertEqual((second["answer"], second["routes"]), ("OK", {}))
        self.assertIn("OK (a repeat of line 1: not stored again)", self.run_try(data).stdout)

    def test_a_person_reads_the_document_as_json(self) -> None:
        """The whole story of a line, in order."""
        shown = self.run_try(CHECKIN).stdout
        self.assertIn("line 1  OK  key s1  device north\n  checkin: insert Employee Checkin\n    {\n", shown)
        self.assertIn('      "employee": "E1",\n', shown)
        self.assertIn("  note: skipped, its condition is false\n", shown)

    def test_no_byte_from_outside_commands_the_terminal(self) -> None:
        """Escape sequences in a key or a document are shown, not sent."""
        shown = self.run_try(b'{"scan":"\\u001b[2J","kind":"note","text":"\\u009b2J","reader":"\\u0007"}\n').stdout
        self.assertIn("key \\x1b[2J  device \\x07", shown)
        self.assertIn("\\x9b2J from", shown)
        self.assertTrue(all(line.isprintable() for line in shown.splitlines()), shown)

    def test_a_source_without_routes_or_answers_says_so(self) -> None:
        """Nothing would go anywhere: better said than shown as silence."""
        shown = self.run_try(b'{"kind":"a"}\n', source="idle").stdout
        self.assertIn("no route takes the events of idle", shown)
        self.assertIn("ack = false", shown)

    def test_no_line_at_all(self) -> None:
        """A forgotten pipe is named; it is no failure."""
        result = self.run_try(b"\n\n")
        self.assertEqual((result.exit_code, result.stderr), (0, "there was no line on standard input\n"))

    def test_an_unknown_source(self) -> None:
        """The error names the one that was meant."""
        result = self.run_try(CHECKIN, source="gat")
        assert isinstance(result.exception, ConfigurationError)
        self.assertEqual(
            result.exception.problems, ['lineside.toml: there is no source "gat"; did you mean "gate"?']
        )

    def test_asking_the_erp_needs_what_it_takes(self) -> None:
        """The secrets, which are named; a target that there is, and to which the source leads; and --erp itself."""
        result = self.run_try(CHECKIN, "--erp")
        assert isinstance(result.exception, ConfigurationError)
        self.assertIn("NEVER_SET_KEY", result.exception.problems[0])
        self.assertIn("--target goes with --erp", self.run_try(CHECKIN, "--target", "erp").stderr)
        secrets = {"NEVER_SET_KEY": "key", "NEVER_SET_SECRET": "secret"}
        unknown = CliRunner(env=secrets).invoke(command, ["gate", "--erp", "--target", "rp"], input=CHECKIN)
        assert isinstance(unknown.exception, ConfigurationError)
        self.assertEqual(
            unknown.exception.problems, ['lineside.toml: there is no target "rp"; did you mean "erp"?']
        )
        idle = CliRunner(env=secrets).invoke(command, ["idle", "--erp", "--target", "erp"], input=CHECKIN)
        self.assertEqual(str(idle.exception), "no route leads from idle to the target erp: there is nothing to try")

    def test_nothing_is_left_behind(self) -> None:
        """No journal, no socket: trying costs nothing."""
        self.run_try(CHECKIN)
        self.assertEqual([path.name for path in Path().iterdir()], ["lineside.toml"])
