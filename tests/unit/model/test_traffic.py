"""What is known of a source and its devices, in a fixed amount of memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.model.batch import Batch
from lineside.model.traffic import LONGEST_NAME, Traffic

NOON = 1_750_000_000_000_000_000


class TrafficOfASource(SynchronousTestCase):
    def setUp(self) -> None:
        self.traffic = Traffic(0.0, most_devices=3)

    def send(self, now: float, *devices: str | None, peer: str = "10.0.0.7") -> None:
        """Let one connection send a line of each of these devices; None for a line that names none."""
        named = {place: device for place, device in enumerate(devices) if device is not None}
        self.traffic.came(
            Batch([b"{}"] * len(devices), peer, devices=named), [(peer, len(devices))], now, NOON + int(now * 1e9)
        )

    def lines(self) -> dict[str, int]:
        return {device.name: device.lines for device in self.traffic.devices.values()}

    def test_a_device_is_named_by_its_lines_or_else_by_its_address(self) -> None:
        """A concentrator's lines go to the devices that they name, what names none to itself."""
        self.send(1.0, "scale-1", "scale-2", "scale-1", None)
        self.assertEqual(self.lines(), {"10.0.0.7": 1, "scale-1": 2, "scale-2": 1})
        self.assertEqual({device.peer for device in self.traffic.newest()}, {"10.0.0.7"})

    def test_what_came_together_keeps_its_addresses(self) -> None:
        """One batch of two connections: each device is where it sent from, and keeps that while it is not known."""
        named = {0: "scale-1", 1: "scale-1", 2: "scale-2", 3: "scale-1"}
        batch = Batch([b"{}"] * 4, devices=named)
        self.traffic.came(batch, [("10.0.0.7", 2), ("10.0.0.8", 2)], 0.0, NOON)
        peers = {device.name: device.peer for device in self.traffic.newest()}
        self.assertEqual(peers, {"scale-1": "10.0.0.7", "scale-2": "10.0.0.8"})
        self.assertEqual(self.lines(), {"scale-1": 3, "scale-2": 1})

    def test_the_one_that_was_heard_last_comes_first(self) -> None:
        """Whoever looks for the most silent looks from the other end."""
        for now, device in enumerate(("a", "b", "c", "a")):
            self.send(float(now), device)
        self.assertEqual([device.name for device in self.traffic.newest()], ["a", "c", "b"])
        self.assertEqual([device.heard for device in self.traffic.newest()], [3.0, 2.0, 1.0])

    def test_memory_is_bounded_whatever_the_number_of_devices(self) -> None:
        """The longest silent give way and are counted together; no line is missing in the sum."""
        for number in range(10_000):
            self.send(float(number), f"device-{number}")
        self.assertEqual(list(self.lines()), ["device-9997", "device-9998", "device-9999"])
        self.assertEqual(self.traffic.others, 9_997)
        self.assertEqual(self.traffic.others_lines + sum(self.lines().values()), 10_000)

    def test_a_name_is_bounded_too(self) -> None:
        """A device may call itself whatever it likes."""
        self.send(0.0, "x" * 60_000)
        self.assertEqual([len(name) for name in self.lines()], [LONGEST_NAME])

    def test_rates_count_what_is_stored(self) -> None:
        """What came and could not be stored was heard, and is sent again: it is no throughput."""
        self.send(0.0, "a")
        self.assertEqual((self.traffic.heard, self.traffic.lines.last_second(1.0)), (0.0, 0))
        self.traffic.stored(10, 2, 0.004, 1.0)
        self.assertEqual((self.traffic.lines.last_second(2.0), self.traffic.undecodable.last_second(2.0)), (10, 2))
        self.assertGreaterEqual(self.traffic.commits.quantile(2.0, 0.5) or 0, 0.004)

    def test_a_device_of_a_former_process_is_known(self) -> None:
        """It counts as silent since then, until it is heard again."""
        self.traffic.restore("a", NOON, -300.0, 0.0)
        [device] = self.traffic.newest()
        self.assertEqual((device.heard_ns, device.worked, device.lines), (NOON, -300.0, 0))
        self.send(1.0, "a")
        self.assertEqual((device.worked, device.lines), (0.0, 1))
