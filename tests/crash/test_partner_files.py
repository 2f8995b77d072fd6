"""Partners' files, and a gateway that is killed while it reads and delivers them: each row becomes one document."""

from __future__ import annotations

import shutil
from random import Random

from tests.rig.forked import Forked
from tests.rig.partner_case import COUNTS, GOOD, LOOK_AGAIN, ORDER, RECEIPT, PartnerCase, parsed
from twisted.internet.task import deferLater


class Killed(PartnerCase):
    """Folders in which files lie."""

    sources = """
[sources.counts]
type = "folder"
path = "counts"
every = "100ms"
partial_after = "0"
format = { type = "csv", delimiter = ";", encoding = "cp1252", types = { qty = "int" } }
trailer = 'END;(?P<count>\\d+)'

[sources.orders]
type = "folder"
path = "orders"
every = "100ms"
format = "edifact"
"""

    def give(self, folder: str, name: str, content: bytes) -> None:
        """Put a whole file into a folder, as a partner's program does: by renaming it."""
        (self.directory / folder).mkdir(exist_ok=True)
        draft = self.directory / folder / f".{name}"
        draft.write_bytes(content)
        draft.rename(self.directory / folder / name)

    def answer(self, folder: str, name: str) -> list[dict[str, str]] | None:
        """Return the rows of an answer; None where none is there, or not the last one."""
        path = self.directory / folder / "outbox" / f"{name}.result.csv"
        return parsed(path.read_bytes()) if path.exists() else None

    async def until(self, gateway: Forked, *answers: tuple[str, str]) -> list[list[dict[str, str]]]:
        """Wait until these files are answered as a whole."""
        while True:
            found = [rows for rows in (self.answer(*each) for each in answers) if rows is not None]
            if len(found) == len(answers):
                return found
            self.assertIsNone(gateway.code, self.directory)
            await deferLater(self.reactor, LOOK_AGAIN)

    async def test_each_row_becomes_one_document_whatever_dies(self) -> None:
        """A file of 1,000 rows, five of them bad, and an order; killed in the middle, and given a second time."""
        self.give("counts", "counts.csv", COUNTS)
        self.give("orders", "order.edi", ORDER)
        random = Random(5)
        deaths = 0
        while (there := len(await self.listed("Copy"))) < GOOD:
            gateway = self.run_gateway()
            await self.delivered(gateway, min(there + random.randrange(100, 400), GOOD))
            await self.killed(gateway)
            deaths += 1
        self.assertGreater(deaths, 2)
        gateway = self.run_gateway()
        first, ordered = await self.until(gateway, ("counts", "counts.csv"), ("orders", "order.edi"))
        await self.judge(first, ordered)

        self.give("counts", "again.csv", COUNTS)
        self.give("orders", "again.edi", ORDER)
        again, order_again = await self.until(gateway, ("counts", "again.csv"), ("orders", "again.edi"))
        self.assertEqual(first, again)
        self.assertEqual(ordered, order_again)

        self.give("counts", "cut.csv", COUNTS[: len(COUNTS) // 2])
        (refused,) = await self.until(gateway, ("counts", "cut.csv"))
        self.assertEqual(["refused"], [row["status"] for row in refused])
        self.assertTrue(refused[0]["error"].startswith("trailer: "), refused)
        await self.judge(again, order_again)
        gateway.signal("TERM")
        self.assertEqual(await gateway.ended(), 0)
        archived = {path.name for path in (self.directory / "counts" / "archive").iterdir()}
        self.assertEqual({"counts.csv", "cut.csv"}, archived)
        self.assertEqual(COUNTS, (self.directory / "counts" / "archive" / "counts.csv").read_bytes())
        self.assertIn(RECEIPT, (self.directory / "orders" / "outbox" / "order.edi.contrl.edi").read_bytes())
        shutil.rmtree(self.directory / "counts")
