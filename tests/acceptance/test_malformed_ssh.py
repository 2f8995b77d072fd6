"""A hundred thousand things of each kind that nobody should say to an SSH server, another seed each time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.rig.malformed_ssh import Box, Door, beginnings, messages, requests
from twisted.trial.unittest import SynchronousTestCase

COUNT = 100_000

pytestmark = pytest.mark.acceptance


class Malformed(SynchronousTestCase):
    """See `tests.memory.test_malformed_ssh`. The seed stands in the report of a failure."""

    timeout = 1_800

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def say_all(self, made: Callable[[int, int], Iterator[Any]], say: Callable[[Any], None]) -> None:
        """Say them one after another; what the server logs as its own failure is one."""
        seed = secrets.randbelow(1 << 32)
        for said in made(seed, COUNT):
            try:
                say(said)
            except Exception as wrong:
                raise AssertionError(f"seed {seed}: {said!r}") from wrong
            logged = self.flushLoggedErrors()
            self.assertEqual([], logged, f"seed {seed}: {said!r}")

    def test_beginnings(self) -> None:
        """Banners, packets and key exchanges: nobody is let in, nothing is raised, nothing is left."""
        self.say_all(beginnings, Door().begin)

    def test_messages(self) -> None:
        """Of somebody who has logged in."""
        door = Door()
        self.say_all(messages, lambda said: door.say(*said))
        door.leave()

    def test_requests(self) -> None:
        """To a drop box: none reaches outside."""
        box = Box(self.folder)
        self.say_all(requests, lambda said: box.ask(*said))
        box.leave()
