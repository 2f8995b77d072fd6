"""The gateway dies at the worst moments that have a name; started again, it comes to an exact ledger."""

from __future__ import annotations

from tests.rig.case import ProofCase

LINES = 60


class OneDeath(ProofCase):
    """A gateway, an ERP, four devices with four lines in flight each, and one death."""

    async def dies_at(self, point: str, passage: int = 1) -> None:
        """Let the gateway die at the n-th passage of a point, start it anew, and judge."""
        await self.proof.plant.start_erp()
        self.proof.start_gateway((point, passage))
        self.proof.send(seed=passage, lines=LINES // 4)
        await self.proof.died(point)
        self.proof.start_gateway()
        await self.is_exact(LINES)

    async def dies_while_stopping_at(self, point: str) -> None:
        """Let the gateway be stopped under load, and die at a point on its way out."""
        await self.proof.plant.start_erp()
        self.proof.start_gateway((point, 1))
        fleet = self.proof.send(seed=1, lines=LINES // 4)
        await self.proof.until("some lines", lambda: fleet.counts.acked >= LINES // 5)
        self.proof.plant.gateway.signal("TERM")
        await self.proof.died(point)
        self.proof.start_gateway()
        await self.is_exact(LINES)


class WhileLinesAreTaken(OneDeath):
    """Between a line's arrival and the answer that reaches its device."""

    async def test_inside_the_transaction(self) -> None:
        """Lines of which only a part was written are not there; nobody was told they were."""
        await self.dies_at("append.inside", 3)

    async def test_before_the_commit(self) -> None:
        """Lines that were written but not committed are not there; nobody was told they were."""
        await self.dies_at("append.before-commit", 3)

    async def test_after_the_commit(self) -> None:
        """Lines that were stored but not answered are sent again, and told their first sequences."""
        await self.dies_at("append.after-commit", 3)

    async def test_while_keys_become_a_run(self) -> None:
        """Keys that were half on their way into a run are known where they were before."""
        await self.dies_at("keys.inside", 2)

    async def test_before_a_run_of_keys_is_committed(self) -> None:
        """A run that was written but not committed is none; nobody was told that its last lines were stored."""
        await self.dies_at("keys.before-commit", 3)

    async def test_after_a_run_of_keys_is_committed(self) -> None:
        """Lines whose keys are in a run are sent again, and told their first sequences."""
        await self.dies_at("keys.after-commit", 3)

    async def test_in_the_middle_of_the_answers(self) -> None:
        """A device that gets half an answer takes it for none."""
        await self.dies_at("answers.half-written", 6)


class WhileLinesAreDelivered(OneDeath):
    """Between a record's turn and its outcome on the disk.

    There are two routes, and each delivers at least once. Whether a third delivery is needed depends on how many
    documents go at a time.
    """

    async def test_with_deliveries_on_the_wire(self) -> None:
        """The ERP makes documents for a gateway that is dead already; they are not made twice."""
        await self.dies_at("delivery.sent", 2)

    async def test_before_the_answer_is_read(self) -> None:
        """The ERP has inserted, and its answer reaches nobody: the document is found, not made again."""
        await self.dies_at("delivery.answered", 2)

    async def test_before_the_outcome_is_settled(self) -> None:
        """What the gateway knew but did not store, it finds out again."""
        await self.dies_at("delivery.known", 2)

    async def test_inside_the_settling_transaction(self) -> None:
        """Outcomes of which only a part was written are not there, and are found out again."""
        await self.dies_at("settle.inside", 20)

    async def test_before_outcomes_are_committed(self) -> None:
        """Outcomes that were written but not committed are found out again."""
        await self.dies_at("settle.before-commit", 5)

    async def test_after_outcomes_are_committed(self) -> None:
        """What is settled is not delivered again, although nobody heard of it."""
        await self.dies_at("settle.after-commit", 5)


class WhileItStarts(OneDeath):
    """The first opening of a journal, which may stop anywhere."""

    async def test_with_an_empty_file(self) -> None:
        """A file without tables is a journal that is not begun."""
        await self.dies_at("open.wal")

    async def test_inside_the_migration(self) -> None:
        """Half of the tables are none."""
        await self.dies_at("migrate.inside")

    async def test_before_the_tables_are_committed(self) -> None:
        """All of the tables, uncommitted, are none."""
        await self.dies_at("migrate.before-commit")

    async def test_after_the_tables_are_committed(self) -> None:
        """The tables are there, and are not made again."""
        await self.dies_at("migrate.after-commit")

    async def test_before_a_route_has_its_place(self) -> None:
        """A route that was not entered yet begins with the first record."""
        await self.dies_at("consumer.before-commit")


class WhileItStops(OneDeath):
    """On SIGTERM, at each stage of letting go."""

    async def test_with_lines_in_flight(self) -> None:
        """Lines that were being taken when the stop began are sent again to the next gateway."""
        await self.dies_while_stopping_at("stop.sources")

    async def test_with_deliveries_under_way(self) -> None:
        """All lines are answered, and what was on its way to the ERP is delivered by the next gateway."""
        await self.dies_while_stopping_at("stop.routes")

    async def test_with_everything_settled(self) -> None:
        """Closing the journal adds nothing that it needs."""
        await self.dies_while_stopping_at("stop.journal")
