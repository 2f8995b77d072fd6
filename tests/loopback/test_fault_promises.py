"""What an outage, a refusal, a key that hangs and a journal that is put back do not do."""

from __future__ import annotations

import json
import re
import sqlite3
import tomllib
from collections.abc import Iterator
from contextlib import closing

from tests.rig.fault_case import BUSY_PLANT, FaultCase
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.protocols.portforward import ProxyFactory, ProxyServer

from lineside.demo.reckoning import reckon
from lineside.operations.requests import ShowEvent
from lineside.testing.ledger import Line

STRANGER = "HR-EMP-00051"
HUNG = "HR-EMP-00001"
LINES = 6


def checkins_of(employee: str) -> Iterator[Line]:
    """Yield checkins of one employee."""
    for n in range(1, LINES + 1):
        scan = {"kind": "checkin", "scan_id": f"{employee}-{n}", "employee": employee, "direction": "IN"}
        yield Line(f"{employee}-{n}", json.dumps({**scan, "at": f"2026-03-02T08:00:{n:02}+01:00"}).encode())


class Outage(FaultCase):
    """Routes that give a record up at its first failure."""

    scenario = BUSY_PLANT.replace("max_deliver = 200", "max_deliver = 1")

    async def test_an_outage_makes_no_dead_letter(self) -> None:
        """An ERP that is gone for dozens of backoffs is no failure of the records that wait for it."""
        await self.begin()
        self.proof.send(seed=1, lines=LINES)
        await self.proof.plant.set_faults(down=3.0)
        self.proof.send(seed=2, lines=LINES)
        await self.proof.until("the ERP to be missed", lambda: "target.down" in self.proof.log())
        await self.is_exact()


class Refusal(FaultCase):
    """An employee whom the ERP does not know, among others that it does."""

    async def test_a_refused_record_is_a_dead_letter_alone(self) -> None:
        """Each has the ERP's own words; whatever went with it in one request is a document."""
        await self.begin()
        self.proof.send_lines([checkins_of(STRANGER), checkins_of(HUNG)], window=8)
        self.proof.send(seed=1, lines=LINES)
        await self.proof.answered()
        await self.proof.delivered()
        letters = await self.dead_letters()
        self.assertEqual([letter.route for letter in letters], ["checkin"] * LINES)
        for letter in letters:
            self.assertEqual(letter.code, "LinkValidationError")
            self.assertIn(f"Could not find Employee: {STRANGER}", letter.reason)
        refused = frozenset(("checkin", json.loads(letter.body)["scan_id"]) for letter in letters)
        self.assertEqual(refused, {("checkin", line.id) for line in checkins_of(STRANGER)})
        self.assertEqual(self.problems(*await self.proof.end(self.read_erp), refused), [])


NAMES_HUNG = re.compile(b'"employee":"%s"[^{}]*"lineside_id":"([0-9a-f]{32})"' % HUNG.encode())


class Door(ProxyServer):
    """A way to the ERP on which requests that name one employee get stuck."""

    factory: Doorway

    def dataReceived(self, data: bytes) -> None:
        if self.factory.shut and self.factory.holds(data):
            self.factory.held += 1
        else:
            super().dataReceived(data)


class Doorway(ProxyFactory):
    protocol = Door
    noisy = False
    shut = True
    held = 0

    def holds(self, data: bytes) -> bool:
        """Tell whether a request is held."""
        return HUNG.encode() in data

    def bit(self) -> bool:
        """Tell whether what it is for has been held."""
        return self.held > 0


class LookUpDoorway(Doorway):
    """Holds the look-ups as well that ask for a document of that employee, whatever else they ask for."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.ids: set[bytes] = set()
        self.look_ups = 0

    def holds(self, data: bytes) -> bool:
        """Tell whether a request is held; the ids are learnt from the inserts that are."""
        self.ids.update(NAMES_HUNG.findall(data))
        if super().holds(data):
            return True
        held = any(each in data for each in self.ids)
        self.look_ups += held
        return held

    def bit(self) -> bool:
        """Tell whether a look-up has been held."""
        return self.look_ups > 0


class Hanging(FaultCase):
    """One employee whose requests never get an answer."""

    async def test_a_hung_key_holds_only_itself(self) -> None:
        """All others become documents meanwhile, and its own come in their order once they get through."""
        await self.holds_only_itself(Doorway)

    async def test_a_hung_look_up_holds_only_its_key(self) -> None:
        """So they do where the site never says whether that key's document is there."""
        await self.holds_only_itself(LookUpDoorway)

    async def holds_only_itself(self, kind: type[Doorway]) -> None:
        await self.begin()
        await self.proof.stop_gateway()
        path = self.directory / "lineside.toml"
        url = tomllib.loads(path.read_text())["targets"]["erp"]["url"]
        doorway = kind("127.0.0.1", int(url.rpartition(":")[2]))
        listening = await TCP4ServerEndpoint(self.proof.reactor, 0, interface="127.0.0.1").listen(doorway)
        self.addCleanup(lambda: maybeDeferred(listening.stopListening))
        path.write_text(path.read_text().replace(url, f"http://127.0.0.1:{listening.getHost().port}"))
        self.proof.start_gateway()
        others = [f"HR-EMP-{n:05d}" for n in range(2, 8)]
        self.proof.send_lines([checkins_of(employee) for employee in (HUNG, *others)], window=8)
        await self.proof.answered()

        async def others_are_there() -> bool:
            return len(await self.made(self.routes[0])) == LINES * len(others)

        await self.proof.until("the others' documents", others_are_there)
        await self.proof.until("requests to hang", doorway.bit)
        self.assertFalse([row for row in await self.made(self.routes[0]) if row.line.startswith(HUNG)])
        doorway.shut = False
        await self.is_exact(LINES * (1 + len(others)))


class PutBack(FaultCase):
    """A journal that is gone, or is put back from a copy."""

    async def deliver(self, seed: int) -> None:
        self.proof.send(seed=seed, lines=LINES)
        await self.proof.answered()
        await self.proof.delivered()

    def remove(self) -> None:
        for path in self.directory.glob("journal.db*"):
            path.unlink()

    async def head(self) -> int:
        """Return the newest sequence."""
        status = await self.proof.plant.status()
        assert status is not None
        return status.head

    async def made_of(self, seqs: range) -> dict[tuple[int, str], tuple[str | None, bool]]:
        """Return which document each route made of these events, and whether it was only found."""
        made = {}
        for seq in seqs:
            story = await self.proof.plant.operations.call(ShowEvent(seq=seq))
            for delivery in story.deliveries:
                if delivery.state == "delivered":
                    made[seq, delivery.route] = (delivery.name, delivery.found)
        return made

    async def is_exact_over_both_journals(self) -> None:
        """Every line so far and every one to come is one document of each route, whatever the journal forgot."""
        head = max(record.seq for record in await self.proof.journal())
        entries = self.proof.entries()
        self.assertGreater(len({entry.id for entry in entries}), head)
        stock = await self.read_erp()
        for route in self.routes:
            kinds = {e.id for e in entries if json.loads(getattr(e, "payload", "{}")).get("kind") == route.kind}
            found = reckon([entry for entry in entries if entry.id in kinds], stock.rows[route.route])
            self.assertTrue(found.exact, (route.route, found))
            self.assertEqual(found.documents, len(kinds))
        self.assertEqual(stock.drafts, 0)

    async def test_a_journal_that_is_deleted(self) -> None:
        """New events have the sequences of old ones, and are documents of their own."""
        await self.begin()
        await self.deliver(1)
        await self.proof.stop_gateway()
        self.remove()
        self.proof.start_gateway()
        await self.deliver(2)
        await self.proof.stop_gateway()
        await self.is_exact_over_both_journals()

    async def test_a_journal_that_is_put_back(self) -> None:
        """What the copy still owes is found at the ERP, and what comes after is taken for nothing older."""
        await self.begin()
        await self.deliver(1)
        await self.set_site({"maintenance_mode": True})
        first = await self.head() + 1
        self.proof.send(seed=2, lines=LINES)
        await self.proof.answered()
        owed = range(first, await self.head() + 1)
        self.assertEqual((len(owed), await self.made_of(owed)), (4 * LINES, {}))
        copy = self.directory / "backup.db"
        with closing(sqlite3.connect(self.proof.journal_path)) as journal:
            journal.execute("VACUUM INTO ?", (str(copy),))
        await self.set_site({"maintenance_mode": False})
        await self.deliver(3)
        made = await self.made_of(owed)
        self.assertGreaterEqual(len(made), len(owed))
        await self.proof.stop_gateway()
        self.remove()
        copy.rename(self.proof.journal_path)
        self.proof.start_gateway()
        await self.deliver(4)
        again = await self.made_of(owed)
        self.assertEqual(again, {where: (document, True) for where, (document, _) in made.items()})
        await self.proof.stop_gateway()
        await self.is_exact_over_both_journals()
