"""Segments: what goes in comes out, in whichever format it was written."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal import segments
from lineside.journal.segments import FORMAT, Gathering, Stored, pack, unpack
from lineside.model.batch import Batch
from lineside.model.event import Event

TEXTS = st.none() | st.sampled_from(["a", "b"])
EVENTS = st.builds(Event, st.binary(max_size=30), st.none() | st.binary(max_size=30), TEXTS, TEXTS, TEXTS)
BATCHES = st.lists(st.tuples(st.integers(1, 3), st.lists(EVENTS, min_size=1, max_size=5)), max_size=6)


class SegmentTests(SynchronousTestCase):
    """The BLOBs of the journal."""

    @given(BATCHES, st.integers(1, 7), st.integers(1, 200))
    def test_every_event_comes_back(self, batches: list[tuple[int, list[Event]]], most: int, size: int) -> None:
        """Gathered, cut, packed and unpacked, each is what it was, in order, within the limits of a segment."""
        self.patch(segments, "MAX_EVENTS", most)
        self.patch(segments, "MAX_BYTES", size)
        gathering = Gathering()
        for received_ns, events in batches:
            gathering.add(Batch.of(events), received_ns)
        came_back = []
        for segment in gathering.segments():
            here = list(unpack(FORMAT, pack(segment)))
            self.assertEqual(here[-1][0], segment.received_ns)
            self.assertTrue(1 <= len(here) <= most)
            bodies = [len(event.body) + len(event.raw or b"") + len(event.key or "") for _, event in here]
            self.assertTrue(len(here) == 1 or sum(bodies) <= size)
            came_back += here
        self.assertEqual([(received_ns, event) for received_ns, events in batches for event in events], came_back)

    @given(st.lists(EVENTS, min_size=1, max_size=5))
    def test_a_journal_of_before_is_read(self, events: list[Event]) -> None:
        """Format 1, a list of events each by itself, is what releases before 2 wrote."""
        blob = msgspec.msgpack.encode([Stored.of(event, 5) for event in events])
        self.assertEqual([(5, event) for event in events], list(unpack(1, blob)))
