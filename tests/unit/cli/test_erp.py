"""`lineside erp`: wrong use is told before any site is asked."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble import sample
from lineside.cli.erp import command
from lineside.model.errors import ConfigurationError

KEYS = {"LINESIDE_ERP_KEY": "key", "LINESIDE_ERP_SECRET": "secret"}


class Erp(SynchronousTestCase):
    """The group and its command."""

    def problems(self, *arguments: str, **environ: str) -> list[str]:
        Path("lineside.toml").write_text(sample.text())
        result = CliRunner().invoke(command, ["prepare", *arguments], env=environ)
        assert isinstance(result.exception, ConfigurationError), result
        return result.exception.problems

    def test_an_unknown_target(self) -> None:
        """The error names the one that was meant."""
        self.assertEqual(
            self.problems("--target", "epr", **KEYS),
            ['lineside.toml: there is no target "epr"; did you mean "erp"?'],
        )

    def test_secrets_are_needed(self) -> None:
        """Unlike a rehearsal, this talks to the site: a key that is not set is an error of its own."""
        [problem] = self.problems(LINESIDE_ERP_KEY="key")
        self.assertIn("LINESIDE_ERP_SECRET is not set", problem)
