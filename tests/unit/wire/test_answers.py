"""The answers a line device gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.batch import Receipts
from lineside.model.event import Seq
from lineside.wire import answers

CODES = st.from_regex(r"[a-z][a-z0-9_-]{0,39}", fullmatch=True)
SEQS = st.integers(min_value=0, max_value=2**53 - 1).map(Seq)


class Batches(SynchronousTestCase):
    """The answers to many lines at once."""

    @given(st.integers(0, 10_001) | st.integers(2**52, 2**52 + 2_000), st.integers(1, 3_000))
    def test_a_run_of_sequences(self, first: int, count: int) -> None:
        """A range encoded at once is its sequences one by one, across every power of ten."""
        one_by_one = b"".join(answers.encode_ok(Seq(seq)) for seq in range(first, first + count))
        self.assertEqual(one_by_one, answers.encode_oks(Seq(first), count))

    def test_repeats_and_errors_stand_in_their_places(self) -> None:
        """A repeat is told its first sequence, an error its reason; the others are numbered on without a gap."""
        receipts = Receipts(Seq(7), 4, {1: Seq(3)}, {2: "json: no: object"})
        told = answers.encode_receipts(receipts, [1, 2, 1])
        self.assertEqual([b"OK 7\n", b"OK 3\nERR json no: object\n", b"OK 9\n"], told)

    def test_each_sender_gets_its_own(self) -> None:
        """Senders who share a batch get the answers to their own lines, in order."""
        told = answers.encode_receipts(Receipts(Seq(7), 4), [1, 3])
        self.assertEqual([b"OK 7\n", b"OK 8\nOK 9\nOK 10\n"], told)


class RoundTrip(SynchronousTestCase):
    """What the gateway says is what the device understands."""

    @given(SEQS)
    def test_ok(self, seq: Seq) -> None:
        """Every sequence the journal can give comes back as it was."""
        self.assertEqual(answers.parse(answers.encode_ok(seq)), answers.Ok(seq))

    @given(CODES, st.text())
    def test_err(self, code: str, reason: str) -> None:
        """Code and reason come back, the reason as `reason_line` lets it be sent."""
        encoded = answers.encode_err(code, reason)
        self.assertEqual(answers.parse(encoded), answers.Err(code, answers.reason_line(reason)))

    @given(CODES, st.text(st.characters(), max_size=3000))
    def test_an_answer_is_one_bounded_line(self, code: str, reason: str) -> None:
        """No reason, however hostile, breaks the framing or outgrows what devices accept."""
        encoded = answers.encode_err(code, reason)
        self.assertTrue(encoded.endswith(b"\n"))
        self.assertEqual(len(encoded.decode().splitlines()), 1)
        self.assertLessEqual(len(encoded), answers.ANSWER_LIMIT)

    @given(st.text(st.characters(), max_size=3000))
    def test_reason_line_is_stable(self, reason: str) -> None:
        """A reason that is cleaned once needs no second cleaning."""
        once = answers.reason_line(reason)
        self.assertEqual(answers.reason_line(once), once)
        self.assertLessEqual(len(once), answers.REASON_LIMIT)

    @given(st.text(st.characters(), max_size=300))
    def test_a_control_character_beside_it_changes_no_reason(self, reason: str) -> None:
        """What is plain is not looked at one by one, and is the same as if it were."""
        self.assertEqual(answers.reason_line(f"\0{reason}"), answers.reason_line(reason))


class Encoding(SynchronousTestCase):
    """The bytes on the wire."""

    def test_the_exact_bytes(self) -> None:
        """Devices of others parse these too: the form is fixed."""
        self.assertEqual(answers.encode_ok(Seq(4711)), b"OK 4711\n")
        self.assertEqual(answers.encode_err("json", "not an object"), b"ERR json not an object\n")
        self.assertEqual(answers.encode_err("json", ""), b"ERR json\n")

    def test_control_characters_are_removed(self) -> None:
        """A payload quoted in a reason can neither add a line nor colour a terminal."""
        encoded = answers.encode_err("json", "bad\r\nOK 1\x1b[31m\u2028\u202e end\x00")
        self.assertEqual(encoded, b"ERR json bad OK 1 [31m end\n")

    def test_a_long_reason_is_cut(self) -> None:
        """What is left out is shown as left out."""
        self.assertEqual(answers.reason_line("x" * 500), "x" * (answers.REASON_LIMIT - 1) + "…")

    def test_a_wrong_code_is_an_error(self) -> None:
        """A code with a space would be read as another code."""
        for code in ("", "two words", "Upper", "line\n", "9th"):
            with pytest.raises(ValueError, match="no error code"):
                answers.encode_err(code, "reason")


class Parsing(SynchronousTestCase):
    """What a device accepts."""

    def test_any_line_end(self) -> None:
        """LF, CRLF and a line already freed of its end are the same answer."""
        for end in (b"", b"\n", b"\r\n"):
            self.assertEqual(answers.parse(b"OK 7" + end), answers.Ok(Seq(7)))
            self.assertEqual(answers.parse(b"ERR utf8 byte 3" + end), answers.Err("utf8", "byte 3"))

    def test_which_codes_mean_again(self) -> None:
        """A device resends exactly what was not stored."""
        for code in ("unavailable", "busy"):
            self.assertTrue(answers.Err(code, "").again)
        for code in ("json", "utf8", "too-long", "unavailable-2"):
            self.assertFalse(answers.Err(code, "").again)

    def test_anything_else_is_an_error(self) -> None:
        """A device never takes for an acknowledgement what is none."""
        wrong = (b"", b"OK", b"OK ", b"ok 1", b"OK 1 2", b"OK 01", b"OK -1", b"OK 1_0", b"OK %d" % 2**53)
        for line in (*wrong, "OK \u0661".encode(), b"OK 1\nOK 2", b"ERR", b"ERR ", b"ERRjson x", b"\xff"):
            with pytest.raises(ValueError, match="neither OK nor ERR"):
                answers.parse(line)
