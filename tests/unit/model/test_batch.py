"""Events as columns, and one at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
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

    @given(st.lists(st.tuples(EVENTS, st.sampled_from("abc")), min_size=1, max_size=6))
    def test_events_without_a_device_are_their_senders(self, sent: list[tuple[Event, str]]) -> None:
        """Each event that names no device has its own sender's name, and nothing else of it changes."""
        batch = Batch.of([event for event, _ in sent])
        batch.name_senders([(sender, 1) for _, sender in sent])
        self.assertEqual(
            [replace(event, device=sender if event.device is None else event.device) for event, sender in sent],
            list(batch),
        )

    def test_a_sender_of_several_is_named_for_each(self) -> None:
        """So many events in order are one sender's; the first one's name is the batch's."""
        batch = Batch([b"1", b"2", b"3", b"4", b"5"], devices={4: "own"})
        batch.name_senders([("a", 1), ("b", 2), ("a", 2)])
        self.assertEqual(["a", "b", "b", "a", "own"], [event.device for event in batch])
        self.assertEqual(("a", {1: "b", 2: "b", 4: "own"}), (batch.device, batch.devices))


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
