"""A plant whose ERP fails: what its documents are, what may go wrong with it, and the judgement by route."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from tests.rig.case import ProofCase
from tests.rig.judgement import judge

from lineside.demo.plant import TIME_ZONE
from lineside.demo.reckoning import Row
from lineside.edges.frappe.client import url_path
from lineside.edges.frappe.prepare import prepare
from lineside.model.event import Record
from lineside.operations.requests import ListDeadLetters
from lineside.operations.results import DeadLetterSummary
from lineside.testing.ledger import Entry, LineSent
from lineside.testing.workload import items

BUSY_PLANT = Path(__file__).with_name("busy-plant.toml").read_text()
PATIENT_PLANT = BUSY_PLANT.replace('"600ms"', '"3s"')
"""For answers that come byte by byte."""
ITEMS = items(5)

ALONE: dict[str, dict[str, object]] = {
    "error_after_commit": {"error_after_commit": 0.3},
    "error_before_commit": {"error_before_commit": 0.3},
    "hang": {"hang": 0.1},
    "hang_before": {"hang_before": 0.1},
    "latency": {"latency": 0.02, "jitter": 0.1},
    "deadlock": {"deadlock": 0.4},
    "lock_wait": {"lock_wait": 0.15, "lock_wait_seconds": 0.3},
    "lock_wait_longer_than_patience": {"lock_wait": 0.15, "lock_wait_seconds": 1.0},
    "cut": {"cut": 0.3},
    "byte_delay": {"byte_delay": 0.00002},
    "wrong_content_type": {"wrong_content_type": 1.0},
    "bad_gateway": {"bad_gateway": 0.15},
}
"""Faults that any request may meet, each alone."""

TOGETHER: dict[str, object] = {
    "error_after_commit": 0.05,
    "error_before_commit": 0.04,
    "hang": 0.02,
    "hang_before": 0.01,
    "latency": 0.002,
    "jitter": 0.01,
    "deadlock": 0.06,
    "lock_wait": 0.02,
    "lock_wait_seconds": 0.2,
    "cut": 0.01,
    "byte_delay": 0.00001,
    "wrong_content_type": 0.2,
    "bad_gateway": 0.01,
}
"""All of them at once."""

FINE: dict[str, object] = dict.fromkeys(TOGETHER, 0)
LIMITS: dict[str, object] = {"rate_limit": 0.15, "rate_window": 1.0}
UNLIMITED: dict[str, object] = {"rate_limit": 0, "maintenance_mode": False}


class Documents(Struct, frozen=True):
    """What one route has made."""

    route: str
    kind: str
    """Of the lines that it takes."""
    doctype: str
    field: str
    """It ends with the line's id."""
    begins: str = ""
    """How the field begins, where several routes fill a DocType."""
    submitted: bool = False
    ordered: bool = True


ROUTES = (
    Documents("checkin", "checkin", "Employee Checkin", "device_id"),
    Documents("stock", "count", "Stock Entry", "remarks", submitted=True),
    Documents("recount", "count", "ToDo", "description", begins="recount"),
    Documents("review", "count", "ToDo", "description", begins="review", ordered=False),
)


class Stock(Struct, frozen=True):
    """Everything in the ERP that the gateway had a part in."""

    rows: dict[str, list[Row]]
    """By route."""
    drafts: int
    """Documents that are not submitted and should be."""
    held: dict[str, float]
    """How many pieces of each item are in store."""
    times: dict[str, str]
    """When each checkin was, as the ERP has it, by its line."""


class FaultCase(ProofCase):
    """Two gates and two shelves, and an ERP that holds what `ROUTES` make of their lines."""

    scenario = BUSY_PLANT
    routes: ClassVar[Sequence[Documents]] = ROUTES

    async def begin(self) -> None:
        """Start the ERP with all that the documents need, then the gateway."""
        plant = self.proof.plant
        await plant.start_erp()
        await prepare(plant.erp, ["Stock Entry"], "lineside_id")
        for code in ITEMS:
            await self.make("Item", item_code=code, item_group="Products", stock_uom="Nos")
        self.proof.start_gateway()
        await self.proof.works()

    async def make(self, doctype: str, **fields: object) -> str:
        """Make a document in the ERP, past the gateway; returns its name."""
        reply = await self.proof.plant.erp.request(
            "POST", url_path("api", "resource", doctype), body=msgspec.json.encode(fields)
        )
        self.assertEqual(reply.status, 200, reply.body)
        return str(msgspec.json.decode(reply.body)["data"]["name"])

    async def listed(self, doctype: str, *fields: str) -> list[dict[str, Any]]:
        """List all documents of a DocType."""
        question = {"doctype": doctype, "fields": list(fields), "limit_page_length": 0}
        reply = await self.proof.plant.erp.request(
            "POST", url_path("api", "method", "frappe.client.get_list"), body=msgspec.json.encode(question)
        )
        self.assertEqual(reply.status, 200, reply.body)
        found: list[dict[str, Any]] = msgspec.json.decode(reply.body)["message"]
        return found

    async def set_site(self, settings: dict[str, object]) -> None:
        """Change what the site's operator sets."""
        path = "/_standin/settings"
        reply = await self.proof.plant.erp.request("POST", path, body=msgspec.json.encode(settings))
        self.assertEqual(reply.status, 200, reply.body)

    async def answers(self) -> Counter[str]:
        """Count the ERP's answers by status; in ``unanswered`` those that never came, in ``cut`` the half ones."""
        reply = await self.proof.plant.erp.request("GET", "/_standin/stats")
        told = msgspec.json.decode(reply.body)
        return Counter({**told.pop("by_status"), **told})

    async def dead_letters(self) -> list[DeadLetterSummary]:
        """Ask the gateway for all dead letters."""
        return (await self.proof.plant.operations.call(ListDeadLetters(limit=1000))).dead_letters

    async def made(self, route: Documents) -> list[Row]:
        """Read a route's documents out of the ERP, past the gateway."""
        rows = []
        for found in await self.listed(route.doctype, route.field, "creation"):
            text = found[route.field]
            if text.startswith(route.begins):
                created = datetime.fromisoformat(found["creation"]).replace(tzinfo=ZoneInfo(TIME_ZONE))
                rows.append(Row(text.rpartition(" ")[2], created.timestamp()))
        return rows

    async def read_erp(self) -> Stock:
        """Let the ERP be well, and read all that it holds."""
        await self.proof.plant.set_faults(**FINE)
        await self.set_site(UNLIMITED)
        rows = {route.route: await self.made(route) for route in self.routes}
        drafts = 0
        for route in self.routes:
            if route.submitted:
                drafts += sum(found["docstatus"] != 1 for found in await self.listed(route.doctype, "docstatus"))
        held = {
            found["item_code"]: found["actual_qty"] for found in await self.listed("Bin", "item_code", "actual_qty")
        }
        times = {
            found["device_id"]: found["time"]
            for found in await self.listed("Employee Checkin", "device_id", "time")
        }
        return Stock(rows, drafts, held, times)

    async def is_exact(self, lines: int | None = None) -> None:
        """Come to the end: every line is exactly one document of each route that takes it, in its order."""
        await self.proof.answered()
        await self.proof.delivered()
        self.assertEqual(await self.dead_letters(), [])
        stock, entries, records = await self.proof.end(self.read_erp)
        self.assertEqual(self.problems(stock, entries, records), [])
        if lines is not None:
            self.assertEqual(len(records), lines)

    def problems(
        self,
        stock: Stock,
        entries: list[Entry],
        records: list[Record],
        refused: frozenset[tuple[str, str]] = frozenset(),
    ) -> list[str]:
        """Return what is wrong, a line each.

        Args:
            stock: what the ERP holds.
            entries: what the devices know.
            records: the whole journal.
            refused: routes and the lines that the ERP refused them.

        """
        payloads = {entry.id: json.loads(entry.payload) for entry in entries if isinstance(entry, LineSent)}
        problems = [f"{stock.drafts} documents were not submitted"] if stock.drafts else []
        for route in self.routes:
            mine = {
                line
                for line, payload in payloads.items()
                if payload["kind"] == route.kind and (route.route, line) not in refused
            }
            told = judge(
                [entry for entry in entries if entry.id in mine],
                [record for record in records if json.loads(record.event.body)["scan_id"] in mine],
                stock.rows[route.route],
                ordered=route.ordered,
            )
            problems += [f"{route.route}: {problem}" for problem in told]
        for line, time in stock.times.items():
            moment = datetime.fromisoformat(payloads[line]["at"]).astimezone(ZoneInfo(TIME_ZONE))
            if datetime.fromisoformat(time) != moment.replace(tzinfo=None):
                problems.append(f"{line} was at {moment}, and says {time}")
        pieces: Counter[str] = Counter()
        for line, payload in payloads.items():
            if payload["kind"] == "count" and ("stock", line) not in refused:
                pieces[payload["item"]] += payload["qty"]
        if stock.held != pieces:
            problems.append(f"the ERP's store holds {stock.held}, and counted were {dict(pieces)}")
        return problems
