"""Peers that are gone without a word: a cable is pulled, and neither FIN nor RST arrives."""

from __future__ import annotations

from tests.crash.test_limits import LimitCase
from tests.crash.test_surroundings import scenario
from tests.rig.cable import own_network, plug

from lineside.demo.children import Child


class CableCase(LimitCase):
    """A gateway, an ERP and devices on one cable."""

    def setUp(self) -> None:
        # First, so that it is undone last, and that the ports are those of this network.
        self.addCleanup(own_network())
        super().setUp()
        self.proof.start_command = self.proof.start_erp_command = Child.start


class LostDevice(CableCase):
    """A device that loses its power, at a source with room for one."""

    scenario = scenario(dedupe='dedupe = "scan_id"\nidle_timeout = "2s"\nmax_connections = 1')

    async def test_its_place_is_given_to_the_next(self) -> None:
        """The gateway is not told that it is gone; it notices the silence, and serves who comes then."""
        proof = self.proof
        await proof.plant.start()
        [lost] = await self.call(1)
        lost.transport.write(b'{"kind": "none", "scan_id": "before"}\n')
        await proof.until("it to be served", lambda: lost.answered.startswith(b"OK "))
        plug(False)
        # Its end is gone, and the RST that says so goes nowhere.
        lost.transport.abortConnection()
        await lost.gone
        plug(True)

        async def served() -> bool:
            [caller] = await self.call(1)
            caller.transport.write(b'{"kind": "none", "scan_id": "after"}\n')
            await proof.until("an answer", lambda: caller.answered or caller.gone.called)
            return caller.answered.startswith(b"OK ")

        await proof.until("another to be served", served)
        # Had it been told, it would not have had to notice.
        self.assertIn("lines.silent", proof.log())
        self.assertEqual(["before", "after"], await self.scans())

    async def scans(self) -> list[str]:
        await self.proof.stop_gateway()
        return [record.event.key or "" for record in await self.proof.journal()]


class PulledCable(CableCase):
    """Everybody's cable, while lines and deliveries are on it."""

    scenario = scenario(dedupe='dedupe = "scan_id"\nidle_timeout = "2s"')

    async def test_all_of_it_goes_on(self) -> None:
        """What hung in the air is sent again, looked up, and is one document each; nobody touched anything."""
        proof = self.proof
        await proof.plant.start()
        await proof.plant.set_faults(latency=0.2)
        fleet = proof.send(seed=1, devices=6, lines=None, rate=20)
        await proof.until("some lines", lambda: fleet.counts.acked >= 60)
        plug(False)
        await proof.until("the ERP to be missed", lambda: "target.down" in proof.log())
        await proof.until("the devices to be missed", lambda: "lines.silent" in proof.log())
        plug(True)
        before = fleet.counts.acked
        await proof.until("lines to be taken again", lambda: fleet.counts.acked >= before + 60)
        await proof.plant.set_faults(latency=0.0)
        await proof.stop_sending()
        await self.is_exact()
