"""`lineside check`: what it prints, where, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble import sample
from lineside.cli.check import command
from lineside.model.errors import ConfigurationError

ENVIRON = {"LINESIDE_ERP_KEY": "k", "LINESIDE_ERP_SECRET": "s"}


def check(*arguments: str, text: str | None = None) -> Result:
    """Run the command over a file with this text; by default the sample's."""
    Path("lineside.toml").write_text(sample.text() if text is None else text, encoding="utf-8")
    return CliRunner().invoke(command, arguments, env=ENVIRON)


class Check(SynchronousTestCase):
    """A configuration that is right, one with warnings, and one that is wrong."""

    def test_says_what_a_good_configuration_holds(self) -> None:
        """One line, and nothing on standard error."""
        result = check()
        self.assertEqual(0, result.exit_code)
        self.assertEqual("lineside.toml: ok: 1 source, 1 route, 1 target, 2 tests\n", result.stdout)
        self.assertEqual("", result.stderr)

    def test_warns_and_still_succeeds(self) -> None:
        """A warning names its place, on standard error."""
        result = check(text=sample.text().replace('{ env = "LINESIDE_ERP_SECRET" }', '"plain"'))
        self.assertEqual(0, result.exit_code)
        self.assertEqual(
            "lineside.toml: warning: targets.erp.api_secret: the secret stands in the file; "
            'use { env = "NAME" } or { file = "path" }\n',
            result.stderr,
        )

    def test_a_wrong_configuration_is_one_error_with_every_problem(self) -> None:
        """The command line's entry point prints them all and exits with 2."""
        result = check(text=sample.text().replace("listen =", "lisen =").replace("site_time", "sitetime"))
        assert isinstance(result.exception, ConfigurationError)
        self.assertEqual(
            [
                'lineside.toml: sources.gate.lisen: unknown key; did you mean "listen"?',
                'lineside.toml: routes.checkin.document.time: unknown filter "sitetime"; did you mean "site_time"?',
                "lineside.toml: sources.gate.listen: is missing; or set connect, where the gateway is to dial",
            ],
            result.exception.problems,
        )

    def test_prints_json_either_way(self) -> None:
        """A program reads the same object from standard output whatever came out, and the exit code beside it."""
        good = check("--json")
        self.assertEqual(0, good.exit_code)
        self.assertEqual({"ok": True, "problems": [], "warnings": []}, json.loads(good.stdout))
        wrong = check("--json", text="[sources")
        self.assertEqual(2, wrong.exit_code)
        self.assertEqual("", wrong.stderr)
        found = json.loads(wrong.stdout)
        self.assertEqual((False, []), (found["ok"], found["warnings"]))
        [problem] = found["problems"]
        self.assertRegex(problem, "^lineside.toml: line 1, column 9: ")
