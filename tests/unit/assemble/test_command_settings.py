"""What the configuration can say of commands to devices and of calls of the ERP, right and wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.commandsettings import CommandSettings
from lineside.assemble.config import load
from lineside.assemble.settings import Settings
from lineside.model.errors import ConfigurationError

PLANT = """
[targets.erp]
type = "frappe"
url = "https://erp.example"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }

[routes.checkin]
target = "erp"
doctype = "Employee Checkin"
document = { employee = "{{ employee }}" }

[sources.gate]
type = "lines"
"""
LISTENS = 'listen = "tcp:7001"\npublic = true\n'
SECOND = """
[targets.other]
type = "frappe"
url = "https://other.example"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }
"""
CALL = '[calls.close]\nmethod = "plant.api.close_shift"\n'


class SettingsCase(SynchronousTestCase):
    """One configuration, altered."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.path = tmp_path / "lineside.toml"

    def read(self, text: str) -> Settings:
        self.path.write_text(PLANT + text, encoding="utf-8")
        return load(self.path, {"KEY": "k", "SECRET": "s"})

    def problem(self, text: str) -> str:
        with self.assertRaises(ConfigurationError) as wrong:
            self.read(text)
        (problem,) = wrong.exception.problems
        return str(problem).removeprefix(f"{self.path}: ")


class Commands(SettingsCase):
    """``commands`` of a source."""

    def commands(self, text: str) -> CommandSettings | None:
        return self.read(LISTENS + text).lines["gate"].commands

    def test_nothing_is_sent_unless_it_is_said(self) -> None:
        """``true`` and a table turn it on."""
        self.assertIsNone(self.commands(""))
        self.assertIsNone(self.commands("commands = false\n"))
        self.assertEqual(self.commands("commands = true\n"), CommandSettings(expires=10.0, queue=16))
        self.assertEqual(
            self.commands('commands = { expires = "1m", queue = 0 }\n'), CommandSettings(expires=60.0, queue=0)
        )

    def test_a_device_that_is_dialled_and_every_framing_of_a_stream_takes_them(self) -> None:
        """But for one that waits for an ACK of each message."""
        dialled = self.read('connect = "tcp:10.0.0.5:4001"\ncommands = true\n')
        self.assertIsNotNone(dialled.lines["gate"].commands)
        for framing in ('"cr"', '"stx-etx"', '{ type = "length", size = 2 }'):
            self.assertIsNotNone(self.commands(f"framing = {framing}\ncommands = true\n"))
        acked = 'framing = { type = "stx-etx", answers = "ack-nak" }\n'
        self.assertIn("waits for an ACK", self.problem(f"{LISTENS}{acked}commands = true\n"))

    def test_datagrams_have_no_way_back(self) -> None:
        """The key is named."""
        self.assertEqual(
            self.problem('listen = "udp:7001"\npublic = true\ncommands = true\n'),
            "sources.gate.commands: datagrams have no connection over which commands could go; remove it",
        )

    def test_bounds_are_kept(self) -> None:
        """Nothing waits for ever."""
        for text, told in (
            ('{ expires = "11m" }', "sources.gate.commands.expires"),
            ('{ expires = "0" }', "sources.gate.commands.expires"),
            ("{ queue = 1001 }", "sources.gate.commands.queue"),
            ("{ retry = true }", "sources.gate.commands.retry: unknown key"),
            ('"yes"', "sources.gate.commands: expected true, false"),
        ):
            self.assertIn(told, self.problem(f"{LISTENS}commands = {text}\n"))


class Calls(SettingsCase):
    """``[calls.NAME]``."""

    def test_a_call_needs_an_operator_and_goes_to_the_only_site(self) -> None:
        """Unless it says otherwise."""
        settings = self.read(LISTENS + CALL)
        call = settings.calls["close"]
        self.assertEqual((call.permission, call.params, call.fixed, call.timeout), ("operate", (), {}, 10.0))
        self.assertEqual((settings.shown_from(call), settings.warnings), ("erp", []))

    def test_a_site_is_chosen_where_there_are_two(self) -> None:
        """And one that only calls use is used."""
        self.assertEqual(
            self.problem(LISTENS + SECOND + CALL), "calls.close.target: is missing; choose one of erp, other"
        )
        self.assertEqual(self.read(f'{LISTENS}{SECOND}{CALL}target = "other"\n').warnings, [])
        self.assertIn('unknown target "erb"; did you mean', self.problem(f'{LISTENS}{CALL}target = "erb"\n'))

    def test_what_can_be_no_method_or_parameter_is_refused(self) -> None:
        """A path in the method's place would reach what nobody allowed."""
        for method in ("../resource/User", "a b", "", "a..b", "frappe.client.insert?x=1"):
            self.assertIn("calls.close.method", self.problem(f'{LISTENS}[calls.close]\nmethod = "{method}"\n'))
        self.assertIn("calls.close.params", self.problem(f'{LISTENS}{CALL}params = ["a-b"]\n'))
        both = 'params = ["shift"]\nfixed = { shift = "NIGHT" }\n'
        self.assertEqual(
            self.problem(LISTENS + CALL + both),
            "calls.close.fixed: shift is a parameter too; it can only be one of both",
        )
        self.assertIn("a name has lower-case", self.problem(f'{LISTENS}[calls."Close it"]\nmethod = "a"\n'))
        self.assertIn("calls.close.permission", self.problem(f'{LISTENS}{CALL}permission = "anybody"\n'))
