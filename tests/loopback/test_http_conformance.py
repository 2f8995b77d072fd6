"""A running gateway does what ``/openapi.json`` says, whatever it is asked."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from tests.rig.api_plant import ApiPlant, schemathesis
from tests.rig.forked import Nursery
from tests.rig.running_plant import DEADLINE
from twisted.trial.unittest import SynchronousTestCase

SECONDS = 240
LAMING = "/(revoke|pause)$"
"""schemathesis learns names from answers: it would take its own token away, or pause what it asks."""
SEED = "--seed=6"


class Conformance(SynchronousTestCase):
    """schemathesis asks every endpoint with what the description allows, and with what it does not."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def test_every_endpoint_keeps_to_its_description(self) -> None:
        """Statuses, media types and schemas are as described; the valid is taken, and the rest refused."""
        plant = ApiPlant(self.directory, self.nursery)
        self.addCleanup(plant.stop)
        plant.start()
        plant.take_a_file()
        token = plant.token("tester", "admin")
        told = schemathesis(
            plant.url,
            token,
            SEED,
            "--max-examples=5",
            "--phases=examples,coverage,fuzzing",
            f"--exclude-path-regex={LAMING}",
            seconds=SECONDS,
        )
        self.assertIn("No issues found", told)
        # A token that was lost on the way would have made all further answers 401, which are allowed.
        headers = {"Authorization": f"Bearer {token}"}
        with urlopen(Request(f"{plant.url}/api/v1/status", headers=headers), timeout=DEADLINE) as answer:
            status = json.load(answer)
        self.assertTrue(all(source["received"] for source in status["sources"] if source["id"] in {"web", "board"}))
        self.assertEqual([source["id"] for source in status["sources"] if source["paused"]], [])
        schemathesis(plant.url, token, SEED, "--max-examples=5", f"--include-path-regex={LAMING}", seconds=SECONDS)
        self.assertNotIn("http.failed", (self.directory / "gateway.log").read_text())
