"""Events as columns, and one at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.batch import Batch, Receipts
from lineside.model.event import Event, Seq

DEVICES = st.sampled_from([None, "a", "b"])
EVENTS = st.builds(
    Event,
    st.binary(max_size=4),
    st.none() | st.binary(max_size=4),
    st.none() | st.text(max_size=3),
    DEVICES,
    DEVICES,
)


class BatchTests(SynchronousTestCase):
    """A batch is its events."""

    @given(st.lists(EVENTS, min_size=1, max_size=6))
    def test_a_batch_holds_the_very_events(self, events: list[Event]) -> None:
        """Whatever they have or lack, they come back as they were; one alone as one of many."""
        self.assertEqual(events, list(Batch.of(events)))
        self.assertEqual(events[:1], list(Batch.of_one(events[0])))

    @given(st.lists(EVENTS, min_size=1, max_size=6), st.data())
    def test_some_of_a_batch_are_a_batch(self, events: list[Event], data: st.DataObject) -> None:
        """Taking some out leaves each with what is its own."""
        places = data.draw(st.lists(st.integers(0, len(events) - 1), min_size=1, unique=True).map(sorted))
        self.assertEqual([events[place] for place in places], list(Batch.of(events).only(places)))


class ReceiptsTests(SynchronousTestCase):
    """A range of receipts is its receipts."""

    def test_repeats_take_no_sequence(self) -> None:
        """What is stored is numbered without a gap; a repeat has its first sequence, wherever it stands."""
        receipts = Receipts(Seq(5), 4, {0: Seq(2), 2: Seq(5)}, {3: "json: no"})
        self.assertEqual(
            [(2, True, None), (5, False, None), (5, True, None), (6, False, "json: no")],
            [(receipt.seq, receipt.repeated, receipt.error) for receipt in receipts],
        )
        self.assertEqual(6, receipts.last)
        self.assertEqual(4, Receipts(Seq(5), 1, {0: Seq(2)}).last)
