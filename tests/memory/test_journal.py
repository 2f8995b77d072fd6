"""The journal on a real SQLite file, with the disk as slow as the test wants."""

from __future__ import annotations

import gc
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal import log
from lineside.journal.consumer import DurableConsumer
from lineside.journal.log import SqliteJournal
from lineside.journal.tables import JOURNAL
from lineside.model.errors import JournalLocked, JournalUnusable
from lineside.model.event import Event, Receipt, Record, Seq
from lineside.model.fields import key_text, lookup
from lineside.model.outcome import Delivered, Refused, Retry, Skipped, TargetDown
from lineside.model.ports import ConsumerSpec, Pending
from lineside.operations.deadletters import DeadLetterOperations
from lineside.operations.requests import ListDeadLetters, RetryDeadLetters
from lineside.store.database import Database
from lineside.store.migrations import Component, migrate
from lineside.testing.journals import JournalOnFile
from lineside.testing.workers import HeldWorker, call_at_once

decode = msgspec.json.decode
DAY = 86_400_000_000_000


def event(body: bytes = b"{}", key: str | None = None, error: str | None = None) -> Event:
    return Event(body, key=key, error=error, raw=b"raw" if error else None)


class JournalCase(SynchronousTestCase):
    """A journal on a file of its own."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.now = 1_000 * DAY
        self.clock = Clock()
        self.file = JournalOnFile(self.path, lambda: self.now)
        self.addCleanup(self.file.close)

    @property
    def journal(self) -> SqliteJournal:
        return self.file.journal

    @property
    def database(self) -> Database:
        return self.file.database

    @property
    def writer(self) -> HeldWorker:
        return self.file.writer

    def crash(self) -> None:
        """Let the process die and start anew: nothing that was not committed is left."""
        self.file.restart()

    def done(self, work: Any) -> Any:
        return self.successResultOf(work if isinstance(work, Deferred) else Deferred.fromCoroutine(work))

    def append(self, *events: Event, source: str = "gate") -> list[Receipt]:
        return self.done(self.journal.append(source, list(events)))  # type: ignore[no-any-return]

    def read(self, after: int = 0, limit: int = 1000, sources: frozenset[str] | None = None) -> list[Record]:
        return list(self.done(self.journal.read(Seq(after), sources=sources, limit=limit)).records)

    def consumer(self, **changes: Any) -> DurableConsumer:
        facts: dict[str, Any] = {
            "id": "route",
            "sources": frozenset({"gate"}),
            "accepts": lambda record: True,
            "order_key": lambda record: (
                key_text(lookup({"k": record.event.body.decode()}, "k")) if record.event.body != b"{}" else None
            ),
        }
        consumer = DurableConsumer(ConsumerSpec(**(facts | changes)), self.journal, self.database, self.clock)
        self.done(consumer.open())
        return consumer

    def pull(self, consumer: DurableConsumer, limit: int = 100) -> list[Pending]:
        return self.done(consumer.pull(limit))  # type: ignore[no-any-return]

    def settle(self, consumer: DurableConsumer, pending: Pending, outcome: Any) -> None:
        self.done(consumer.settle([(pending, outcome)]))

    def letters(self) -> list[Any]:
        return list(self.done(self.letter_operations({}).list_letters(ListDeadLetters())).dead_letters)

    def letter_operations(self, consumers: dict[str, DurableConsumer]) -> DeadLetterOperations:
        return DeadLetterOperations(
            self.journal, self.database, {"gate": lambda frame, device: Event(frame.strip())}, consumers
        )


class AppendTests(JournalCase):
    """What an acknowledgement means."""

    def test_nothing_is_acknowledged_before_the_commit(self) -> None:
        """An append waits for the writer's commit, however long the disk takes."""
        writer = self.writer
        writer.held = True
        appended = Deferred.fromCoroutine(self.journal.append("gate", [event()]))
        self.assertNoResult(appended)
        writer.release()
        [receipt] = self.successResultOf(appended)
        self.assertEqual([receipt.seq], [record.seq for record in self.read()])

    def test_appends_that_wait_share_a_segment(self) -> None:
        """What arrives while the disk is busy is stored in one row and one commit; each sender has its answer."""
        writer = self.writer
        writer.held = True
        appended = [Deferred.fromCoroutine(self.journal.append("gate", [event()])) for _ in range(50)]
        writer.release()
        seqs = [self.successResultOf(one)[0].seq for one in appended]
        self.assertEqual(sorted(set(seqs)), seqs)
        rows = self.done(self.database.read(lambda c: c.execute("SELECT first, last FROM segment").fetchall()))
        self.assertEqual([(seqs[0], seqs[-1])], rows)

    def test_what_was_acknowledged_is_there_after_a_crash(self) -> None:
        """A new process reads every event as it was, in order, under the identity it had."""
        events = [Event(b'{"n":1}', raw=b"\x02{}\x03", key="a", device="d"), Event(b'{"n":2}')]
        receipts = self.append(*events)
        run = self.journal.run
        self.crash()
        records = self.read()
        self.assertEqual(events, [record.event for record in records])
        self.assertEqual([receipt.seq for receipt in receipts], [record.seq for record in records])
        self.assertEqual({run}, {record.run for record in records})

    def test_a_journal_of_an_older_release_goes_on(self) -> None:
        """Segments written before there were columns are read after the upgrade, and new ones stand behind them."""
        self.file.close()
        self.path.unlink()
        old = Component("journal", JOURNAL.versions[:2])
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            migrate(connection, (old,))
            blob = msgspec.msgpack.encode([[5, b'{"n":1}', None, "a"], [5, b"", b"x", None, "d", "json: no"]])
            connection.execute("INSERT INTO source (id, name) VALUES (1, 'gate')")
            connection.execute("INSERT INTO segment VALUES (1, 2, 1, 'run', 5, ?)", (blob,))
        self.file.open()
        self.append(Event(b'{"n":2}'))
        self.assertEqual(
            [Event(b'{"n":1}', key="a"), Event(b"", b"x", None, "d", "json: no"), Event(b'{"n":2}')],
            [record.event for record in self.read()],
        )
        self.assertEqual([1, 2, 3], [record.seq for record in self.read()])

    def test_no_identity_is_given_twice(self) -> None:
        """A journal that is put back from an old copy gives its sequences anew, under identities of their own."""
        self.append(event(b"before"))
        self.file.close()
        copy = self.path.read_bytes()
        self.file.open()
        self.append(event(b"after the copy"))
        lost = self.read()[-1]
        self.file.close()
        self.path.write_bytes(copy)
        self.file.open()
        self.append(event(b"after it was put back"))
        new = self.read()[-1]
        self.assertEqual(lost.seq, new.seq)
        self.assertNotEqual(lost.identity, new.identity)

    def test_a_failed_commit_acknowledges_nothing(self) -> None:
        """When the disk refuses the commit, every sender in it gets the error, and the next commit goes on."""
        self.done(
            self.database.write(
                lambda c: c.execute(
                    "CREATE TEMP TRIGGER full BEFORE INSERT ON segment BEGIN "
                    "SELECT RAISE(ROLLBACK, 'database or disk is full'); END"
                )
            )
        )
        writer = self.writer
        writer.held = True
        appended = [Deferred.fromCoroutine(self.journal.append("gate", [event()])) for _ in range(2)]
        writer.release()
        for one in appended:
            self.failureResultOf(one, sqlite3.Error)
        self.assertEqual([], self.read())
        self.done(self.database.write(lambda c: c.execute("DROP TRIGGER full")))
        self.append(event())
        self.assertEqual(1, len(self.read()))

    def test_a_neighbour_s_failed_commit_holds_up_nobody(self) -> None:
        """Events that were to share a commit that fails are told so; those after them are stored."""
        self.writer.held = True
        spoiling = self.database.write(lambda c: c.execute("ROLLBACK"))
        appended = Deferred.fromCoroutine(self.journal.append("gate", [event()]))
        self.writer.release()
        self.failureResultOf(spoiling, sqlite3.Error)
        self.failureResultOf(appended, sqlite3.Error)
        self.append(event())
        self.assertEqual(1, len(self.read()))

    def test_listeners_hear_of_events_after_the_commit_only(self) -> None:
        """What is published is committed, and a repeat is not published again."""
        heard: list[int] = []
        self.journal.on_commit(lambda records: heard.extend(record.seq for record in records))
        writer = self.writer
        writer.held = True
        appended = Deferred.fromCoroutine(self.journal.append("gate", [event(key="a"), event(key="a")]))
        self.assertEqual([], heard)
        writer.release()
        self.assertEqual([self.successResultOf(appended)[0].seq], heard)

    def test_a_listener_that_fails_leaves_no_sender_waiting(self) -> None:
        """Whatever those who listen do, every sender of a commit has its answer, and the error is logged."""

        def fails(records: list[Record]) -> None:
            raise RuntimeError("a listener's bug")

        self.journal.on_commit(fails)
        self.writer.held = True
        both = [Deferred.fromCoroutine(self.journal.append(source, [event()])) for source in ("gate", "dock")]
        self.writer.release()
        self.assertEqual([1, 2], [self.successResultOf(one)[0].seq for one in both])
        gc.collect()
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))

    def test_a_second_process_is_told_who_holds_the_journal(self) -> None:
        """One journal serves one gateway; the error names the other's process."""
        second = Database(self.path, (JOURNAL,), call_at_once, worker=HeldWorker)
        failure = self.failureResultOf(Deferred.fromCoroutine(second.open()), JournalLocked)
        self.assertRegex(str(failure.value), r"is in use by another process \(pid \d+\)")

    def test_a_file_that_is_no_journal_is_refused(self) -> None:
        """Garbage in the journal's place is named as such, and left alone."""
        path = Path(self.mktemp())
        path.write_bytes(b"these are somebody's notes, not a database " * 100)
        other = Database(path, (JOURNAL,), call_at_once, worker=HeldWorker)
        failure = self.failureResultOf(Deferred.fromCoroutine(other.open()), JournalUnusable)
        self.assertIn("not a database", str(failure.value))
        self.assertTrue(path.read_bytes().startswith(b"these are somebody's notes"))

    def test_a_newer_release_s_journal_is_refused(self) -> None:
        """Tables of a version that this release does not know are not touched."""
        self.done(self.database.write(lambda c: c.execute("UPDATE component SET version = version + 99")))
        self.file.close()
        failure = self.failureResultOf(Deferred.fromCoroutine(self.database.open()), JournalUnusable)
        self.assertIn("install a newer Lineside", str(failure.value))
        connection = sqlite3.connect(self.path)
        connection.execute("UPDATE component SET version = version - 99")
        connection.commit()
        connection.close()
        self.file.open()

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["gate", "dock"]), st.lists(st.binary(max_size=40), max_size=5)), max_size=8
        ),
        st.integers(1, 7),
    )
    def test_pages_of_any_size_hold_every_event_once(
        self, appends: list[tuple[str, list[bytes]]], limit: int
    ) -> None:
        """Reading on by ``next_after`` meets each event of a source once and in order, whatever was appended."""
        before = self.journal.head
        expected: list[tuple[int, bytes]] = []
        for source, bodies in appends:
            receipts = self.append(*[Event(body) for body in bodies], source=source)
            if source == "gate":
                expected += [(r.seq, body) for r, body in zip(receipts, bodies, strict=True)]
        found: list[tuple[int, bytes]] = []
        after = before
        while True:
            page = self.done(self.journal.read(after, sources=frozenset({"gate"}), limit=limit))
            found += [(record.seq, record.event.body) for record in page.records]
            if page.next_after == after:
                break
            after = page.next_after
        self.assertEqual(expected, found)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.integers(1, 4), max_size=6), st.lists(st.integers(0, 30), max_size=12))
    def test_records_are_found_by_their_sequences(self, runs: list[int], asked: list[int]) -> None:
        """Whatever the segments are, each record that is asked for is returned, and no other."""
        before = self.journal.head
        receipts = [receipt for run in runs for receipt in self.append(*[event()] * run)]
        seqs = [Seq(before + number) for number in asked]
        there = {receipt.seq for receipt in receipts} | set(range(1, before + 1))
        found = self.done(self.journal.get(seqs))
        self.assertEqual(set(seqs) & there, set(found))
        self.assertTrue(all(record.seq == seq for seq, record in found.items()))

    def test_the_newest_are_bounded_in_bytes(self) -> None:
        """However many are asked for, no more of them are read than memory bears, and the newest come first."""
        self.patch(log, "MAX_PAGE_BYTES", 1_000)
        self.append(*[event(b"%100d" % n) for n in range(10)])
        last = self.done(self.journal.last(5))
        self.assertEqual([8, 9, 10], [record.seq for record in last])
        self.assertEqual([9, 10], [record.seq for record in self.done(self.journal.last(2))])

    def test_a_page_of_large_lines_is_bounded_in_bytes(self) -> None:
        """Also what could not be decoded counts: a page ends early, and the next one goes on."""
        self.patch(log, "MAX_PAGE_BYTES", 1_000)
        self.append(*[Event(b"", raw=b"x" * 100, error="json: no") for _ in range(5)])
        first = self.done(self.journal.read(Seq(0), limit=100))
        self.assertEqual(3, len(first.records))
        self.assertEqual([4, 5], [record.seq for record in self.read(first.next_after)])


class DedupeTests(JournalCase):
    """A device that resends."""

    def test_a_repeat_gets_its_first_sequence_again(self) -> None:
        """A device that resends after a lost answer is told the same sequence, and nothing is stored twice."""
        [first] = self.append(event(key="scan-1"))
        self.crash()
        [again] = self.append(event(key="scan-1"))
        self.assertEqual((first.seq, True), (again.seq, again.repeated))
        self.assertEqual(1, len(self.read()))

    def test_many_keys_are_known_as_one_is(self) -> None:
        """However strange the keys of a batch, new ones get sequences in order and known ones their first again."""
        keys = ["a\0b", "a\0c", "a", "", "\u00e9", "\U0001f600", '"\\', "\x01", " 1", "1", "1e5", "[1]"]
        first = self.append(*[event(key=key) for key in keys])
        self.assertEqual([False] * len(keys), [receipt.repeated for receipt in first])
        again = self.append(event(key="new"), *[event(key=key) for key in keys], event(key="new"), event(key=None))
        told = [(receipt.seq, receipt.repeated) for receipt in again]
        self.assertEqual([(receipt.seq, True) for receipt in first], told[1:-2])
        self.assertEqual([(13, False), (13, True), (14, False)], [told[0], *told[-2:]])

    def test_keys_belong_to_their_source(self) -> None:
        """Two sources may use the same keys for different events."""
        self.append(event(key="1"), source="gate")
        [other] = self.append(event(key="1"), source="dock")
        self.assertFalse(other.repeated)

    def test_a_key_is_forgotten_after_the_window(self) -> None:
        """After seven days a key may be used anew, and old keys leave the database."""
        self.append(*[event(key=f"{n}") for n in range(10)])
        self.now += 8 * DAY
        [anew] = self.append(event(key="0"))
        self.assertFalse(anew.repeated)
        kept = self.done(self.database.read(lambda c: c.execute("SELECT first FROM key_recent").fetchall()))
        self.assertEqual([(anew.seq,)], kept)

    def test_a_clock_set_back_forgets_nothing(self) -> None:
        """With the clock an hour back a repeat is still a repeat."""
        self.append(event(key="a"))
        self.now -= DAY // 24
        [again] = self.append(event(key="a"))
        self.assertTrue(again.repeated)


class ConsumerTests(JournalCase):
    """A route's durable place in the journal."""

    def test_settled_records_are_not_handed_out_again(self) -> None:
        """After a crash a consumer goes on with what was not settled, in any order of settling."""
        self.append(*[event() for _ in range(5)])
        consumer = self.consumer()
        pulled = self.pull(consumer)
        for index in (3, 0, 4):
            self.settle(consumer, pulled[index], Delivered(f"DOC-{index}"))
        self.crash()
        again = self.pull(self.consumer())
        self.assertEqual([pulled[1].record, pulled[2].record], [pending.record for pending in again])

    def test_one_key_one_at_a_time(self) -> None:
        """The next record of a key is handed out when the one before is settled, never sooner."""
        self.append(event(b"a"), event(b"b"), event(b"a"))
        consumer = self.consumer()
        first, other = self.pull(consumer)
        self.assertEqual([b"a", b"b"], [first.record.event.body, other.record.event.body])
        self.settle(consumer, other, Delivered("B"))
        self.assertEqual([], self.pull(consumer))
        self.settle(consumer, first, Delivered("A1"))
        self.assertEqual([b"a"], [pending.record.event.body for pending in self.pull(consumer)])

    def test_a_hung_key_holds_only_itself(self) -> None:
        """A thousand records behind a key in backoff wait in the journal; others pass; then they come in order."""
        self.append(event(b"hung"))
        consumer = self.consumer()
        [hung] = self.pull(consumer)
        self.settle(consumer, hung, Retry("busy", after=60.0))
        self.append(*[event(b"hung" if n % 2 else b"%d" % n) for n in range(2000)])
        passed = 0
        while pulled := self.pull(consumer):
            passed += len(pulled)
            self.done(consumer.settle([(pending, Delivered("x")) for pending in pulled]))
            self.clock.advance(0)
        self.assertEqual(1000, passed)
        self.crash()
        consumer = self.consumer()
        seqs = []
        for _ in range(1001):
            [pending] = self.pull(consumer)
            self.assertEqual(b"hung", pending.record.event.body)
            seqs.append(pending.record.seq)
            self.settle(consumer, pending, Delivered("x"))
            self.clock.advance(0)
        self.assertEqual(sorted(set(seqs)), seqs)
        self.assertEqual([], self.pull(consumer))

    def test_another_order_loses_nothing_that_waited(self) -> None:
        """When a route is ordered by another field, what waited behind a hung key is still delivered, and once."""

        def ordered(path: str | None) -> DurableConsumer:
            return self.consumer(
                order_by=path, order_key=lambda record: path and key_text(lookup(decode(record.event.body), path))
            )

        self.append(*[event(b'{"who":"ann","n":%d}' % n) for n in range(101)])
        consumer = ordered("who")
        [first] = self.pull(consumer)
        self.settle(consumer, first, Retry("busy", after=60.0))
        self.append(event(b'{"who":"bob","n":101}'))
        while pulled := self.pull(consumer):
            self.done(consumer.settle([(pending, Delivered("x")) for pending in pulled]))
        self.crash()
        consumer = ordered(None)
        self.crash()
        consumer = ordered(None)
        delivered: list[int] = []
        while pulled := self.pull(consumer):
            delivered += [decode(pending.record.event.body)["n"] for pending in pulled]
            self.done(consumer.settle([(pending, Delivered("x")) for pending in pulled]))
        self.assertEqual(list(range(101)), delivered)

    def test_backoff_wakes_the_consumer(self) -> None:
        """A record that failed is handed out again when its rest is over, with its attempt counted."""
        self.append(event())
        consumer = self.consumer()
        woken: list[float] = []
        [pending] = self.pull(consumer)
        self.settle(consumer, pending, Retry("busy", after=5.0, ambiguous=True))
        consumer.on_ready(lambda: woken.append(self.clock.seconds()))
        self.assertEqual([], self.pull(consumer))
        self.clock.advance(5)
        self.assertEqual([5.0], woken)
        [again] = self.pull(consumer)
        self.assertEqual((2, True), (again.attempt, again.redelivered))

    def test_failures_count_across_crashes_and_end_as_a_dead_letter(self) -> None:
        """A record that fails max_deliver times is kept with its last reason, and no longer handed out."""
        self.append(event(b'{"n":1}'))
        for attempt in (1, 2, 3):
            consumer = self.consumer(max_deliver=3)
            [pending] = self.pull(consumer)
            self.assertEqual(attempt, pending.attempt)
            self.settle(consumer, pending, Retry("the ERP coughs", after=0.0))
            self.crash()
        self.assertEqual([], self.pull(self.consumer()))
        [letter] = self.letters()
        self.assertEqual(("max-deliver", 3, '{"n":1}'), (letter.code, letter.attempts, letter.body))
        self.assertIn("the ERP coughs", letter.reason)

    def test_an_outage_counts_for_nothing(self) -> None:
        """However often the target is down, the record stays at its first attempt."""
        self.append(event())
        consumer = self.consumer(max_deliver=2)
        for _ in range(10):
            [pending] = self.pull(consumer)
            self.assertEqual(1, pending.attempt)
            self.settle(consumer, pending, TargetDown("refused"))
        self.assertEqual([], self.letters())

    def test_outcomes_that_could_not_be_stored_are_stored_later(self) -> None:
        """After a full disk the next settling stores what the failed one could not, and nothing is repeated."""
        self.append(event(), event(), event())
        consumer = self.consumer()
        first, second, third = self.pull(consumer)
        self.done(
            self.database.write(
                lambda c: c.execute(
                    "CREATE TEMP TRIGGER full BEFORE UPDATE ON consumer BEGIN "
                    "SELECT RAISE(ROLLBACK, 'database or disk is full'); END"
                )
            )
        )
        failed = Deferred.fromCoroutine(consumer.settle([(second, Delivered("B"))]))
        self.failureResultOf(failed, sqlite3.Error)
        self.done(self.database.write(lambda c: c.execute("DROP TRIGGER full")))
        self.settle(consumer, third, Skipped())
        self.crash()
        self.assertEqual([first.record], [pending.record for pending in self.pull(self.consumer())])

    def test_the_floor_is_what_is_stored(self) -> None:
        """While an outcome waits for the disk its record still counts as owed."""
        self.append(event())
        consumer = self.consumer()
        [pending] = self.pull(consumer)
        self.writer.held = True
        settling = Deferred.fromCoroutine(consumer.settle([(pending, Delivered("A"))]))
        self.assertEqual(0, consumer.floor)
        self.writer.release()
        self.successResultOf(settling)
        self.assertEqual(1, consumer.floor)

    def test_what_a_consumer_does_not_accept_costs_it_nothing(self) -> None:
        """Records of other sources and those for which ``when`` is false are passed over, and stay so."""
        self.append(event(b"no"), event(b"yes"), event(error="json: bad"))
        self.append(event(b"yes"), source="dock")
        consumer = self.consumer(accepts=lambda record: record.event.body == b"yes")
        [pending] = self.pull(consumer)
        self.assertEqual((b"yes", "gate"), (pending.record.event.body, pending.record.source))
        self.settle(consumer, pending, Delivered("Y"))
        self.assertEqual(self.journal.head, consumer.floor)

    def test_a_new_consumer_may_begin_at_the_end(self) -> None:
        """``deliver_policy = "new"`` leaves out what was there before the route, once and for all."""
        self.append(event(b"old"))
        self.consumer(deliver_policy="new")
        self.append(event(b"new"))
        self.crash()
        self.assertEqual([b"new"], [p.record.event.body for p in self.pull(self.consumer(deliver_policy="new"))])

    def test_a_new_consumer_may_begin_after_a_sequence(self) -> None:
        """A number leaves out what lies at or below it; one beyond the end stands for the end."""
        self.append(event(b"1"), event(b"2"), event(b"3"))
        self.assertEqual([b"2", b"3"], [p.record.event.body for p in self.pull(self.consumer(deliver_policy=1))])
        self.consumer(id="ahead", deliver_policy=99)
        self.append(event(b"4"))
        self.assertEqual([b"4"], [p.record.event.body for p in self.pull(self.consumer(id="ahead"))])


class DeadLetterTests(JournalCase):
    """What waits for a person."""

    def test_an_undecodable_event_is_kept_and_decoded_again(self) -> None:
        """It is a dead letter from its first commit; once it can be decoded it becomes an event, once."""
        self.append(Event(b"", raw=b" {} ", error="json: trailing characters"))
        self.crash()
        [letter] = self.letters()
        self.assertEqual(
            (None, "json", "trailing characters", " {} "), (letter.route, letter.code, letter.reason, letter.body)
        )
        operations = self.letter_operations({})
        done = self.done(operations.retry(RetryDeadLetters()))
        self.assertEqual((1, []), (done.done, done.skipped))
        self.assertEqual([], self.letters())
        self.assertEqual([b"{}"], [record.event.body for record in self.read() if record.event.error is None])

    def test_a_refused_record_is_delivered_when_a_person_says_so(self) -> None:
        """A dead letter that is retried is handed out again, also after a crash, and is gone once delivered."""
        self.append(event(b'{"n":1}'))
        consumer = self.consumer()
        [pending] = self.pull(consumer)
        self.settle(consumer, pending, Refused("ValidationError", "no such employee", "{...}"))
        self.done(self.letter_operations({"route": consumer}).retry(RetryDeadLetters()))
        self.crash()
        consumer = self.consumer()
        [again] = self.pull(consumer)
        self.assertEqual(pending.record, again.record)
        self.settle(consumer, again, Delivered("CHK-1"))
        self.assertEqual([], self.letters())
        self.assertEqual([], self.pull(consumer))

    def test_a_retry_that_fails_again_is_a_dead_letter_again(self) -> None:
        """Its new reason replaces the old one, and a second retry of the same letter meanwhile does nothing."""
        self.append(event(b'{"n":1}'))
        consumer = self.consumer()
        [pending] = self.pull(consumer)
        self.settle(consumer, pending, Refused("ValidationError", "no such employee"))
        operations = self.letter_operations({"route": consumer})
        self.done(operations.retry(RetryDeadLetters()))
        twice = self.done(operations.retry(RetryDeadLetters()))
        self.assertEqual(0, twice.done)
        [again] = self.pull(consumer)
        self.settle(consumer, again, Refused("LinkValidationError", "still not"))
        [letter] = self.letters()
        self.assertEqual(("LinkValidationError", False), (letter.code, letter.retrying))
