"""A running plant to which a partner sends files."""

from __future__ import annotations

from tests.rig.running_plant import CONFIGURATION, RunningPlant

FILES = """
[sources.counts]
type = "folder"
path = "acme"
pattern = "*.csv"
sender = "acme"
done = ".done"
every = 0.2
format = { type = "csv", types = { qty = "int" } }

[routes.counted]
sources = ["counts"]
doctype = "ToDo"
backoff = ["200ms", "500ms", "1s"]
[routes.counted.document]
description = "{{ item }}: {{ qty }} counted"
"""


class FilePlant(RunningPlant):
    """Has a partner's folder."""

    configuration = CONFIGURATION + FILES

    def put(self, name: str, text: str) -> None:
        """Let the partner put a file."""
        folder = self.directory / "acme"
        (folder / name).write_text(text)
        (folder / f"{name}.done").touch()
