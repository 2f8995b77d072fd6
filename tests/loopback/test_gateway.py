"""A whole gateway in this process: its parts come up in an order in which none speaks of what is not there."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import pytest
from twisted.trial.unittest import TestCase

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.operations.control import RemoteOperations
from lineside.operations.requests import ShowStatus

SECRETS = {"LINESIDE_DEMO_KEY": "key", "LINESIDE_DEMO_SECRET": "secret"}


class Starting(TestCase):
    """Part by part."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    async def test_whoever_reaches_the_control_socket_is_answered(self) -> None:
        """From the moment there is a socket, the status can be told, also while other parts are still starting."""
        from twisted.internet import reactor as real  # noqa: PLC0415, TID251 (the socket is real)

        reactor: Any = real
        scenario = files("lineside.demo").joinpath("scenario.toml").read_text()
        path = self.directory / "lineside.toml"
        path.write_text(Template(scenario).substitute(erp="http://127.0.0.1:9", port=0))
        settings = load(path, SECRETS)
        operations = RemoteOperations(reactor, settings.journal.control_path)
        answers = 0
        for part in Gateway(reactor, settings).parts:
            await part.start()
            self.addCleanup(part.stop)
            if settings.journal.control_path.exists():
                status = await operations.call(ShowStatus())
                self.assertEqual([route.id for route in status.routes], ["checkin", "count"])
                answers += 1
        self.assertGreater(answers, 0)
