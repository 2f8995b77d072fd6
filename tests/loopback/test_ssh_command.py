"""``lineside ssh``: what its people tell partners, and take from them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from shutil import which

import pytest
from tests.rig.forked import Finished, Nursery
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.ssh.hostkeys import host_keys
from lineside.edges.ssh.logins import verified

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[routes.note]
doctype = "ToDo"
document = { description = "{{ payload }}" }
"""
PASSWORD = "correct horse battery staple"


class SshCommand(SynchronousTestCase):
    """By itself, with the gateway's files and no gateway."""

    @pytest.fixture(autouse=True)
    def around(self, tmp_path: Path, nursery: Nursery) -> None:
        self.folder, self.nursery = tmp_path, nursery

    def run_it(self, *words: str) -> Finished:
        """Run a command on the test's configuration."""
        return self.nursery.run(["ssh", *words, "-c", str(self.folder / "lineside.toml")], {}, 60)

    def test_fingerprints_are_those_that_openssh_sees(self) -> None:
        """Once there are keys; looking makes none, and needs no secrets."""
        (self.folder / "lineside.toml").write_text(CONFIGURATION)
        told = self.run_it("fingerprint")
        self.assertEqual((told.code, told.out), (1, ""))
        self.assertIn("has no table [ssh]", told.err)
        (self.folder / "lineside.toml").write_text(CONFIGURATION + "[ssh]\n")
        told = self.run_it("fingerprint")
        self.assertEqual(told.out, "")
        self.assertIn("`lineside run` makes it at its first start", told.err)
        self.assertFalse((self.folder / "ssh").exists())

        host_keys(self.folder / "ssh")
        told = self.run_it("fingerprint", "--json")
        self.assertEqual((told.code, told.err), (0, ""))
        shown = [json.loads(line) for line in told.out.splitlines()]
        self.assertEqual(["ssh-ed25519", "ssh-rsa"], [each["kind"] for each in shown])
        plain = self.run_it("fingerprint").out.splitlines()
        self.assertEqual([line.split() for line in plain], [[each["kind"], each["fingerprint"]] for each in shown])
        if which("ssh-keygen") is not None:
            for file, each in zip(("ssh_host_ed25519_key", "ssh_host_rsa_key"), shown, strict=True):
                seen = subprocess.run(
                    ["ssh-keygen", "-l", "-f", str(self.folder / "ssh" / file)],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                self.assertEqual(seen.stdout.split()[1], each["fingerprint"])

    def test_a_password_is_turned_into_what_the_configuration_holds(self) -> None:
        """From a pipe; it opens to that password alone, twice made it differs, and a short one is none."""
        program = self.nursery.program(self.folder / "bin")

        def made(password: str) -> subprocess.CompletedProcess[str]:
            words = [str(program), "ssh", "password"]
            return subprocess.run(words, input=password, capture_output=True, text=True, timeout=60, check=False)

        one, two = made(f"{PASSWORD}\n"), made(PASSWORD)
        for each in (one, two):
            self.assertEqual((each.returncode, each.stderr), (0, ""))
            self.assertNotIn(PASSWORD, each.stdout)
            self.assertTrue(verified(each.stdout.strip(), PASSWORD.encode()))
            self.assertFalse(verified(each.stdout.strip(), PASSWORD[:-1].encode()))
        self.assertNotEqual(one.stdout, two.stdout)
        short = made("elevenchars\n")
        self.assertEqual((short.returncode, short.stdout), (1, ""))
        self.assertIn("12 characters at least", short.stderr)
