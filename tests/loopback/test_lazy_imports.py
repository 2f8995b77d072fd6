"""What a command does not need, it does not wait for."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

IMPORTING = """
import sys
from importlib import import_module
for command in {commands}:
    import_module("lineside.cli." + command)
print([name for name in {unwanted} if name in sys.modules])
"""


class LazyImports(SynchronousTestCase):
    """Modules that a fresh interpreter has after a command was imported."""

    def imported(self, commands: list[str], unwanted: list[str]) -> str:
        program = IMPORTING.format(commands=commands, unwanted=unwanted)
        return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    def test_commands_without_a_configuration_read_none(self) -> None:
        """The libraries that read and check a configuration cost half a second."""
        commands = ["completion", "demo", "init", "simulate", "standin", "workshop"]
        self.assertEqual("[]\n", self.imported(commands, ["pydantic", "jinja2", "lineside.assemble.build"]))

    def test_a_question_to_a_running_gateway_builds_none(self) -> None:
        """The whole gateway is imported only where none runs that could be asked."""
        self.assertEqual("[]\n", self.imported(["events", "status"], ["lineside.assemble.build", "sqlite3"]))

    def test_the_list_of_chapters_needs_no_network(self) -> None:
        """A learner calls `lineside workshop` again and again, and a shell at each completion."""
        self.assertEqual("[]\n", self.imported(["workshop"], ["twisted.internet.defer", "rich.console", "sqlite3"]))
