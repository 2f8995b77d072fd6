"""`lineside completion`: scripts, and what they will be told."""

from __future__ import annotations

from pathlib import Path

from click.shell_completion import BashComplete
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from lineside.cli import COMMANDS, commands
from lineside.cli.completion import command


def completed(*words: str) -> set[str]:
    """Return what the shell offers for the last of these words."""
    *before, last = words
    complete = BashComplete(commands, {}, "lineside", "_LINESIDE_COMPLETE")
    return {item.value for item in complete.get_completions(before, last)}


class Completion(SynchronousTestCase):
    """The command."""

    def test_each_shell_gets_its_own_script(self) -> None:
        """The script asks `lineside` itself, through the variable that it looks at."""
        for shell in ("bash", "zsh", "fish"):
            result = CliRunner().invoke(command, [shell])
            self.assertEqual(result.exit_code, 0)
            self.assertIn(f"_LINESIDE_COMPLETE={shell}_complete", result.stdout)
            self.assertIn("lineside", result.stdout)

    def test_commands_groups_and_options_complete(self) -> None:
        """All commands at the top, a group's own below it, and the options of each."""
        self.assertEqual(completed(""), set(COMMANDS))
        self.assertEqual(completed("dead"), {"deadletters"})
        self.assertEqual(completed("erp", ""), {"prepare", "call"})
        self.assertIn("--target", completed("erp", "prepare", "--"))
        self.assertEqual(completed("completion", ""), {"bash", "zsh", "fish"})

    def test_tasks_complete_as_they_are_configured(self) -> None:
        """From the file beside, or the one that ``-c`` names; without one, or with half of one, nothing comes."""
        self.assertEqual(completed("tasks", "run", ""), set())
        Path("lineside.toml").write_text("[tasks.nightly]\n[tasks.now]\n[tasks.sync]\n", encoding="utf-8")
        Path("other.toml").write_text("[tasks.other]\n", encoding="utf-8")
        Path("half.toml").write_text("[tasks.nig", encoding="utf-8")
        Path("odd.toml").write_text("tasks = 5", encoding="utf-8")
        self.assertEqual(completed("tasks", "run", ""), {"nightly", "now", "sync"})
        for change in ("pause", "resume"):
            self.assertEqual(completed("tasks", change, "n"), {"nightly", "now"})
        self.assertEqual(completed("tasks", "runs", "--task", "s"), {"sync"})
        self.assertEqual(completed("tasks", "runs", "--state", "in"), {"interrupted"})
        self.assertEqual(completed("tasks", "run", "-c", "other.toml", ""), {"other"})
        for name in ("half.toml", "odd.toml", "missing.toml"):
            self.assertEqual(completed("tasks", "run", "-c", name, ""), set())

    def test_another_shell_is_wrong_use(self) -> None:
        """Exit 2, and the shells that there are."""
        result = CliRunner().invoke(command, ["tcsh"])
        self.assertEqual(result.exit_code, 2)
        self.assertIn("'bash', 'zsh', 'fish'", result.stderr)
