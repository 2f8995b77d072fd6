"""`lineside init`: a configuration to start from."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble import sample
from lineside.cli.init import command


def init(*arguments: str) -> Result:
    """Run the command in the current directory."""
    return CliRunner().invoke(command, arguments)


class Init(SynchronousTestCase):
    """What it writes, and what it leaves alone."""

    def test_writes_the_sample_and_says_what_comes_next(self) -> None:
        """The file is complete, and the line names a command that reads it."""
        result = init()
        self.assertEqual(
            (0, "wrote lineside.toml; edit it, then: lineside check\n"), (result.exit_code, result.output)
        )
        self.assertEqual(sample.text(), Path("lineside.toml").read_text(encoding="utf-8"))

    def test_takes_a_file_or_a_directory(self) -> None:
        """In a directory the file gets its usual name."""
        Path("etc").mkdir()
        self.assertEqual("wrote gate.toml; edit it, then: lineside check -c gate.toml\n", init("gate.toml").output)
        self.assertEqual(
            "wrote etc/lineside.toml; edit it, then: lineside check -c etc/lineside.toml\n", init("etc").output
        )
        self.assertTrue(Path("gate.toml").exists())
        self.assertTrue(Path("etc/lineside.toml").exists())

    def test_overwrites_nothing_unless_told(self) -> None:
        """A configuration that somebody wrote is kept."""
        Path("lineside.toml").write_text("mine")
        result = init()
        self.assertEqual("lineside.toml exists already; --force overwrites it", str(result.exception))
        self.assertEqual("mine", Path("lineside.toml").read_text())
        self.assertEqual(0, init("--force").exit_code)
        self.assertEqual(sample.text(), Path("lineside.toml").read_text(encoding="utf-8"))

    def test_says_why_it_cannot_write(self) -> None:
        """In one line."""
        self.assertEqual(
            "cannot write nowhere/lineside.toml: No such file or directory",
            str(init("nowhere/lineside.toml").exception),
        )
