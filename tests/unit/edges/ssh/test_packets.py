"""Packets of SSH: what is sealed is opened, and what was altered is not."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.ssh.packets import CIPHERS, LONGEST, MACS, BadPacket, Keys, Plain

SECRET = bytes(range(64))
KINDS = sorted(product(CIPHERS, MACS))


def pair(cipher: bytes, mac: bytes) -> tuple[Keys, Keys]:
    """Return both ends of a direction."""
    ends = Keys(cipher, cipher, mac, mac), Keys(cipher, cipher, mac, mac)
    for end in ends:
        end.setKeys(SECRET, SECRET, SECRET, SECRET, SECRET, SECRET)
    return ends


class Packets(SynchronousTestCase):
    """`lineside.edges.ssh.packets`."""

    def test_what_is_sealed_is_opened(self) -> None:
        """Packet after packet, of each size, however the bytes come."""
        for cipher, mac in KINDS:
            near, far = pair(cipher, mac)
            assert near.sealer is not None
            assert far.opener is not None
            received = b""
            opened = []
            sent = [bytes(size) + b"x" for size in (0, 1, 7, 15, 16, 300, 1_500)]
            for number, payload in enumerate(sent):
                for byte in near.sealer.seal(number, payload):
                    received += bytes((byte,))
                    found = far.opener.open(number, memoryview(received), 0)
                    if found is not None:
                        opened.append(bytes(found[0]))
                        received = received[found[1] :]
            self.assertEqual(opened, sent, (cipher, mac))

    def test_an_altered_bit_is_noticed(self) -> None:
        """Wherever it is; a length that grew leaves the packet waiting."""
        for cipher, mac in KINDS:
            whole = len(pair(cipher, mac)[0].sealer.seal(3, b"payload of a packet"))  # type: ignore[union-attr]
            for place in range(whole):
                near, far = pair(cipher, mac)
                assert near.sealer is not None
                assert far.opener is not None
                packet = bytearray(near.sealer.seal(3, b"payload of a packet"))
                packet[place] ^= 1
                try:
                    opened = far.opener.open(3, memoryview(packet), 0)
                except BadPacket:
                    opened = None
                self.assertIsNone(opened, (cipher, mac, place))

    def test_a_packet_of_another_number_is_refused(self) -> None:
        """So none can be left out or repeated; AES-GCM counts by itself."""
        for cipher, mac in KINDS:
            near, far = pair(cipher, mac)
            assert near.sealer is not None
            assert far.opener is not None
            first, second = (near.sealer.seal(number, b"payload") for number in (0, 1))
            self.assertNotEqual(first, second)
            self.assertRaises(BadPacket, far.opener.open, 0, memoryview(second), 0)

    @given(st.binary(max_size=200), st.sampled_from([None, *KINDS]))
    @settings(max_examples=400, deadline=None)
    def test_garbage_is_no_packet(self, garbage: bytes, kind: tuple[bytes, bytes] | None) -> None:
        """It is refused, or waited for as far as a packet may be long."""
        opener = Plain() if kind is None else pair(*kind)[1].opener
        assert opener is not None
        try:
            found = opener.open(0, memoryview(garbage), 0)
        except BadPacket:
            return
        if found is not None:
            self.assertIsNone(kind, "garbage has the right MAC")
            self.assertLessEqual(found[1], min(len(garbage), LONGEST + 4))
