"""What became of an event, as far as its routes have decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from sqlite3 import Connection
from typing import Literal

from lineside.journal import deadletters
from lineside.journal.deadletters import EACH
from lineside.model.event import Record
from lineside.model.ports import ConsumerSpec
from lineside.operations.results import DeliveryStory
from lineside.operations.texts import moment


def deliveries(connection: Connection, record: Record, specs: Mapping[str, ConsumerSpec]) -> list[DeliveryStory]:
    """Return each route's part in an event's story, by the routes' names. Runs on the reader's thread."""
    stories = {
        route: DeliveryStory(
            route, "delivered", name, bool(found), attempts, moment(at_ns), altered=json.loads(altered or "[]")
        )
        for route, name, found, attempts, at_ns, altered in connection.execute(
            f"""SELECT consumer, name, found, attempts, at_ns, fields
               FROM delivered LEFT JOIN altered USING (consumer, seq)
               WHERE consumer IN ({EACH.format(table="delivered")}) AND seq = ?""",
            (record.seq,),
        )
    }
    for letter in deadletters.of_event(connection, record.seq):
        stories[letter.consumer] = DeliveryStory(
            letter.consumer,
            "retrying" if letter.retrying else "dead",
            attempts=letter.attempts,
            at=moment(letter.at_ns),
            reason=f"{letter.code}: {letter.reason}",
            dead_letter=letter.id,
        )
    discarded = connection.execute(
        f"""SELECT consumer, code, reason, at_ns FROM discarded
            WHERE consumer IN ({EACH.format(table="discarded")}) AND seq = ?""",
        (record.seq,),
    )
    for route, code, reason, at_ns in discarded:
        story = DeliveryStory(route, "discarded", at=moment(at_ns), reason=f"{code}: {reason}")
        stories.setdefault(route, story)
    for route, spec in specs.items():
        if route not in stories and record.source in spec.sources and record.event.error is None:
            stories[route] = DeliveryStory(route, _state(connection, record, spec))
    return [stories[route] for route in sorted(stories)]


def _state(connection: Connection, record: Record, spec: ConsumerSpec) -> Literal["skipped", "pending", "closed"]:
    if not spec.accepts(record):
        return "skipped"
    # The stored cursor may lag behind; it never runs ahead of what is owed.
    row = connection.execute(
        """SELECT cursor < :seq
             OR EXISTS (SELECT 1 FROM gap WHERE consumer = id AND seq = :seq)
             OR EXISTS (SELECT 1 FROM backlog WHERE consumer = id AND key = :key AND after < :seq)
           FROM consumer WHERE id = :id""",
        {"id": spec.id, "seq": record.seq, "key": spec.order_key(record)},
    ).fetchone()
    return "pending" if row is None or row[0] else "closed"
