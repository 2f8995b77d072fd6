"""Cancelling a run that asks the ERP, on real sockets: the request beneath is gone for the server too."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from lineside.delivery.gate import Gate
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.target import FrappeTarget
from lineside.edges.frappe.taskcalls import TaskErp
from lineside.journal.tables import JOURNAL
from lineside.store.database import Database
from lineside.tasks.context import Context, ThreadContext
from lineside.tasks.lane import clocks
from lineside.tasks.runner import Runner
from lineside.tasks.sources import TaskSources
from lineside.tasks.tables import TASKS
from lineside.tasks.task import Task


class Hanging(Resource):
    """A site that answers who asks, and never what a method returns."""

    isLeaf = True  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.came: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def render(self, request: Request) -> bytes | int:
        if not request.path.endswith(b".forecast"):
            request.setHeader(b"content-type", b"application/json")
            return b'{"message": {"time_zone": "UTC"}}' if b"zone" in request.path else b'{"message": "me"}'
        request.notifyFinish().addErrback(lambda _: self.gone.callback(None))
        self.came.callback(None)
        return NOT_DONE_YET


class Cancelling(TestCase):
    timeout = 20

    async def begin(self, task: Task) -> Runner:
        from twisted.internet import reactor  # noqa: PLC0415, TID251

        self.site = Hanging()
        with_threads: Any = reactor
        port = with_threads.listenTCP(0, Site(self.site), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        client = FrappeClient(with_threads, f"http://127.0.0.1:{port.getHost().port}", "key", "secret")
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        gate = Gate("erp", FrappeTarget(client), with_threads, Random(1), concurrency=4)
        database = Database(Path(self.mktemp()) / "journal.db", (JOURNAL, TASKS), with_threads.callFromThread)
        await database.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(database.close()))
        runner = Runner(
            {task.name: task},
            database,
            with_threads,
            clocks(with_threads, lambda: 0),
            Random(1),
            TaskSources({}),
            erps={"erp": TaskErp(client, gate, Random(1))},
        )
        await runner.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(runner.stop()))
        return runner

    async def cancelled_while_it_asks(self, task: Task) -> None:
        runner = await self.begin(task)
        ended: Deferred[None] = Deferred()
        runner.on_change.append(
            lambda runs: ended.callback(None) if any(run.state == "cancelled" for run in runs) else None
        )
        asked = await runner.ask("forecast")
        assert asked.run is not None
        await self.site.came
        await runner.cancel(asked.run)
        await self.site.gone
        await ended
        self.assertEqual("cancelled", (await runner.get(asked.run)).state)

    async def test_aborts_the_request(self) -> None:
        """A run that waits for the ERP ends at once, and the server sees the connection go."""

        async def forecast(context: Context[Any]) -> Any:
            return await context.erp.call("plant.api.forecast")

        await self.cancelled_while_it_asks(Task("forecast", forecast, target="erp"))

    async def test_aborts_the_request_of_a_blocking_function(self) -> None:
        """A function on a thread that waits for the ERP ends as well: what it waits for is aborted."""

        def forecast(context: ThreadContext[Any]) -> Any:
            return context.wait(lambda: context.erp.call("plant.api.forecast"))

        await self.cancelled_while_it_asks(Task("forecast", forecast, target="erp", thread=True))
