"""What the guide to the HTTP services shows is what a gateway does: its commands are run, and answer as it says."""

from __future__ import annotations

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

GUIDE = Path(__file__).parents[2] / "docs/guides/http-api.md"
BLOCKS = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ADDRESS = "http://127.0.0.1:8080"
CURL = "curl -sS --noproxy '*' -w '\\n' --fail-with-body "


class GuidedPlant(RunningPlant):
    """A plant with the guide's own source."""

    configuration = CONFIGURATION + "\n".join(
        text for kind, text in BLOCKS.findall(GUIDE.read_text()) if kind == "toml" and "[sources." in text
    )


class Guide(SynchronousTestCase):
    """Its examples."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery
        self.program = nursery.program(tmp_path / "bin")

    def test_each_curl_answers_as_the_guide_says(self) -> None:
        """One after the other, as somebody would who reads it; where an answer is shown, it is that."""
        if shutil.which("curl") is None:
            lacking("curl is not installed")
        plant = GuidedPlant(self.directory, self.nursery)
        self.addCleanup(plant.stop)
        plant.start()
        environ = {**os.environ, "TOKEN": plant.token("reader", "admin")}
        blocks = BLOCKS.findall(GUIDE.read_text())
        shown = 0
        for (kind, text), (next_kind, answer) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
            # test_erp_view.py asks the ERP, with the items that the guide has; test_device_commands.py a device.
            if (
                kind != "sh"
                or "curl" not in text
                or any(other in text for other in ("/erp/", "/calls/", "/devices/"))
            ):
                continue
            self.assertIn(ADDRESS, text)
            command = text.replace(ADDRESS, plant.url).replace("curl ", CURL)
            done = subprocess.run(
                ["sh", "-c", command], env=environ, capture_output=True, text=True, timeout=DEADLINE, check=False
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""), text + done.stdout)
            if next_kind == "json":
                self.assertEqual(done.stdout, answer)
                shown += 1
        self.assertGreater(shown, 3)
