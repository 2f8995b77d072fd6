"""Commands to devices through whatever happens, in any order: at most once, never late, and the record is true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.memory.test_device_commands import KILLED, CommandCase, Device
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lineside.operations.devicelines import NoAnswer
from lineside.operations.results import CommandAnswer

NAMES = ("a", "b")
SLOTS = (0, 1, 2)
slots, names = st.sampled_from(SLOTS), st.sampled_from(NAMES)
DOINGS = st.one_of(
    st.tuples(st.just("give"), names, st.sampled_from((1.0, 3.0))),
    st.tuples(st.just("connect"), slots, names),
    st.tuples(st.just("reply"), slots, st.integers(0, 5), st.booleans()),
    st.tuples(st.just("give"), names, st.sampled_from((1.0, 3.0))),
    st.tuples(st.just("advance"), st.sampled_from((0.5, 1.0, 2.0))),
    st.tuples(st.just("end"), slots, st.sampled_from((Device.hang_up, Device.half_close))),
    st.tuples(st.just("speak"), slots),
    st.tuples(st.just("reading"), slots, st.booleans()),
    st.tuples(st.just("disk"), st.booleans()),
    st.tuples(st.just("crash")),
)


class AtRandom(CommandCase):
    """A gateway, up to three connections of two devices, and what befalls them."""

    def begin(self) -> None:
        """Begin with nothing on record."""
        # What the one before left under way is of no interest, and must not disturb.
        KILLED.append((self.commands, self.clock, self.given))
        self.writer.lose()
        self.done(self.database.close())
        self.path = Path(self.mktemp())
        self.clock = Clock()
        self.given = []
        self.open()
        self.devices: dict[int, Device] = {}
        self.orders: dict[str, tuple[Clock, float, Deferred[CommandAnswer]]] = {}
        """By id: the process's clock, until when it may be written, and what its giver gets."""
        self.written: dict[str, Device] = {}
        self.replied: dict[str, bool] = {}
        """By id, whether the device that got it said that it failed."""

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(DOINGS, min_size=5, max_size=25))
    def test_whatever_happens(self, doings: list[Any]) -> None:
        """No command is written twice or late, what counts as unsent never was, and replies are the device's."""
        self.begin()
        for what, *arguments in [("connect", 0, "a"), ("connect", 1, "b"), *doings]:
            getattr(self, f"do_{what}")(*arguments)
            self.listen()
        self.do_disk(False)
        self.listen()
        self.do_advance(10.0)
        self.listen()
        for each in self.on_record(limit=1000):
            got = each.id in self.written
            if each.state == "unsent":
                self.assertFalse(got, each)
            elif each.state != "unknown":
                self.assertTrue(got, each)
            if each.state in {"answered", "failed"}:
                self.assertEqual(self.replied[each.id], each.state == "failed")
            self.assertNotIn(each.state, {"queued", "sent"})
            self.is_told(each.id, each.state)
        self.assertLessEqual(set(self.written), {each.id for each in self.on_record(limit=1000)})

    def is_told(self, identifier: str, state: str) -> None:
        """Who gave the command was told the same, unless the gateway died first."""
        clock, _, given = self.orders[identifier]
        if clock is self.clock:
            if state == "answered":
                self.assertEqual(self.successResultOf(given).state, state)
            else:
                self.assertEqual(self.failureResultOf(given, NoAnswer).value.state, state)

    def listen(self) -> None:
        """Take what devices heard."""
        for device in self.devices.values():
            for frame in device.heard():
                identifier = frame.split(b" ")[1].decode()
                clock, deadline, _ = self.orders[identifier]
                self.assertNotIn(identifier, self.written)
                self.assertIs(clock, self.clock)
                self.assertLess(clock.seconds(), deadline)
                self.written[identifier] = device

    def do_give(self, name: str, expires: float) -> None:
        identifier = f"c-{len(self.orders)}"
        given = self.give(name, id=identifier, expires=expires)
        self.orders[identifier] = (self.clock, self.clock.seconds() + expires, given)

    def do_connect(self, slot: int, name: str) -> None:
        self.do_end(slot, Device.hang_up)
        device = self.devices[slot] = Device(self, "gate")
        device.say(b'{"id":"%s"}' % name.encode())

    def do_end(self, slot: int, how: Any) -> None:
        device = self.devices.get(slot)
        if device is not None:
            self.listen()
            if how is Device.hang_up:
                del self.devices[slot]
            elif device.half_closed:
                return
            how(device)

    def do_reply(self, slot: int, which: int, failed: bool) -> None:
        """Any connection replies to any command, its own or another's."""
        device = self.devices.get(slot)
        if device is None or not self.written:
            return
        identifier = list(self.written)[-1 - which % len(self.written)]
        if self.written[identifier] is device:
            self.replied.setdefault(identifier, failed)
        device.say(b"RES %s %s" % (identifier.encode(), b"ERR no" if failed else b"done"))

    def do_speak(self, slot: int) -> None:
        if slot in self.devices:
            self.devices[slot].alive()

    def do_advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def do_reading(self, slot: int, reads: bool) -> None:
        device = self.devices.get(slot)
        if device is not None and device.transport.producer is not None:
            (device.reads_on if reads else device.stops_reading)()

    def do_disk(self, held: bool) -> None:
        if held:
            self.writer.held = True
        else:
            self.writer.release()

    def do_crash(self) -> None:
        """The process is killed: devices see their connections end."""
        self.devices.clear()
        self.crash()
