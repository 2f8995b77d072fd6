"""Lines that name another device than the one that sent them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.lines.forged import ERROR, refuse_forged
from lineside.model.batch import Batch
from lineside.model.event import Event
from lineside.wire.framing import decodable_again


class Forged(SynchronousTestCase):
    """In batches of one sender and of several."""

    def test_all_are_their_senders(self) -> None:
        """Nothing changes."""
        one = Batch([b"1", b"2"], "a")
        refuse_forged(one, [("a", 2)])
        self.assertEqual([Event(b"1", device="a"), Event(b"2", device="a")], list(one))
        two = Batch([b"1", b"2"], "a", devices={1: "b"})
        refuse_forged(two, [("a", 1), ("b", 1)])
        self.assertEqual([Event(b"1", device="a"), Event(b"2", device="b")], list(two))

    def test_some_are_not(self) -> None:
        """They are dead letters of those who sent them, whole, and without the key that they claim."""
        batch = Batch([b"1", b"2", b"3"], "a", ["k1", "k2", "k3"], devices={1: "b", 2: "a"}, raws={1: b"two"})
        refuse_forged(batch, [("a", 2), ("b", 1)])
        self.assertEqual(
            [
                Event(b"1", key="k1", device="a"),
                Event(b"", raw=b"two", device="a", error=ERROR),
                Event(b"", raw=b"3", device="b", error=ERROR),
            ],
            list(batch),
        )

    def test_undecodable_ones_keep_their_reason(self) -> None:
        """What was wrong before is what is told."""
        batch = Batch.of([Event(b"", raw=b"x", device="b", error="json: no"), Event(b"2", device="b")])
        refuse_forged(batch, [("a", 2)])
        self.assertEqual(["json: no", ERROR], [each.error for each in batch])
        self.assertEqual(["a", "a"], [each.device for each in batch])

    def test_none_becomes_an_event_later(self) -> None:
        """To retry such a dead letter would let in what was refused."""
        self.assertFalse(decodable_again(ERROR))
