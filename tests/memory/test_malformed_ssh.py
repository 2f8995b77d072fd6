"""What nobody should say to the SSH server and to a drop box, some of it; the rest is in the acceptance tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rig.malformed_ssh import Box, Door, beginnings, messages, requests
from twisted.conch.ssh import filetransfer as sftp
from twisted.trial.unittest import SynchronousTestCase

COUNT = 400


class Malformed(SynchronousTestCase):
    """The same at each run."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def test_beginnings(self) -> None:
        """Nobody is let in, nothing is raised, and nothing is left of who goes."""
        door = Door()
        for pieces in beginnings(1, COUNT):
            door.begin(pieces)

    def test_messages(self) -> None:
        """Of somebody who has logged in: they are answered, refused, or end the connection."""
        door = Door()
        for number, content in messages(1, COUNT):
            door.say(number, content)
        door.leave()
        self.assertGreater(door.visits, 3)
        self.assertLess(door.visits, COUNT // 2)

    def test_requests(self) -> None:
        """To a drop box: each is answered, and none reaches outside."""
        box = Box(self.folder)
        for kind, content in requests(1, COUNT):
            box.ask(kind, content)
        box.leave()
        for kind in (sftp.FXP_STATUS, sftp.FXP_HANDLE, sftp.FXP_NAME, sftp.FXP_ATTRS):
            self.assertGreater(box.kinds.get(kind, 0), 0, kind)
        self.assertGreater(box.taken, 0)
