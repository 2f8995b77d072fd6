"""What the guide to TLS shows is what happens: its commands are run against a gateway with its configuration."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.rig.daemon import lacking
from tests.rig.forked import Nursery
from tests.rig.running_plant import CONFIGURATION, DEADLINE, RunningPlant
from twisted.trial.unittest import SynchronousTestCase

GUIDE = (Path(__file__).parents[2] / "docs/guides/tls.md").read_text(encoding="utf-8")
DEVICES = GUIDE[GUIDE.index("## Certificates for devices") :]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", DEVICES, re.DOTALL | re.MULTILINE)
PORT = "7443"


class Guide(SynchronousTestCase):
    """The section on certificates for devices."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery
        self.program = nursery.program(tmp_path / "bin")

    def run_block(self, text: str, port: str = PORT) -> subprocess.CompletedProcess[str]:
        command = text.replace(f":{PORT}", f":{port}")
        return subprocess.run(
            ["bash", "-ec", command],
            cwd=self.directory,
            env={**os.environ, "PATH": f"{self.program.parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def test_from_the_authority_to_a_revoked_device(self) -> None:
        """As somebody would who reads it, from its first command to its last."""
        if shutil.which("openssl") is None:
            lacking("openssl is not installed")
        (made, device, mended), [configuration] = (
            [text for kind, text in BLOCKS if kind == of] for of in ("sh", "toml")
        )
        done = self.run_block(made)
        self.assertEqual(0, done.returncode, done.stderr)
        plant = RunningPlant(self.directory, self.nursery)
        others = re.sub(r"\[sources\.gate\].*?\n\n", "", CONFIGURATION, flags=re.DOTALL)
        plant.configuration = others + configuration.replace(f"tcp:{PORT}", "tcp:0:interface=127.0.0.1")
        self.addCleanup(plant.stop)
        plant.start()
        port = plant.sources["gate"].rpartition(":")[2]
        done = self.run_block(device, port)
        self.assertEqual((0, "OK 1\n"), (done.returncode, done.stdout), done.stderr)
        shown = plant.lineside("events", "list", "--json", "--source", "gate")
        [event] = [json.loads(line) for line in shown.splitlines()]
        self.assertEqual("scanner-3", event["device"])
        done = self.run_block(mended)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^scanner-3 +device +good ")
        self.assertRegex(done.stdout, r"scanner-3 \w+ is revoked")
        saved = [path for path in (self.directory / "pki/issued").iterdir() if path.name.startswith("scanner-3-")]
        certificate, key = sorted(saved, key=lambda path: path.suffix, reverse=True)
        stolen = device.replace("pki/scanner-3.pem", str(certificate)).replace("pki/scanner-3.key", str(key))
        plant.until(
            "the device to be turned away", lambda: "certificate revoked" in self.run_block(stolen, port).stderr
        )

    def test_the_alerts(self) -> None:
        """The table of alerts has one row for each that `test_secured_listeners` sees."""
        tested = (Path(__file__).parent / "test_secured_listeners.py").read_text(encoding="utf-8")
        rows = re.findall(r"^\| (?:is|has) .*?\| (.*) \|$", DEVICES, re.MULTILINE)
        alerts = re.findall(r"`([a-z ]+)`", " ".join(rows))
        self.assertEqual(6, len(alerts))
        for alert in alerts:
            self.assertIn(f'"{alert}"', tested)
