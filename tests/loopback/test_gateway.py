"""A whole gateway in this process: its parts come up in an order in which none speaks of what is not there."""

from __future__ import annotations

from importlib.resources import files
from itertools import chain
from pathlib import Path
from string import Template
from typing import Any, cast

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

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the socket is real)

        self.reactor = cast(Any, reactor)
        scenario = files("lineside.demo").joinpath("scenario.toml").read_text()
        path = self.directory / "lineside.toml"
        path.write_text(Template(scenario).substitute(erp="http://127.0.0.1:9", port=0, web=0))
        self.settings = load(path, SECRETS)
        self.gateway = Gateway(self.reactor, self.settings)

    def test_what_waits_alike_stops_together(self) -> None:
        """Routes are one stage, after what they need and before what feeds them: their waits do not add up."""
        self.assertEqual(
            [
                ["journal"],
                ["watchdog"],
                ["audit"],
                ["tokens", "sessions", "pauses", "device commands"],
                ["alarms", "silence alarms"],
                ["target erp"],
                ["route checkin", "route count"],
                ["retention", "inspection"],
                ["control socket"],
                ["live"],
                ["http's door", "reactor lag", "history"],
                ["http"],
                ["source gate"],
            ],
            [[part.name for part in stage] for stage in self.gateway.stages],
        )

    async def test_whoever_reaches_the_control_socket_is_answered(self) -> None:
        """From the moment there is a socket, the status can be told, also while other parts are still starting."""
        settings = self.settings
        operations = RemoteOperations(self.reactor, settings.journal.control_path)
        answers = 0
        for part in chain.from_iterable(self.gateway.stages):
            await part.start()
            self.addCleanup(part.stop)
            if settings.journal.control_path.exists():
                status = await operations.call(ShowStatus())
                self.assertEqual([route.id for route in status.routes], ["checkin", "count"])
                answers += 1
        self.assertGreater(answers, 0)
