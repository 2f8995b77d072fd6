"""The gateway dies while dead letters are made, and while they are tried again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
from tests.rig.case import ProofCase

from lineside.edges.frappe.client import url_path
from lineside.model.errors import LinesideError
from lineside.operations.requests import RetryDeadLetters
from lineside.testing.ledger import Line

STRANGER = "HR-EMP-00051"
"""The next employee to be hired: until then the ERP refuses whatever names them."""
REFUSED = 4
OTHERS = 20


def checkins_of(employee: str, number: int, *, pad: int = 0) -> Iterator[Line]:
    """Yield checkins of one employee, at least ``pad`` bytes long."""
    for n in range(1, number + 1):
        scan_id = f"{employee}-{n}"
        payload = {
            "kind": "checkin",
            "scan_id": scan_id,
            "employee": employee,
            "direction": "IN",
            "at": f"2026-03-02T08:00:{n:02}+01:00",
            "remark": "." * pad,
        }
        yield Line(scan_id, json.dumps(payload).encode())


class DeadLetters(ProofCase):
    """Some lines of an employee who is not hired yet, among others that are well."""

    async def begin(self, dies_at: tuple[str, int] | None = None) -> None:
        await self.proof.plant.start_erp()
        self.proof.start_gateway(dies_at)
        self.proof.send_lines([checkins_of(STRANGER, REFUSED), checkins_of("HR-EMP-00001", OTHERS)], window=4)

    async def letters_are(self, number: int) -> None:
        """Wait until nothing is under way and so many dead letters wait."""

        async def so_many() -> bool:
            status = await self.proof.plant.status()
            return status is not None and status.dead_letters == number

        await self.proof.delivered()
        await self.proof.until(f"{number} dead letters", so_many)

    async def hire(self) -> None:
        """Let the ERP know the employee."""
        facts = {
            "first_name": "Late",
            "gender": "Female",
            "date_of_birth": "1990-01-01",
            "date_of_joining": "2026-01-01",
            "company": "Stand-in Works",
        }
        path = url_path("api", "resource", "Employee")
        reply = await self.proof.plant.erp.request("POST", path, body=msgspec.json.encode(facts))
        self.assertEqual(msgspec.json.decode(reply.body)["data"]["name"], STRANGER)

    async def retry(self) -> None:
        """Say that all should be tried again; the gateway may die over it."""
        try:
            await self.proof.plant.operations.call(RetryDeadLetters())
        except LinesideError:
            await self.proof.ended()

    async def dies_while_retrying_at(self, point: str, passage: int) -> None:
        """Hire the employee, let the gateway die while it tries the letters again, and start it anew."""
        await self.begin()
        await self.proof.answered()
        await self.letters_are(REFUSED)
        await self.hire()
        self.assertEqual(await self.proof.plant.stop_gateway(), 0)
        self.proof.start_gateway((point, passage))
        await self.proof.works()
        await self.retry()
        await self.proof.died(point)
        self.proof.start_gateway()
        await self.proof.works()


class WhileTheyAreMade(DeadLetters):
    """A refusal is an outcome like others: stored once, or found out again."""

    async def dies_while_refusing_at(self, point: str) -> None:
        await self.begin((point, 2))
        await self.proof.died(point)
        self.proof.start_gateway()
        await self.proof.answered()
        await self.letters_are(REFUSED)
        await self.hire()
        await self.retry()
        await self.letters_are(0)
        await self.is_exact(REFUSED + OTHERS)

    async def test_before_the_commit(self) -> None:
        """A dead letter that was not committed is made again."""
        await self.dies_while_refusing_at("refuse.before-commit")

    async def test_after_the_commit(self) -> None:
        """A dead letter that was committed is one, and is not delivered by itself."""
        await self.dies_while_refusing_at("refuse.after-commit")


class WhileTheyAreTriedAgain(DeadLetters):
    """A retry that was stored is carried out, whatever happens; one that was not may be asked for again."""

    async def test_before_the_retry_is_stored(self) -> None:
        """The letter still waits; nothing was promised to who asked."""
        await self.dies_while_retrying_at("readmit.before-commit", 1)
        await self.letters_are(REFUSED)
        await self.retry()
        await self.letters_are(0)
        await self.is_exact(REFUSED + OTHERS)

    async def test_after_the_retry_is_stored(self) -> None:
        """The last letter's retry is stored: all become documents with nobody asking again."""
        await self.dies_while_retrying_at("readmit.after-commit", REFUSED)
        await self.letters_are(0)
        await self.is_exact(REFUSED + OTHERS)

    async def test_with_its_document_made(self) -> None:
        """The ERP has taken the letter's document at last, and nobody read the answer."""
        await self.dies_while_retrying_at("delivery.answered", 2)
        await self.retry()
        await self.letters_are(0)
        await self.is_exact(REFUSED + OTHERS)

    async def test_before_the_letter_is_gone(self) -> None:
        """The letter outlives its document by the length of a commit, and is not delivered twice."""
        await self.dies_while_retrying_at("redeem.before-commit", 1)
        await self.retry()
        await self.letters_are(0)
        await self.is_exact(REFUSED + OTHERS)

    async def test_after_the_letter_is_gone(self) -> None:
        """The letter went with the commit that settled it."""
        await self.dies_while_retrying_at("redeem.after-commit", 1)
        await self.retry()
        await self.letters_are(0)
        await self.is_exact(REFUSED + OTHERS)


class WhileTheyAreDecodedAgain(DeadLetters):
    """A line too long for its source is a dead letter; decoded again, it is an event, and no letter any more."""

    async def dies_while_decoding_at(self, point: str, left: int) -> None:
        await self.proof.plant.start_erp()
        self.proof.start_gateway((point, 1))
        self.proof.send_lines([checkins_of("HR-EMP-00001", 1, pad=70_000)], window=1)
        await self.proof.answered()
        await self.letters_are(1)
        await self.retry()
        await self.proof.died(point)
        self.proof.start_gateway()
        await self.letters_are(left)
        await self.retry()
        await self.letters_are(0)
        result = await self.proof.finish()
        [refusal] = result.problems
        self.assertIn("HR-EMP-00001-1 was refused: too-long", refusal)
        self.assertEqual((result.documents, len(result.records)), (1, 2))

    async def test_before_the_commit(self) -> None:
        """The letter is there, the event is not."""
        await self.dies_while_decoding_at("redeem.before-commit", 1)

    async def test_after_the_commit(self) -> None:
        """The event is there, the letter is not."""
        await self.dies_while_decoding_at("redeem.after-commit", 0)
