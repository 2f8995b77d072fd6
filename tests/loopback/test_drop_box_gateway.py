"""A whole gateway with a drop box: a partner's file becomes events and an answer, and all of it is on record."""

from __future__ import annotations

import shutil
import subprocess
from typing import IO

from tests.rig.drop_box_case import PATIENCE, DropBoxCase

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "key"
api_secret = "secret"

[ssh]
listen = "tcp:0:interface=127.0.0.1"
[ssh.users.acme]
source = "acme"
keys = { file = "id.pub" }
[ssh.users.other]
source = "acme"
keys = { file = "other.pub" }

[sources.acme]
type = "sftp"
folder = "partners/acme"
partial_after = "0"
format = "csv"

[routes.count]
sources = ["acme"]
doctype = "Copy"
document = { title = "{{ code }}" }
"""


class DropBoxOfAGateway(DropBoxCase):
    """``lineside run``, and OpenSSH's sftp."""

    def run_gateway(self) -> None:
        """Start it, and learn its port."""
        self.gateway = subprocess.Popen(
            [*self.nursery.command, "run"],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(self.finish)
        self.port = int(self.read_until("ssh.listening").rpartition(":")[2])
        public = subprocess.run(
            ["ssh-keygen", "-y", "-f", str(self.folder / "ssh" / "ssh_host_ed25519_key")],
            capture_output=True,
            check=True,
        )
        (self.folder / "host.pub").write_bytes(public.stdout)

    def finish(self) -> None:
        """Let it end."""
        if self.gateway.returncode is None:
            self.gateway.terminate()
            self.gateway.communicate(timeout=PATIENCE)

    def read_until(self, event: str) -> str:
        """Return the line of its log with an event."""
        log: IO[str] | None = self.gateway.stdout
        assert log is not None
        seen = []
        for line in log:
            seen.append(line)
            if f" {event} " in line:
                return line.strip()
        self.fail(f"no {event}: {''.join(seen)}")
        return ""

    def test_a_file_is_answered_and_its_users_do_not_meet(self) -> None:
        """Rows are events, the bad one is named in the answer, and another user of the source sees none of it."""
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "other")], check=True
        )
        (self.folder / "lineside.toml").write_text(CONFIGURATION)
        self.file.write_text("code,qty\n1,2\n2,3\n3\n")
        self.run_gateway()
        done = self.sftp(f"put {self.file} /inbox/orders.csv")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.read_until("file.answered")
        # The answer that is whole as far as can be comes once all rows are read.
        answer = self.folder / "answer"
        for _ in range(100):
            done = self.sftp(f"get /outbox/orders.csv.result.csv {answer}")
            self.assertEqual(done.returncode, 0, done.stderr)
            if "further rows" not in answer.read_text():
                break
        rows = answer.read_text().splitlines()
        self.assertEqual(rows[0].split(",")[:3], ["row", "sequence", "status"])
        self.assertEqual([row.split(",")[2] for row in rows[1:4]], ["pending", "pending", "dead-letter"])
        told = subprocess.run(
            [*self.nursery.command, "audit", "list"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        self.assertIn("sftp.received", told)
        for suffix in ("", ".pub"):
            shutil.copy(self.folder / f"other{suffix}", self.folder / f"id{suffix}")
        seen = subprocess.run(
            ["sftp", *self.options, "-b", "-", "other@127.0.0.1"],
            input="ls /inbox\nls /outbox\nls /archive\n-ls /../../acme/archive\n",
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        self.assertNotIn("orders.csv", seen.stdout)
