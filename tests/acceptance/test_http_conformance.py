"""The API held to its description at depth: thousands of requests, another seed each time."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from tests.rig.api_plant import ApiPlant, schemathesis
from tests.rig.forked import Nursery
from twisted.trial.unittest import SynchronousTestCase

SECONDS = 3600
LAMING = "/(revoke|pause)$"

pytestmark = pytest.mark.acceptance


class Depth(SynchronousTestCase):
    """See `tests.loopback.test_http_conformance`."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def test_nothing_that_is_asked_is_answered_otherwise_than_described(self) -> None:
        """Also when answers lead to the next questions; the seed stands in the report of a failure."""
        plant = ApiPlant(self.directory, self.nursery)
        self.addCleanup(plant.stop)
        plant.start()
        plant.take_a_file()
        token = plant.token("tester", "admin")
        seed = f"--seed={secrets.randbelow(1 << 32)}"
        told = schemathesis(
            plant.url, token, seed, "--max-examples=300", f"--exclude-path-regex={LAMING}", seconds=SECONDS
        )
        self.assertIn("No issues found", told)
        schemathesis(
            plant.url, token, seed, "--max-examples=300", f"--include-path-regex={LAMING}", seconds=SECONDS
        )
        self.assertNotIn("http.failed", (self.directory / "gateway.log").read_text())
