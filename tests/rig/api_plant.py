"""A running plant with all that the API may have: sources that are posted to, a query, what is asked of the ERP."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.rig.running_plant import CONFIGURATION, RunningPlant

EXPECTED = Path(__file__).with_name("schemathesis.toml")
MORE = """
[databases.plant]
type = "sqlite"
path = "plant.db"

[queries.late]
database = "plant"
sql = "SELECT id, due FROM orders WHERE due < :before AND line = :line LIMIT :most"
[queries.late.parameters]
before = "date"
line = { type = "string", optional = true }
most = { type = "integer", default = 10 }

[sources.web]
type = "http"
dedupe = "scan_id"

[sources.board]
type = "http"
anonymous = true

[sources.counts]
type = "folder"
path = "acme"
done = ".done"
every = 0.2
format = { type = "csv" }

[erp.Employee]
fields = ["employee_name", "company"]
filter_by = ["company"]

[calls.count]
method = "frappe.client.get_count"
params = ["filters", "from"]
fixed = { doctype = "Employee" }
"""


class ApiPlant(RunningPlant):
    """See the module."""

    configuration = CONFIGURATION + MORE

    def start(self) -> None:
        """Start it, with a database that has a table."""
        with sqlite3.connect(self.directory / "plant.db") as plant:
            plant.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, due TEXT, line TEXT)")
        plant.close()
        super().start()

    def take_a_file(self) -> None:
        """Let a partner put a file, and wait until it is taken."""
        folder = self.directory / "acme"
        (folder / "counts.csv").write_text("item,qty\n00042,3\n00043,7\n")
        (folder / "counts.csv.done").touch()
        self.until("the file to be taken", lambda: "counts.csv" in self.lineside("files", "list"))


def schemathesis(url: str, token: str, *options: str, seconds: float) -> str:
    """Let schemathesis ask everything that the description knows; return its report, or fail with it.

    Args:
        url: the gateway's address.
        token: with which it asks.
        options: of ``schemathesis run``.
        seconds: that it may take.

    """
    command = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [
            str(command),
            f"--config-file={EXPECTED}",
            "run",
            f"{url}/openapi.json",
            f"--header=Authorization: Bearer {token}",
            "--continue-on-failure",
            "--suppress-health-check=all",
            *options,
        ],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
