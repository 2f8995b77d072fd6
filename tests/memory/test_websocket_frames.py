"""The WebSocket protocol (RFC 6455) frame by frame, through the HTTP site's upgrade; wsproto makes the frames."""

from __future__ import annotations

import tracemalloc
import zlib

from tests.rig.frame_case import MOST, FramesCase, answer, call, encoded
from tests.rig.frame_peer import FramePeer
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode, RsvBits

from lineside.edges.websocket.channels import publication
from lineside.edges.websocket.part import PATH, LiveSettings
from lineside.edges.websocket.protocol import LINGER

RSV1 = RsvBits(True, False, False)
UMLAUTS = "Grüße aus der Halle 7 — 検査済 ✓ 🏭"


class Handshakes(FramesCase):
    """The way in (RFC 6455, section 4.2)."""

    def test_an_upgrade_is_answered_with_the_key_s_proof(self) -> None:
        """Subprotocol and extension only where the client offered them and they are spoken."""
        status, headers = self.peer().ask(PATH)
        self.assertEqual(
            (101, "websocket", "upgrade"), (status, headers["upgrade"].lower(), headers["connection"].lower())
        )
        self.assertNotIn("sec-websocket-protocol", headers)
        self.assertNotIn("sec-websocket-extensions", headers)
        _, headers = self.peer().ask(PATH, "Sec-WebSocket-Protocol: other, centrifuge-json")
        self.assertEqual("centrifuge-json", headers["sec-websocket-protocol"])

    def test_what_is_not_spoken_is_refused_before_the_upgrade(self) -> None:
        """The protocol's other encoding, by subprotocol or by address."""
        self.assertEqual(400, self.peer().ask(PATH, "Sec-WebSocket-Protocol: centrifuge-protobuf")[0])
        self.assertEqual(400, self.peer().ask(f"{PATH}?cf_protocol=protobuf")[0])
        self.assertEqual({}, self.part.connections)

    def test_a_page_of_another_site_is_refused(self) -> None:
        """A script could otherwise act as the page's reader; the gateway's own pages may."""
        self.assertEqual(403, self.peer().ask(PATH, "Origin: https://elsewhere.example")[0])
        self.assertEqual(403, self.peer().ask(PATH, "Origin: null")[0])
        self.assertEqual(101, self.peer().ask(PATH, "Origin: http://localhost:8080")[0])

    def test_a_handshake_that_is_none_leaves_nothing_behind(self) -> None:
        """A key that is no key and a version that nobody speaks are refused, and the connection is forgotten."""
        for spoiled in ("Sec-WebSocket-Version: 7", "Sec-WebSocket-Key: short"):
            peer = self.peer()
            status, _ = peer.ask(PATH, spoiled)
            self.assertEqual(400, status, spoiled)
            self.assertTrue(peer.lets_go, spoiled)
            peer.leave()
            self.assertEqual({}, self.part.connections)
            self.assertEqual([], self.clock.getDelayedCalls())

    def test_a_head_that_comes_byte_by_byte_is_the_same(self) -> None:
        """And so are frames."""
        peer = self.open()
        for byte in bytes(peer.text(call(UMLAUTS))):
            peer.send(bytes([byte]))
        self.assertEqual([answer(UMLAUTS)], self.replies(peer))


class Fragments(FramesCase):
    """Messages in pieces (section 5.4)."""

    def test_a_message_may_come_in_any_pieces(self) -> None:
        """Each byte in a frame of its own, and empty frames between, also where a letter is several bytes."""
        peer = self.open()
        data = encoded(UMLAUTS)
        for at in range(len(data)):
            peer.send(peer.go_on(data[at : at + 1]) if at else peer.begin(data[:1]))
            peer.send(peer.go_on(b""))
        self.assertEqual([], self.replies(peer))
        peer.send(peer.go_on(b"", fin=True))
        self.assertEqual([answer(UMLAUTS)], self.replies(peer))
        self.echoes(peer)

    def test_control_frames_come_between_fragments(self) -> None:
        """A ping is answered before the message is whole, and a pong that nobody asked for is let pass."""
        peer = self.open()
        data = encoded("whole")
        peer.send(peer.begin(data[:7]))
        peer.send(peer.frames.ping(b"between"))
        peer.send(peer.frames.pong(b"unasked"))
        self.clock.advance(0)
        [pong] = peer.received()
        self.assertEqual((Opcode.PONG, b"between"), (pong.opcode, pong.payload))
        peer.send(peer.go_on(data[7:], fin=True))
        self.assertEqual([answer("whole")], self.replies(peer))

    def test_a_continuation_of_nothing_is_an_error(self) -> None:
        """1002."""
        peer = self.open()
        peer.send(peer.frame(Opcode.CONTINUATION, b"{}"))
        self.is_ended(peer, 1002)

    def test_a_new_message_inside_another_is_an_error(self) -> None:
        """1002."""
        peer = self.open()
        peer.send(peer.begin(b"{"))
        peer.send(peer.frame(Opcode.TEXT, b"{}"))
        self.is_ended(peer, 1002)

    def test_a_control_frame_in_pieces_is_an_error(self) -> None:
        """1002."""
        peer = self.open()
        peer.send(peer.frame(Opcode.PING, b"half", fin=False))
        self.is_ended(peer, 1002)


class Texts(FramesCase):
    """UTF-8 (section 8.1)."""

    def test_a_letter_may_be_cut_by_frames(self) -> None:
        """At every place of its bytes."""
        peer = self.open()
        data = encoded("🏭")
        begin = data.index("🏭".encode())
        for at in range(begin, begin + 5):
            peer.send(peer.begin(data[:at]))
            peer.send(peer.go_on(data[at:], fin=True))
            self.assertEqual([answer("🏭")], self.replies(peer))

    def test_bytes_that_are_no_utf_8_end_the_connection(self) -> None:
        """1007: overlong forms, halves of pairs, what is past Unicode's end, and a letter that stays unfinished."""
        for wrong in (b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff", b"\xe6\xa4"):
            peer = self.open()
            peer.send(peer.frame(Opcode.TEXT, wrong))
            self.is_ended(peer, 1007)

    def test_wrong_bytes_are_found_before_the_message_is_whole(self) -> None:
        """1007 at the first of them: nothing more is read."""
        peer = self.open()
        peer.send(peer.begin(b'{"id": 2, "rpc": "\xf4\x90'))
        self.is_ended(peer, 1007)

    def test_binary_messages_are_told_that_text_is_spoken(self) -> None:
        """3506, with which clients do not come back."""
        peer = self.open()
        peer.send(peer.frame(Opcode.BINARY, b'{"id":2,"rpc":{"method":"echo"}}'))
        self.assertEqual("inappropriate protocol", self.is_ended(peer, 3506))


class Heads(FramesCase):
    """Reserved bits, opcodes and masks (sections 5.1, 5.2 and 5.5)."""

    def test_reserved_bits_mean_nothing_here(self) -> None:
        """1002 for each of them, in data and in control frames."""
        for bits in (RsvBits(True, False, False), RsvBits(False, True, False), RsvBits(False, False, True)):
            for opcode in (Opcode.TEXT, Opcode.PING):
                peer = self.open()
                peer.send(peer.frame(opcode, b"{}", bits=bits))
                self.is_ended(peer, 1002)

    def test_reserved_opcodes_mean_nothing_here(self) -> None:
        """1002 for every one that RFC 6455 leaves open."""
        for opcode in (3, 7, 11, 15):
            peer = self.open()
            peer.send(bytes([0x80 | opcode]) + peer.frame(Opcode.TEXT, b"{}")[1:])
            self.is_ended(peer, 1002)

    def test_clients_mask_their_frames(self) -> None:
        """One that does not is ended with 1002."""
        peer = self.open()
        peer.send(FrameProtocol(client=False, extensions=[]).send_data("{}"))
        self.is_ended(peer, 1002)

    def test_a_control_frame_has_125_bytes_at_most(self) -> None:
        """So many are answered; one more is 1002."""
        peer = self.open()
        peer.send(peer.frames.ping(b"x" * 125))
        self.clock.advance(0)
        [pong] = peer.received()
        self.assertEqual(b"x" * 125, pong.payload)
        peer.send(bytes([0x80 | Opcode.PING]) + peer.frame(Opcode.TEXT, b"x" * 126)[1:])
        self.is_ended(peer, 1002)


class Sizes(FramesCase):
    """How large a message may be."""

    def test_a_message_may_be_as_large_as_the_limit(self) -> None:
        """In one frame, and in several."""
        peer = self.open()
        data = "x" * (MOST - len(encoded("")))
        self.assertEqual(MOST, len(encoded(data)))
        self.echoes(peer, data)
        whole = encoded(data)
        peer.send(peer.begin(whole[:1000]))
        peer.send(peer.go_on(whole[1000:], fin=True))
        self.assertEqual([answer(data)], self.replies(peer))

    def test_a_larger_one_is_refused_at_its_head(self) -> None:
        """1009, before its bytes are there."""
        peer = self.open()
        frame = peer.frame(Opcode.TEXT, b" " * (MOST + 1))
        peer.send(frame[:8])
        self.is_ended(peer, 1009, mid_frame=True)

    def test_many_pieces_are_one_message(self) -> None:
        """1009 with the piece by which it grows too large."""
        peer = self.open()
        peer.send(peer.begin(b" " * MOST))
        self.assertEqual([], peer.received())
        peer.send(peer.go_on(b" "))
        self.is_ended(peer, 1009)

    def test_a_length_of_63_bits_is_no_reason_to_wait(self) -> None:
        """1009 by its head; with the highest bit set it is no length (1002)."""
        peer = self.open()
        peer.send(b"\x81\xff\x7f" + b"\xff" * 7 + b"mask")
        self.is_ended(peer, 1009, mid_frame=True)
        peer = self.open()
        peer.send(b"\x81\xff\xff" + b"\xff" * 7 + b"mask")
        self.is_ended(peer, 1002)

    def test_lengths_are_written_as_short_as_they_can_be(self) -> None:
        """A longer form is 1002."""
        peer = self.open()
        peer.send(b"\x81\xfe\x00\x02mask" + bytes(a ^ b for a, b in zip(b"{}", b"ma", strict=True)))
        self.is_ended(peer, 1002)


class Closes(FramesCase):
    """How a connection ends (sections 5.5.1 and 7)."""

    def test_a_close_is_answered_with_its_code(self) -> None:
        """And the gateway closes the connection, as a server does first."""
        for code in (1000, 1001, 1003, 1011, 3000, 3999, 4000, 4999):
            peer = self.open()
            peer.send(peer.frames.close(code, "bye"))
            self.assertEqual((code, "bye"), peer.closed_with())
            self.assertTrue(peer.lets_go)
            peer.leave()
            self.assertEqual({}, self.part.connections)
            self.assertEqual([], self.clock.getDelayedCalls())

    def test_a_close_without_a_code_is_answered(self) -> None:
        """With none, or with 1000."""
        peer = self.open()
        peer.send(peer.frames.close())
        [frame] = peer.received()
        self.assertEqual(Opcode.CLOSE, frame.opcode)
        self.assertIn(frame.payload[0], {CloseReason.NORMAL_CLOSURE, CloseReason.NO_STATUS_RCVD})
        self.assertTrue(peer.lets_go)

    def test_codes_that_no_peer_may_send_are_errors(self) -> None:
        """1002: those that only stand for what happened, those that mean nothing, and one byte of a code."""
        for code in (0, 999, 1004, 1005, 1006, 1016, 2999, 5000, 65_535):
            peer = self.open()
            peer.send(peer.frame(Opcode.CLOSE, code.to_bytes(2, "big")))
            self.is_ended(peer, 1002)
        peer = self.open()
        peer.send(peer.frame(Opcode.CLOSE, b"\x03"))
        self.is_ended(peer, 1002)

    def test_a_reason_is_text(self) -> None:
        """1007 where it is none."""
        peer = self.open()
        peer.send(peer.frame(Opcode.CLOSE, b"\x03\xe8\xff"))
        self.is_ended(peer, 1007)

    def test_nothing_after_a_close_is_read(self) -> None:
        """The call behind it is not carried out."""
        peer = self.open()
        peer.send(bytes(peer.frames.close(1000)) + bytes(peer.text(call("late"))))
        self.clock.advance(0)
        self.assertEqual([Opcode.CLOSE], [frame.opcode for frame in peer.received()])

    def test_nothing_is_sent_behind_a_close(self) -> None:
        """What is published in its channels goes to the others alone, and what waited goes out before."""
        peer, other = self.open(), self.open()
        for each in (peer, other):
            each.send(each.text({"id": 3, "subscribe": {"channel": "pub:a"}}))
        self.clock.advance(0)
        for each in (peer, other):
            each.received()
        self.hub.publish("pub:a", publication(b"1"))
        peer.send(peer.frame(Opcode.CONTINUATION, b"wrong"))
        self.hub.publish("pub:a", publication(b"2"))
        self.clock.advance(0)
        self.assertEqual([Opcode.TEXT, Opcode.CLOSE], [frame.opcode for frame in peer.received()])
        self.assertEqual([1, 2], [each["push"]["pub"]["data"] for each in other.replies()])

    def test_both_may_close_at_once(self) -> None:
        """The gateway's close and the client's cross: neither is answered, and the connection is closed."""
        peer = self.open()
        peer.send(peer.frame(Opcode.BINARY, b"x"))
        self.clock.advance(0)
        peer.send(peer.frames.close(1000))
        self.assertEqual((3506, "inappropriate protocol"), peer.closed_with())
        self.assertTrue(peer.lets_go)
        self.assertFalse(peer.cut)

    def test_a_client_that_does_not_answer_a_close_is_cut_off(self) -> None:
        """After a while; what it sends meanwhile means nothing."""
        peer = self.open()
        peer.send(peer.frame(Opcode.BINARY, b"x"))
        self.clock.advance(0)
        peer.closed_with()
        peer.send(peer.text(call("late")))
        self.clock.advance(LINGER)
        self.assertEqual([], peer.received())
        self.assertTrue(peer.cut)
        peer.leave()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_a_client_that_is_gone_without_a_word_is_forgotten(self) -> None:
        """In the middle of a frame, too."""
        peer = self.open()
        peer.send(peer.text(call("half"))[:5])
        peer.leave()
        self.assertEqual({}, self.part.connections)
        self.assertEqual([], self.clock.getDelayedCalls())


class NoCompression(FramesCase):
    """Unless it is configured, nothing is compressed."""

    def test_an_offer_of_compression_is_declined(self) -> None:
        """And a compressed frame is then one with a reserved bit: 1002."""
        peer = self.peer()
        _, headers = peer.ask(PATH, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
        self.assertNotIn("sec-websocket-extensions", headers)
        peer.send(peer.frame(Opcode.TEXT, b"{}", bits=RSV1))
        self.is_ended(peer, 1002)


class Compression(FramesCase):
    """permessage-deflate (RFC 7692)."""

    settings = LiveSettings(max_message=MOST, compress=True)

    def deflating(self) -> FramePeer:
        return self.open(PerMessageDeflate(client_no_context_takeover=True))

    def test_compressed_messages_are_read(self) -> None:
        """One after the other, in pieces too; what is sent back is not compressed."""
        peer = self.deflating()
        for _ in range(3):
            self.echoes(peer, "compress " * 100)
        data = encoded("in pieces " * 50)
        peer.send(peer.begin(data[:100]))
        peer.send(peer.frames.ping(b"between"))
        self.clock.advance(0)
        [pong] = peer.received()
        self.assertEqual(Opcode.PONG, pong.opcode)
        peer.send(peer.go_on(data[100:], fin=True))
        self.assertEqual([answer("in pieces " * 50)], self.replies(peer))

    def test_messages_may_come_uncompressed_all_the_same(self) -> None:
        """Who offered compression need not use it (RFC 7692, section 6)."""
        peer = self.deflating()
        peer.send(FrameProtocol(client=True, extensions=[]).send_data(encoded("plain").decode()))
        self.assertEqual([answer("plain")], self.replies(peer))

    def test_clients_that_keep_nothing_between_messages_are_what_is_taken(self) -> None:
        """The gateway asks for it, so that a client costs it no window of 32 KiB."""
        _, headers = self.peer().ask(PATH, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
        self.assertIn("client_no_context_takeover", headers["sec-websocket-extensions"])

    def test_a_bomb_does_not_go_off(self) -> None:
        """A few hundred bytes that would become a MiB: 1009, and no more is unpacked than a message may have."""
        peer = self.deflating()
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
        self.assertLess(len(bomb), MOST)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        peer.send(flagged(bomb[:-4]))
        _, peak = tracemalloc.get_traced_memory()
        self.assertLess(peak, (1 << 20) // 8)
        self.assertEqual(1009, peer.closed_with()[0])
        self.clock.advance(LINGER)
        self.assertTrue(peer.cut)

    def test_what_is_no_deflate_is_an_error(self) -> None:
        """The connection ends with a code, and the log has no traceback."""
        peer = self.deflating()
        peer.send(flagged(b"\xff\xff\xff\xff"))
        self.assertEqual(1007, peer.closed_with()[0])

    def test_control_frames_are_never_compressed(self) -> None:
        """1002 (RFC 7692, section 6.1)."""
        peer = self.deflating()
        peer.send(peer.frame(Opcode.PING, b"x", bits=RSV1))
        self.is_ended(peer, 1002)

    def test_the_extension_s_bit_belongs_to_the_first_piece(self) -> None:
        """In a continuation it is 1002."""
        peer = self.deflating()
        peer.send(peer.begin(b"{"))
        peer.send(peer.go_on(b"}", fin=True, bits=RSV1))
        self.is_ended(peer, 1002)


def flagged(data: bytes) -> bytes:
    """Return bytes as one compressed text message."""
    plain = FrameProtocol(client=True, extensions=[])
    frame = plain._serialize_frame(Opcode.TEXT, data)
    frame[0] |= 0x40
    return bytes(frame)
