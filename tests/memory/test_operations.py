"""The operations on a real journal without threads: what may be asked, by whom, and what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, get_args

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal import search
from lineside.journal.consumer import DurableConsumer
from lineside.model.errors import LinesideError
from lineside.model.event import Event
from lineside.model.outcome import Altered, Delivered, Outcome, Refused, Retry, Skipped
from lineside.model.ports import ConsumerSpec
from lineside.operations.deadletters import DeadLetterOperations
from lineside.operations.events import LOOK_AGAIN, MOST_UNDECIDED, EventOperations
from lineside.operations.registry import Operations
from lineside.operations.requests import (
    AnyRequest,
    DiscardDeadLetters,
    ListDeadLetters,
    ListEvents,
    Request,
    RetryDeadLetters,
    ShowDeadLetter,
    ShowEvent,
    TailEvents,
)
from lineside.operations.results import DeliveryStory, Done, EventList
from lineside.security.identity import LOCAL_USER, Identity, NotPermitted
from lineside.testing.journals import JournalOnFile
from lineside.wire.jsonl import JsonLines

NOON = 1_750_000_000_123_456_789
READ_AT_NOON = "2025-06-15T15:06:40.123Z"


VIEWER, OPERATOR = Identity("wall board", "viewer"), Identity("shift lead", "operator")


class OperationsCase(SynchronousTestCase):
    """A journal with two routes: checkins of the gate in order, and counts of every source."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.file = JournalOnFile(Path(self.mktemp()), lambda: NOON)
        self.addCleanup(self.file.close)
        self.checkin = self.consumer("checkin", {"gate"}, b"checkin", order_key=lambda record: "badge")
        self.count = self.consumer("count", {"gate", "shelf"}, b"count")
        self.operations = Operations()
        routes = {"checkin": self.checkin, "count": self.count}
        specs = {name: consumer.spec for name, consumer in routes.items()}
        EventOperations(self.file.journal, self.file.database, specs, self.clock).register(self.operations)
        self.decoder = JsonLines(dedupe="id")
        decoders = {"gate": self.decode}
        DeadLetterOperations(self.file.journal, self.file.database, decoders, routes).register(self.operations)

    def consumer(
        self,
        name: str,
        sources: set[str],
        word: bytes,
        order_key: Callable[[Any], str | None] = lambda record: None,
        max_ack_pending: int = 1024,
    ) -> DurableConsumer:
        spec = ConsumerSpec(
            name,
            frozenset(sources),
            lambda record: word in record.event.body,
            order_key,
            max_ack_pending=max_ack_pending,
        )
        consumer = DurableConsumer(spec, self.file.journal, self.file.database, self.clock, now_ns=lambda: NOON)
        self.done(consumer.open())
        self.addCleanup(lambda: Deferred.fromCoroutine(consumer.close()))
        return consumer

    def decode(self, frame: bytes, device: str | None) -> Event:
        return self.decoder.decode(frame, device)

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def append(self, *bodies: bytes, source: str = "gate") -> None:
        self.done(
            self.file.journal.append(source, [JsonLines(dedupe="id").decode(body, "10.0.0.7") for body in bodies])
        )

    def call(self, request: Request[Any]) -> Any:
        return self.done(self.operations.call(request, LOCAL_USER))

    def refused(self, request: Request[Any]) -> str:
        """Return the text of the error that a request gets."""
        asked = Deferred.fromCoroutine(self.operations.call(request, LOCAL_USER))
        failed = self.failureResultOf(asked, LinesideError)
        return str(failed.value)

    def settle(self, consumer: DurableConsumer, *outcomes: Outcome) -> None:
        """Let a route decide as many records as there are outcomes."""
        for outcome in outcomes:
            [pending] = self.done(consumer.pull(1))
            self.done(consumer.settle([(pending, outcome)]))

    def deliveries(self, seq: int) -> dict[str, str]:
        return {story.route: story.state for story in self.call(ShowEvent(seq=seq)).deliveries}


class Permissions(SynchronousTestCase):
    """Who may ask what."""

    def test_who_may_only_look_changes_nothing(self) -> None:
        """Lists and stories are for viewers, but for who may come in and the record; what changes is not."""
        needed = {request.__name__: request.permission for request in get_args(AnyRequest)}
        looking = {name for name in needed if name.startswith(("List", "Show", "Tail", "Follow"))}
        looking -= {"ListSessions", "ListTokens", "ListAudit"}
        self.assertEqual({needed[name] for name in looking}, {"read"})
        self.assertEqual({needed[name] for name in ("ListTokens", "ListAudit", "VerifyAudit")}, {"administer"})
        self.assertNotIn("read", {needed[name] for name in needed.keys() - looking})
        self.assertEqual({needed["RetryDeadLetters"], needed["DiscardDeadLetters"]}, {"operate"})

    def test_the_door_asks_before_anything_is_done(self) -> None:
        """A request without the permission is not carried out, a stream not begun."""
        operations, carried_out = Operations(), list[object]()

        async def discard(request: DiscardDeadLetters) -> Done:
            carried_out.append(request)
            return Done(0, [])

        async def tail(request: TailEvents) -> AsyncIterator[Any]:
            carried_out.append(request)
            yield None

        operations.answer(DiscardDeadLetters, discard)
        operations.stream(TailEvents, tail)
        failed = Deferred.fromCoroutine(operations.call(DiscardDeadLetters(), VIEWER))
        self.assertEqual(
            self.failureResultOf(failed, NotPermitted).getErrorMessage(),
            "this needs the permission to operate; wall board is viewer",
        )
        self.assertEqual(carried_out, [])
        for identity in (OPERATOR, LOCAL_USER):
            self.successResultOf(Deferred.fromCoroutine(operations.call(DiscardDeadLetters(), identity)))
        self.assertEqual(len(carried_out), 2)


class ListingEvents(OperationsCase):
    """`events list`."""

    def seqs(self, **options: Any) -> tuple[list[int], int, int]:
        found: EventList = self.call(ListEvents(**options))
        return [event.seq for event in found.events], found.next_after, found.head

    def test_the_newest_or_those_after(self) -> None:
        """Without a position the newest, with one the next; `next_after` goes on where it ended."""
        self.append(*[b'{"n":1}'] * 5)
        self.assertEqual(self.seqs(limit=2), ([4, 5], 5, 5))
        self.assertEqual(self.seqs(after=0, limit=2), ([1, 2], 2, 5))
        self.assertEqual(self.seqs(after=2, limit=9), ([3, 4, 5], 5, 5))
        self.assertEqual(self.seqs(after=5), ([], 5, 5))

    def test_of_one_source(self) -> None:
        """Others' events are passed over, and not read again by the next page."""
        self.append(b"{}", b"{}")
        self.append(b"{}", source="shelf")
        self.append(b"{}")
        self.assertEqual(self.seqs(source="shelf"), ([3], 4, 4))
        self.assertEqual(self.seqs(source="gate", after=1), ([2, 4], 4, 4))
        self.assertEqual(self.seqs(source="nobody"), ([], 4, 4))

    def test_a_limit_that_is_none(self) -> None:
        """Whatever a program asks for, at least one event and at most a thousand come."""
        self.append(*[b"{}"] * 1005)
        for limit, count in ((0, 1), (-5, 1), (10**9, 1000)):
            self.assertEqual(len(self.seqs(limit=limit)[0]), count)
            self.assertEqual(len(self.seqs(limit=limit, after=0)[0]), count)

    def test_each_event_is_told_in_full(self) -> None:
        """Time, device, key and body; of an undecodable one what was received, and why."""
        self.append(b'{"id":"k1"}', b"M\xfcller")
        good, bad = self.call(ListEvents()).events
        self.assertEqual((good.received, good.device, good.key), (READ_AT_NOON, "10.0.0.7", "k1"))
        self.assertEqual((good.body, good.error), ('{"id":"k1"}', None))
        self.assertEqual((bad.body, bad.error), ("M\\xfcller", "utf8: byte 2 is not UTF-8"))


class SearchingEvents(OperationsCase):
    """Finding an event among many."""

    def found(self, **asked: Any) -> tuple[list[int], int | None]:
        answer = self.call(ListEvents(**asked))
        return [event.seq for event in answer.events], answer.next_before

    def store(self, *events: Event) -> None:
        self.done(self.file.journal.append("gate", list(events)))

    def test_one_pages_back_from_the_newest(self) -> None:
        """Each page names where the next older one begins, and the last names nothing."""
        self.store(*(Event(b"%d" % number) for number in range(5)))
        self.assertEqual(self.found(limit=2), ([4, 5], 4))
        self.assertEqual(self.found(limit=2, before=4), ([2, 3], 2))
        self.assertEqual(self.found(limit=2, before=2), ([1], None))
        self.assertIn("not both", self.refused(ListEvents(after=1, before=4)))

    def test_a_text_is_found_wherever_it_stands(self) -> None:
        """In the JSON, the key, the device or the raw bytes, in any case."""
        self.store(
            Event(b'{"employee": "HR-EMP-7"}'),
            Event(b"{}", key="hr-emp-7/9"),
            Event(b"{}", device="HR-EMP-7"),
            Event(b"", raw=b"\x02hr-EMP-7", error="unreadable"),
            Event(b'{"employee": "HR-EMP-8"}'),
        )
        self.assertEqual(self.found(contains="hr-emp-7"), ([1, 2, 3, 4], None))
        self.assertEqual(self.found(contains="hr-emp-7", undecodable=True), ([4], None))
        self.assertEqual(self.found(device="HR-EMP-7"), ([3], None))

    def test_a_search_goes_on_where_it_stopped_for_lack_of_time(self) -> None:
        """However large the journal, one question costs a bounded time; all questions together miss nothing."""
        self.patch(search, "STRETCH", 1)
        for number in range(6):
            self.store(Event(b'{"n": %d, "odd": %s}' % (number, b"true" if number % 2 else b"false")))
        found: list[int] = []
        before, questions = None, 0
        while True:
            some, before = self.found(contains='"odd": true', before=before)
            found += some
            questions += 1
            if before is None:
                break
        self.assertEqual((sorted(found), questions), ([2, 4, 6], 6))


class ShowingEvents(OperationsCase):
    """`events show`."""

    def test_each_route_that_takes_the_source_tells_its_part(self) -> None:
        """Delivered with the document's name, dead with the letter, skipped by condition, pending until decided."""
        self.append(b'{"kind":"checkin"}', b'{"kind":"count"}')
        self.settle(self.checkin, Delivered("EMP-CKIN-1", found=True))
        self.assertEqual(
            self.call(ShowEvent(seq=1)).deliveries,
            [
                DeliveryStory("checkin", "delivered", "EMP-CKIN-1", True, 1, READ_AT_NOON),
                DeliveryStory("count", "skipped"),
            ],
        )
        self.assertEqual(self.deliveries(2), {"checkin": "skipped", "count": "pending"})
        self.settle(self.count, Refused("MandatoryError", "Item is missing"))
        dead = DeliveryStory(
            "count", "dead", attempts=1, at=READ_AT_NOON, reason="MandatoryError: Item is missing", dead_letter=1
        )
        self.assertEqual(self.call(ShowEvent(seq=2)).deliveries, [DeliveryStory("checkin", "skipped"), dead])

    def test_a_document_that_is_not_as_it_was_sent_says_which_fields(self) -> None:
        """Where the target told of it; the event is delivered all the same."""
        self.append(b'{"kind":"checkin"}')
        self.settle(self.checkin, Delivered("EMP-CKIN-1", altered=(Altered("time", "give a role"),)))
        [story, _] = self.call(ShowEvent(seq=1)).deliveries
        self.assertEqual((story.state, story.altered), ("delivered", ["time"]))

    def test_a_route_that_skips_needs_no_commit_to_say_so(self) -> None:
        """Skipping is not stored for each event; still nobody is told that it is pending."""
        self.append(*[b'{"kind":"checkin"}'] * 3)
        self.done(self.count.pull(10))
        self.assertEqual(self.deliveries(3)["count"], "skipped")

    def test_routes_of_other_sources_are_not_named(self) -> None:
        """An event's story holds those routes only to which it could go."""
        self.append(b'{"kind":"checkin"}', source="shelf")
        self.assertEqual(self.deliveries(1), {"count": "skipped"})

    def test_what_waits_behind_its_key_is_pending(self) -> None:
        """Records that wait outside the window of their lane are owed, however far the route has read."""
        lane = self.consumer("lane", {"gate"}, b"", lambda record: "one", max_ack_pending=1)
        specs = {"lane": lane.spec}
        EventOperations(self.file.journal, self.file.database, specs, self.clock).register(self.operations)
        self.append(*[b"{}"] * 5)
        [pending] = self.done(lane.pull(5))
        self.done(lane.settle([(pending, Retry("busy", after=60.0))]))
        self.done(lane.close())
        self.assertEqual([self.deliveries(seq) for seq in range(1, 6)], [{"lane": "pending"}] * 5)

    def test_an_undecodable_event_is_a_dead_letter_of_no_route(self) -> None:
        """No route has seen it; the raw bytes are there."""
        self.append(b"[1]")
        story = self.call(ShowEvent(seq=1))
        self.assertEqual(story.raw, "[1]")
        self.assertEqual([(one.route, one.state, one.dead_letter) for one in story.deliveries], [("", "dead", 1)])

    def test_what_was_given_up_is_said_to_be(self) -> None:
        """A discarded dead letter is owed to nobody, and its event still tells why there is no document."""
        self.append(b'{"kind":"checkin"}')
        self.settle(self.checkin, Refused("no", "no"))
        self.call(DiscardDeadLetters(ids=[1]))
        self.assertEqual(self.deliveries(1)["checkin"], "discarded")

    def test_two_who_retry_one_letter_make_one_event(self) -> None:
        """Of two commands at the same moment, one decodes the letter again and the other finds it gone."""
        self.append(b"[1]")
        mended: dict[str, Callable[[bytes, str | None], Event]] = {"gate": lambda frame, device: Event(b"{}")}
        operations = DeadLetterOperations(self.file.journal, self.file.database, mended, {})
        self.file.writer.held = True
        both = [Deferred.fromCoroutine(operations.retry(RetryDeadLetters())) for _ in range(2)]
        self.file.writer.release()
        self.assertEqual([1, 0], [self.successResultOf(one).done for one in both])

    def test_what_is_no_whole_frame_is_not_decoded_again(self) -> None:
        """Half a frame and noise may make sense to a decoder, and be a wrong event: they stay what they are."""
        partly = ("checksum: 0x00 came", "stray: 2 bytes between frames", "too-long: 9 bytes; the first 2 are kept")
        whole = Event(b"", raw=b"{}", error="too-long: 2 bytes, at most 1 are taken")
        parts = [Event(b"", raw=b"{}", error=error) for error in partly]
        self.done(self.file.journal.append("gate", [*parts, whole]))
        told = self.call(RetryDeadLetters(route=""))
        self.assertEqual(1, told.done)
        why = "no whole frame was kept, so it is not decoded again"
        self.assertEqual([f"{n}: {error}; {why}" for n, error in enumerate(partly, 1)], told.skipped)

    def test_no_such_event(self) -> None:
        """The newest is named, so that a slip shows."""
        self.append(b"{}")
        self.assertEqual(self.refused(ShowEvent(seq=9)), "there is no event 9; the newest is 1")


class FollowingEvents(OperationsCase):
    """`events tail`."""

    def follow(self, **options: Any) -> tuple[list[int], Deferred[None]]:
        """Follow into a list; the Deferred ends it when cancelled."""
        seen: list[int] = []

        async def follow() -> None:
            async for event in self.operations.follow(TailEvents(**options), VIEWER):
                seen.append(event.event.seq)  # noqa: PERF401 (each as it comes)

        return seen, Deferred.fromCoroutine(follow())

    def test_the_last_ones_then_each_as_it_is_committed(self) -> None:
        """Nothing is shown before its commit, nothing twice, nothing left out."""
        self.append(*[b"{}"] * 5)
        seen, following = self.follow(last=2)
        self.assertEqual(seen, [4, 5])
        self.file.writer.held = True
        appending = Deferred.fromCoroutine(self.file.journal.append("gate", [Event(b"{}"), Event(b"{}")]))
        self.assertEqual(seen, [4, 5])
        self.file.writer.release()
        self.successResultOf(appending)
        self.append(b"{}")
        self.assertEqual(seen, [4, 5, 6, 7, 8])
        following.cancel()
        self.failureResultOf(following)

    def test_of_one_source_and_from_now_on(self) -> None:
        """`last = 0` begins with what comes next; other sources are passed over."""
        self.append(b"{}")
        seen, following = self.follow(last=0, source="shelf")
        self.append(b"{}")
        self.append(b"{}", source="shelf")
        self.assertEqual(seen, [3])
        following.cancel()
        self.failureResultOf(following)

    def test_after_a_sequence(self) -> None:
        """Whoever was away goes on where they were, with all that came meanwhile."""
        self.append(*[b"{}"] * 600)
        seen, following = self.follow(after=200)
        self.append(b"{}")
        self.assertEqual(seen, list(range(201, 602)))
        following.cancel()
        self.failureResultOf(following)

    def test_of_one_device(self) -> None:
        """Others' events are passed over, those that are there and those that come."""
        for device in ("a", "b", "a"):
            self.done(self.file.journal.append("gate", [Event(b"{}", device=device)]))
        seen, following = self.follow(device="a")
        self.done(self.file.journal.append("gate", [Event(b"{}", device="b"), Event(b"{}", device="a")]))
        self.assertEqual(seen, [1, 3, 5])
        following.cancel()
        self.failureResultOf(following)

    def told(self, **options: Any) -> tuple[list[tuple[int, bool, dict[str, str]]], Deferred[None]]:
        """Follow what is told of each event: its sequence, whether again, and the routes' states."""
        seen: list[tuple[int, bool, dict[str, str]]] = []

        async def follow() -> None:
            async for told in self.operations.follow(TailEvents(**options), VIEWER):
                states: dict[str, str] = {story.route: story.state for story in told.deliveries}
                seen.append((told.event.seq, told.again, states))

        return seen, Deferred.fromCoroutine(follow())

    def test_what_became_of_an_event_is_told_once_all_routes_have_decided(self) -> None:
        """At its commit it is pending; it comes again when it is not, and not a third time."""
        seen, following = self.told()
        self.append(b'{"kind":"checkin"}')
        self.assertEqual(seen, [(1, False, {"checkin": "pending", "count": "skipped"})])
        self.clock.advance(LOOK_AGAIN)
        self.assertEqual(len(seen), 1)
        self.settle(self.checkin, Delivered("EMP-CKIN-1"))
        self.clock.advance(LOOK_AGAIN)
        self.assertEqual(seen[1:], [(1, True, {"checkin": "delivered", "count": "skipped"})])
        self.clock.advance(LOOK_AGAIN)
        self.assertEqual((len(seen), self.clock.getDelayedCalls()), (2, []))
        following.cancel()
        self.failureResultOf(following)

    def test_what_is_decided_already_is_told_at_once(self) -> None:
        """An event of yesterday comes once, with its document; so does one that no route takes."""
        self.append(b'{"kind":"checkin"}', b'{"kind":"alive"}')
        self.settle(self.checkin, Refused("no", "no"))
        seen, following = self.told()
        self.clock.advance(LOOK_AGAIN)
        self.assertEqual(
            seen,
            [
                (1, False, {"checkin": "dead", "count": "skipped"}),
                (2, False, {"checkin": "skipped", "count": "skipped"}),
            ],
        )
        following.cancel()
        self.failureResultOf(following)

    def test_an_outage_costs_a_follower_no_memory(self) -> None:
        """Of more undecided events than are borne in mind, the newest are told again."""
        seen, following = self.told(last=0)
        self.append(*[b'{"kind":"checkin"}'] * (MOST_UNDECIDED + 10))
        self.settle(self.checkin, *[Delivered("D")] * (MOST_UNDECIDED + 10))
        self.clock.advance(LOOK_AGAIN)
        again = [seq for seq, repeated, _ in seen if repeated]
        self.assertEqual(again, list(range(11, MOST_UNDECIDED + 11)))
        following.cancel()
        self.failureResultOf(following)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_follower_who_leaves_is_forgotten(self) -> None:
        """The journal does not go on waking one who has gone."""
        unsubscribed: list[int] = []
        on_append = self.file.journal.on_append

        def watched(wake: Callable[[str], None]) -> Callable[[], None]:
            end = on_append(wake)

            def unsubscribe() -> None:
                unsubscribed.append(1)
                end()

            return unsubscribe

        self.patch(self.file.journal, "on_append", watched)
        _, following = self.follow()
        self.assertEqual(unsubscribed, [])
        following.cancel()
        self.failureResultOf(following)
        self.assertEqual(unsubscribed, [1])


class DeadLetters(OperationsCase):
    """`deadletters`."""

    def setUp(self) -> None:
        super().setUp()
        self.append(b'{"kind":"checkin","n":1}', b"no json", b'{"kind":"checkin","n":3}')
        self.settle(self.checkin, *[Refused("LinkValidationError", "no such employee", "the site's words")] * 2)

    def ids(self, **options: Any) -> list[int]:
        return [letter.id for letter in self.call(ListDeadLetters(**options)).dead_letters]

    def test_a_list_says_how_many_there_are(self) -> None:
        """By route, "" for what could not be decoded; page by page; the total is always of all."""
        found = self.call(ListDeadLetters())
        self.assertEqual(found.total, 3)
        self.assertEqual(
            [(one.id, one.seq, one.route) for one in found.dead_letters],
            [(1, 2, None), (2, 1, "checkin"), (3, 3, "checkin")],
        )
        self.assertEqual(self.ids(route="checkin"), [2, 3])
        self.assertEqual(self.ids(route=""), [1])
        self.assertEqual(self.ids(after=1, limit=1), [2])
        self.assertEqual(self.call(ListDeadLetters(limit=1)).total, 3)
        self.assertEqual(self.ids(limit=0), [1])

    def test_one_letter_comes_with_the_targets_words(self) -> None:
        """The list leaves the reply out, which may be long."""
        letter = self.call(ShowDeadLetter(id=2))
        self.assertEqual(
            (letter.code, letter.reason, letter.attempts), ("LinkValidationError", "no such employee", 1)
        )
        self.assertEqual((letter.body, letter.reply), ('{"kind":"checkin","n":1}', "the site's words"))
        self.assertEqual({one.reply for one in self.call(ListDeadLetters()).dead_letters}, {None})
        self.assertEqual(self.refused(ShowDeadLetter(id=9)), "there is no dead letter 9")

    def test_a_retried_letter_is_handed_out_and_gone_once_delivered(self) -> None:
        """It is marked while under way, cannot be discarded meanwhile, and leaves no trace when it succeeds."""
        self.assertEqual(self.call(RetryDeadLetters(ids=[2])), Done(1, []))
        self.assertTrue(self.call(ShowDeadLetter(id=2)).retrying)
        self.assertEqual(self.deliveries(1)["checkin"], "retrying")
        self.assertEqual(self.call(DiscardDeadLetters(ids=[2])), Done(0, ["2: is being delivered again"]))
        self.assertEqual(self.call(RetryDeadLetters(ids=[2])), Done(0, ["2: is being delivered again already"]))
        self.settle(self.checkin, Delivered("EMP-CKIN-1"))
        self.assertEqual(self.ids(), [1, 3])
        self.assertEqual(self.deliveries(1)["checkin"], "delivered")

    def test_a_retried_letter_that_is_refused_again_comes_back(self) -> None:
        """With the new reason, to be retried or discarded once more."""
        self.call(RetryDeadLetters(ids=[2]))
        self.settle(self.checkin, Refused("MandatoryError", "log type is missing"))
        [letter] = [one for one in self.call(ListDeadLetters(route="checkin")).dead_letters if one.seq == 1]
        self.assertEqual((letter.code, letter.retrying), ("MandatoryError", False))

    def test_what_can_be_decoded_by_now_becomes_an_event(self) -> None:
        """The letter goes in the commit in which the event comes; what still cannot be stays, with the reason."""
        done = self.call(RetryDeadLetters(ids=[1]))
        self.assertEqual((done.done, len(done.skipped)), (0, 1))
        self.assertTrue(done.skipped[0].startswith("1: json: "), done)

        class Lenient(Struct, frozen=True):
            def decode(self, frame: bytes, device: str | None) -> Event:
                return Event(b'{"kind":"checkin","text":"%s"}' % frame, raw=frame, device=device)

        self.decoder = Lenient()  # type: ignore[assignment]
        self.file.writer.held = True
        retrying = Deferred.fromCoroutine(self.operations.call(RetryDeadLetters(route=""), OPERATOR))
        self.assertNoResult(retrying)
        self.file.writer.release()
        self.assertEqual(self.successResultOf(retrying), Done(1, []))
        self.assertEqual(self.ids(route=""), [])
        [event] = self.call(ListEvents(after=3)).events
        self.assertEqual((event.body, event.device), ('{"kind":"checkin","text":"no json"}', "10.0.0.7"))
        self.assertEqual(self.deliveries(event.seq)["checkin"], "pending")

    def test_all_of_a_route_or_all_there_are(self) -> None:
        """No ids means all; each page is taken once, whatever its fate."""
        self.assertEqual(self.call(RetryDeadLetters(route="checkin")), Done(2, []))
        done = self.call(DiscardDeadLetters())
        self.assertEqual((done.done, len(done.skipped)), (1, 2))
        self.assertEqual(self.ids(), [2, 3])

    def test_one_unknown_id_is_an_error(self) -> None:
        """Of the ids before it the command has been carried out."""
        self.assertEqual(self.refused(DiscardDeadLetters(ids=[1, 99])), "there is no dead letter 99")
        self.assertEqual(self.ids(), [2, 3])

    def test_routes_and_sources_that_are_gone(self) -> None:
        """Their letters stay, and the answer says why."""
        orphan = self.consumer("old", {"gate"}, b"checkin")
        self.settle(orphan, Refused("no", "no"), Skipped())
        self.append(b"[1]", source="removed")
        done = self.call(RetryDeadLetters(ids=[4, 5]))
        self.assertEqual(
            done,
            Done(0, ["4: there is no route old any more", "5: there is no source removed any more"]),
        )
        self.assertEqual(self.call(DiscardDeadLetters(ids=[4, 5])), Done(2, []))
