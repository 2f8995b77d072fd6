"""Many datagrams in one call of the kernel: what comes out is what comes out one by one."""

from __future__ import annotations

import ctypes
import errno
import socket
from ipaddress import ip_network
from random import Random

import dns.message
from tests.rig.dns_zone import NETWORKS, plant, responder
from tests.rig.malformed_dns import mutated
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.dns import batches
from lineside.edges.dns.batches import COUNT, ROOM, Batch
from lineside.edges.dns.datagrams import TURN, BatchedDoor, DatagramDoor, door_of, open_socket
from lineside.edges.dns.visitors import Visitors

PACKETS = [
    dns.message.make_query(
        f"{name}.plant.example.", kind, id=number, use_edns=number % 2 - 1, payload=4096
    ).to_wire()
    for number, (name, kind) in enumerate(
        (n, k) for n in ("gate", "many", "no", "x.bin") for k in ("A", "TXT", "SRV")
    )
]


class Doors(SynchronousTestCase):
    """A door of each kind, and who asks them."""

    def door(self, kind: type[DatagramDoor], address: str = "127.0.0.1", rate: int = 10_000) -> DatagramDoor:
        made, failures = responder(plant())
        self.addCleanup(lambda: self.assertEqual([], failures))
        door = kind(open_socket(0, address), made, Visitors((*NETWORKS, ip_network("10.0.0.0/8")), rate))
        self.addCleanup(door.connectionLost)
        return door

    def caller(self, door: DatagramDoor) -> socket.socket:
        place = door.handle.getsockname()
        caller = socket.socket(door.handle.family, socket.SOCK_DGRAM)
        self.addCleanup(caller.close)
        caller.connect(place)
        caller.setblocking(False)
        return caller

    def answers(self, caller: socket.socket) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(caller.recv(65_536))
            except BlockingIOError:
                return found

    def asked(
        self, kind: type[DatagramDoor], packets: list[bytes], **more: int
    ) -> tuple[list[list[bytes]], list[int]]:
        """Let three callers ask in turn; return what each was answered, and the counts."""
        door = self.door(kind, **more)  # type: ignore[arg-type]
        callers = [self.caller(door) for _ in range(3)]
        for begin in range(0, len(packets), TURN):
            for number, packet in enumerate(packets[begin : begin + TURN]):
                callers[number % 3].send(packet)
            door.doRead()
        counts = [door.limited, door.unsent, door.responder.hits, door.responder.silent, *door.responder.answered]
        return [self.answers(caller) for caller in callers], counts


class TheSame(Doors):
    """One by one, and many at once."""

    def test_questions_and_what_is_none(self) -> None:
        """Each caller has the same answers in the same order, silence and remembered ones among them."""
        random = Random(1)
        packets = [packet if random.random() < 0.3 else random.choice(PACKETS) for packet in mutated(3, 600)]
        one_by_one, batched = (self.asked(kind, packets) for kind in (DatagramDoor, BatchedDoor))
        self.assertEqual(one_by_one, batched)
        self.assertGreater(sum(map(len, batched[0])), 400)
        self.assertGreater(batched[1][2], 100)

    def test_over_the_rate(self) -> None:
        """The same are answered, sent to TCP, and dropped."""
        one_by_one, batched = (self.asked(kind, PACKETS * 20, rate=50) for kind in (DatagramDoor, BatchedDoor))
        self.assertEqual(one_by_one, batched)
        self.assertEqual(batched[1][0], 20 * len(PACKETS) - 50)

    def test_every_length(self) -> None:
        """Up to the room there is, and beyond: what is longer is no question."""
        packets = [PACKETS[0] + b"\0" * more for more in (0, 1, 400, ROOM - len(PACKETS[0]), ROOM, 60_000)]
        one_by_one, batched = (self.asked(kind, packets) for kind in (DatagramDoor, BatchedDoor))
        self.assertEqual(one_by_one, batched)
        self.assertEqual([answer[3] & 15 for answers in batched[0] for answer in answers].count(1), 5)

    def test_ipv6(self) -> None:
        """Its addresses are longer, and as well known."""
        found = []
        for kind in (DatagramDoor, BatchedDoor):
            door = self.door(kind, "::1")
            caller = self.caller(door)
            for packet in PACKETS * 8:
                caller.send(packet)
            door.doRead()
            found.append(self.answers(caller))
        self.assertEqual(found[0], found[1])
        self.assertEqual(len(found[0]), 8 * len(PACKETS))
        self.assertEqual(found[0][0][3] & 15, 0)


class OfTheKernel(Doors):
    """What is relied on."""

    def test_the_layout(self) -> None:
        """Of ``struct mmsghdr`` and ``struct iovec``, where a pointer has eight bytes."""
        if ctypes.sizeof(ctypes.c_void_p) == 8:
            self.assertEqual((ctypes.sizeof(batches._Message), batches._Message.length.offset), (64, 56))
            self.assertEqual(ctypes.sizeof(batches._Piece), 16)

    def test_a_turn_is_bounded(self) -> None:
        """However many wait."""
        door = self.door(BatchedDoor)
        caller = self.caller(door)
        for _ in range(TURN + 7):
            caller.send(PACKETS[0])
        door.doRead()
        self.assertEqual(len(self.answers(caller)), TURN)
        door.doRead()
        self.assertEqual(len(self.answers(caller)), 7)
        door.doRead()
        self.assertEqual(self.answers(caller), [])

    def test_one_that_cannot_be_sent_is_one_lost(self) -> None:
        """Those before and after it go out, and the room is whole again."""
        door = self.door(BatchedDoor)
        callers = [self.caller(door) for _ in range(3)]
        original = Batch._sent

        def sent(batch: Batch, begin: int, count: int) -> int:
            if begin == 1:
                return -1
            return original(batch, begin, min(count, 1))

        self.patch(Batch, "_sent", sent)
        for _ in range(2):
            for caller in callers:
                caller.send(PACKETS[1])
            door.doRead()
        self.assertEqual([len(self.answers(caller)) for caller in callers], [2, 0, 2])
        self.assertEqual(door.unsent, 2)

    def test_a_closed_port_is_nobodys_error(self) -> None:
        """Who asked and went away leaves an error at the socket; the next one is answered."""
        door = self.door(BatchedDoor)
        gone, caller = self.caller(door), self.caller(door)
        gone.send(PACKETS[0])
        gone.close()
        door.doRead()
        caller.send(PACKETS[0])
        door.doRead()
        door.doRead()
        self.assertEqual(len(self.answers(caller)), 1)

    def test_without_such_calls(self) -> None:
        """Another system answers as well, one by one."""

        class Bare:
            """A C library of another system."""

        self.patch(ctypes, "CDLL", lambda *_, **__: Bare())
        made, _ = responder(plant())
        handle = open_socket(0, "127.0.0.1")
        self.addCleanup(handle.close)
        self.assertEqual(self.assertRaises(OSError, Batch, handle).errno, errno.ENOSYS)
        self.assertIs(type(door_of(handle, made, Visitors(NETWORKS, 1))), DatagramDoor)
        self.assertEqual(COUNT * 2, TURN)
