"""`lineside pki`: what is printed, and what is told of wrong use."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from lineside.cli.pki import command
from lineside.model.errors import LinesideError


class Commands(SynchronousTestCase):
    """One after the other, in a folder of their own."""

    def run_one(self, *arguments: str) -> str:
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 0, result
        return result.stdout

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run_one(*arguments, "--json").splitlines()]

    def test_json(self) -> None:
        """One value a line, the same for each command that tells of certificates."""
        [made] = self.json("init", "--name", "Plant North")
        self.assertEqual(("Plant North", "pki/ca.pem"), (made["name"], made["certificate"]))
        [gateway] = self.json("issue", "gateway", "--host", "gateway.plant", "--host", "10.0.0.2", "--days", "20")
        [device] = self.json("issue", "scanner-3", "--source", "gate", "--source", "shelf")
        self.assertEqual(("server", ["gateway.plant", "10.0.0.2"]), (gateway["kind"], gateway["hosts"]))
        self.assertEqual(("device", ["gate", "shelf"]), (device["kind"], device["sources"]))
        self.assertEqual([gateway, device], self.json("list"))
        [renewed] = self.json("renew")
        self.assertEqual(("gateway", gateway["hosts"]), (renewed["name"], renewed["hosts"]))
        self.assertEqual(["revoked"], [each["state"] for each in self.json("revoke", "scanner-3")])
        states = [(each["name"], each["state"]) for each in self.json("list")]
        self.assertEqual([("gateway", "replaced"), ("gateway", "good"), ("scanner-3", "revoked")], states)
        self.assertEqual([], self.json("renew"))

    def test_text(self) -> None:
        """For a person."""
        self.assertRegex(self.run_one("init", "--folder", "authority"), r"certificate +authority/ca\.pem\n")
        at = ("--folder", "authority")
        self.assertEqual("no certificate was signed yet\n", self.run_one("list", *at))
        issued = self.run_one("issue", "scanner-3", *at)
        self.assertRegex(issued, r"for +any source\ncertificate +authority/scanner-3")
        self.assertIn("nothing ends within 30 days", self.run_one("renew", *at))
        self.assertRegex(self.run_one("list", *at), r"NAME +KIND .*\nscanner-3 +device +good +\d{4}-\d\d-\d\d ")
        self.assertRegex(self.run_one("revoke", "scanner-3", *at), r"^scanner-3 [0-9a-f]+ is revoked\n$")

    def test_wrong_use(self) -> None:
        """One line, and nothing is made."""
        result = CliRunner().invoke(command, ["list"])
        assert isinstance(result.exception, LinesideError)
        self.assertEqual("there is no CA in pki; lineside pki init makes one", str(result.exception))
        self.assertEqual(2, CliRunner().invoke(command, ["init", "--days", "0"]).exit_code)
