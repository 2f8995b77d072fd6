"""Each thing that an ERP may do wrong, alone and all together: the ledger stays exact."""

from __future__ import annotations

from collections import Counter

from tests.rig.fault_case import ALONE, LIMITS, PATIENT_PLANT, TOGETHER, UNLIMITED, FaultCase
from twisted.internet.task import deferLater

from lineside.edges.frappe.client import url_path

DEVICES = 4
LINES = 8


class EachAlone(FaultCase):
    """Batches, submitted documents and twin routes, while one fault goes on to the last delivery."""

    async def survives(self, shows: str, **faults: object) -> Counter[str]:
        """Deliver lines while the ERP has these faults, until ``shows`` is among its answers; returns those."""
        await self.begin()
        await self.proof.plant.set_faults(**faults)
        answers: Counter[str] = Counter()
        while not answers[shows]:
            self.send()
            await self.proof.answered()
            await self.proof.delivered()
            answers = await self.answers()
        await self.is_exact()
        return answers

    def send(self) -> None:
        self.proof.send(seed=1, devices=DEVICES, lines=LINES, window=8)

    def noticed(self) -> int:
        """Count the attempts that did not succeed, and the times that the ERP was taken to be down."""
        log = self.proof.log()
        return log.count("delivery.retry") + log.count("target.down") + log.count("route.blocked")

    async def test_no_fault(self) -> None:
        """Several documents are made by one request."""
        answers = await self.survives("200")
        self.assertEqual((answers["500"], answers["unanswered"], self.noticed()), (0, 0, 0))
        self.assertLess(answers["requests"], DEVICES * LINES * 2)

    async def test_errors_after_the_commit(self) -> None:
        """What was stored and answered with an error is found, not made again."""
        await self.survives("500", **ALONE["error_after_commit"])

    async def test_errors_before_the_commit(self) -> None:
        """What was undone is made again."""
        await self.survives("500", **ALONE["error_before_commit"])

    async def test_silence_after_the_commit(self) -> None:
        """What was stored and never answered is found."""
        await self.survives("unanswered", **ALONE["hang"])

    async def test_silence_and_nothing_done(self) -> None:
        """What was never looked at is sent again."""
        await self.survives("unanswered", **ALONE["hang_before"])

    async def test_slowness(self) -> None:
        """Answers that come late, each in its own time, change no order."""
        answers = await self.survives("200", **ALONE["latency"])
        self.assertEqual(answers["500"], 0)

    async def test_deadlocks(self) -> None:
        """Batches and submissions that had to make way are made again."""
        await self.survives("500", **ALONE["deadlock"])

    async def test_lock_waits(self) -> None:
        """Changes that waited for a row in vain are made again."""
        await self.survives("500", **ALONE["lock_wait"])

    async def test_lock_waits_longer_than_our_patience(self) -> None:
        """An ERP that still waits for a row after we have given up undoes what it began."""
        await self.survives("unanswered", **ALONE["lock_wait_longer_than_patience"])

    async def test_cut_answers(self) -> None:
        """Half an answer is none."""
        await self.survives("cut", **ALONE["cut"])

    async def test_wrong_content_types(self) -> None:
        """A document whose answer is called a page is looked up, and found."""
        await self.survives("200", **ALONE["wrong_content_type"])
        self.assertEqual(self.noticed(), 0)

    async def test_bad_gateways(self) -> None:
        """A proxy's page says that the ERP is down, and is no refusal."""
        await self.survives("502", **ALONE["bad_gateway"])

    async def test_a_rate_limit(self) -> None:
        """A limit that holds for many windows is hardly ever run into, and the status says what takes so long."""
        await self.begin()
        await self.set_site({**LIMITS, "rate_limit": 0.03})
        self.send()
        await self.proof.until("the gateway to slow down", self.is_paced)
        await self.proof.answered()
        await self.proof.delivered()
        answers = await self.answers()
        self.assertLess(answers["429"], 1 + answers["requests"] / 20)
        await self.is_exact(DEVICES * LINES)

    async def is_paced(self) -> bool:
        status = await self.proof.plant.status()
        return status is not None and any(route.paced for route in status.routes)

    async def test_a_rate_limit_that_others_use_up(self) -> None:
        """Turned away until the next window, the gateway comes back in it."""
        await self.begin()
        # One request takes more than this on any machine; what is left of the lines then has room in few windows.
        await self.set_site({**LIMITS, "rate_limit": 0.0005})
        self.send()
        await self.proof.until("the limit to bite", self.is_limited)
        await self.set_site(LIMITS)
        await self.is_exact(DEVICES * LINES)

    async def is_limited(self) -> bool:
        await self.proof.plant.erp.request("GET", url_path("api", "method", "ping"))
        return self.noticed() > 0

    async def test_maintenance(self) -> None:
        """A site in maintenance is waited for."""
        await self.begin()
        await self.set_site({"maintenance_mode": True})
        self.send()
        await self.proof.answered()
        await self.proof.until("the ERP to be missed", self.noticed)
        await self.set_site(UNLIMITED)
        await self.is_exact(DEVICES * LINES)

    async def test_a_key_that_is_refused(self) -> None:
        """The routes wait for a person; once the key counts again and the gateway was restarted, they deliver."""
        await self.turned_away(unauthorized=1.0)

    async def test_a_role_that_is_missing(self) -> None:
        """So they do where the user may not do what it should."""
        await self.turned_away(forbidden=1.0)

    async def turned_away(self, **kinds: float) -> None:
        await self.begin()
        await self.proof.plant.set_faults(**kinds)
        self.send()
        await self.proof.answered()
        await self.proof.until("the routes to be blocked", lambda: "route.blocked" in self.proof.log())
        await self.proof.stop_gateway()
        await deferLater(self.proof.reactor, next(iter(kinds.values())))
        self.proof.start_gateway()
        await self.is_exact(DEVICES * LINES)


class WithPatience(FaultCase):
    """A gateway that waits long enough for slow bytes, and every fault at once."""

    scenario = PATIENT_PLANT

    async def test_answers_byte_by_byte(self) -> None:
        """An answer that trickles in is an answer, however many pieces it comes in."""
        await self.begin()
        await self.proof.plant.set_faults(**ALONE["byte_delay"])
        self.proof.send(seed=1, devices=DEVICES, lines=LINES, window=8)
        await self.is_exact(DEVICES * LINES)

    async def test_all_of_them(self) -> None:
        """Nothing is lost, nothing doubled, no order changed, nothing half submitted."""
        await self.begin()
        await self.set_site({**LIMITS, "rate_limit": 0.5})
        await self.proof.plant.set_faults(**TOGETHER)
        self.proof.send(seed=2, devices=DEVICES, lines=LINES, window=8)
        await self.proof.until("some answers", lambda: self.proof.fleets[0].counts.acked > DEVICES)
        await self.proof.plant.set_faults(down=0.5)
        await self.is_exact(DEVICES * LINES)
