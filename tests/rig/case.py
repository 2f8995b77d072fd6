"""The frame of a proof: its directory, its nursery, and an end that leaves nothing running."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rig.forked import Nursery
from tests.rig.proof import Proof
from twisted.trial.unittest import TestCase


class ProofCase(TestCase):
    """Has ``self.proof``, not begun yet."""

    timeout = 170
    scenario: str | None = None
    """The gateway's configuration; that of the demonstration without."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes and sockets are real)

        self.proof = Proof(reactor, self.directory, self.nursery, scenario=self.scenario)
        self.addCleanup(self.proof.abandon)

    async def is_exact(self, lines: int | None = None) -> None:
        """Come to the end: the ledger is exact, and so many lines were acknowledged."""
        result = await self.proof.finish()
        self.assertEqual(result.problems, [])
        self.assertEqual((result.documents, len(result.records)), (result.lines, result.lines))
        if lines is not None:
            self.assertEqual(result.lines, lines)
