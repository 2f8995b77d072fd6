"""A drop box in a process of its own, and OpenSSH's clients to send it files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.rig.forked import Nursery
from tests.rig.quick import Quick
from twisted.trial.unittest import SkipTest, SynchronousTestCase

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds after which a program hangs."""


class DropBoxCase(SynchronousTestCase):
    """One user, "acme", whose key is made for the test."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.folder, self.nursery = tmp_path, nursery

    def setUp(self) -> None:
        for program in ("ssh-keygen", "sftp", "scp"):
            if shutil.which(program) is None:
                raise SkipTest(f"OpenSSH's {program} is not here")
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "acme", "-f", str(self.folder / "id")], check=True
        )
        self.file = self.folder / "orders.csv"
        self.data = Random(1).randbytes(3_000_000)
        self.file.write_bytes(self.data)

    def start(self, *, held: bool = False, **limits: Any) -> None:
        """Start the server; with ``held`` it takes no files in."""
        words = [str(self.folder), json.dumps(limits), *(["--held"] if held else [])]
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        self._input, self._output = os.fdopen(ours_in, "w"), os.fdopen(ours_out)
        streams = (theirs_in, theirs_out, 2)
        self.server = Quick(self.nursery.socket, words, ROOT, os.environ, streams, "tests.rig.drop_box_server")
        os.close(theirs_in)
        os.close(theirs_out)
        self.addCleanup(self.end)
        self.port = int(self.hear())

    def end(self) -> None:
        """Let the server end, and see that it ends well."""
        self._input.close()
        if self.server.code is None:
            self.assertEqual(self.server.wait(PATIENCE), 0)
        self._output.close()

    def kill(self) -> None:
        """Kill the server."""
        self.server.kill()
        self._input.close()
        self._output.close()

    def hear(self) -> str:
        """Return the next line of the server; it comes, or the server has ended."""
        line = self._output.readline().strip()
        self.assertNotEqual(line, "", "the server has ended")
        return line

    def hear_of(self, line: str) -> None:
        """Read until the server says so."""
        while self.hear() != line:
            pass

    @property
    def options(self) -> list[str]:
        """How OpenSSH's programs connect."""
        (self.folder / "known").write_text(
            f"[127.0.0.1]:{self.port} {(self.folder / 'host.pub').read_text().strip()}\n"
        )
        words = [f"UserKnownHostsFile={self.folder / 'known'}", "BatchMode=yes", "IdentitiesOnly=yes"]
        return ["-F", "none", "-i", str(self.folder / "id"), "-P", str(self.port)] + [
            word for option in words for word in ("-o", option)
        ]

    def sftp(self, *lines: str) -> subprocess.CompletedProcess[str]:
        """Run OpenSSH's sftp with a batch of commands."""
        return subprocess.run(
            ["sftp", *self.options, "-b", "-", "acme@127.0.0.1"],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def slow_put(self) -> subprocess.Popen[bytes]:
        """Begin to send the file, at a megabyte a second."""
        batch = self.folder / "batch"
        batch.write_text(f"put {self.file} /inbox/orders.csv\n")
        client = subprocess.Popen(
            ["sftp", *self.options, "-l", "8000", "-b", str(batch), "acme@127.0.0.1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        return client

    def is_taken(self, name: str = "orders.csv") -> None:
        """Check that the file was taken whole, once the server says that it was."""
        self.hear_of(f"taken {name}")
        self.assertEqual((self.folder / "taken" / name).read_bytes(), self.data)

    @property
    def partial(self) -> int:
        """Bytes that there are of the file that was cut."""
        return (self.folder / "acme" / ".partial" / "orders.csv").stat().st_size
