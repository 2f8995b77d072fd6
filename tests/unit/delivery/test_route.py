"""What a route makes of records that it cannot read: stored once, they come back at every start."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.route import Route
from lineside.delivery.templates import compile_condition, compile_template
from lineside.model.event import Event, Record, Seq
from lineside.model.outcome import Refused
from lineside.model.ports import Pending, Ready

DEEP = b'{"who":"ann","a":' + b"[" * 5_000 + b"]" * 5_000 + b"}"


class UnreadableTests(SynchronousTestCase):
    """A record that raised where the route reads on would stop every one behind it, for ever."""

    def setUp(self) -> None:
        self.route = Route(
            id="checkin",
            sources=frozenset({"gate"}),
            target="erp",
            action="insert",
            doctype="Employee Checkin",
            document=compile_template({"employee": "{{ who }}"}, "document"),
            when=compile_condition("{{ who != 'nobody' }}", "when"),
            order_by="who",
            concurrency=1,
        )

    def test_what_cannot_be_read_is_refused_and_nothing_raises(self) -> None:
        """JSON deeper than Python bears, or none at all, is the route's business, in no order, and refused."""
        for body, why in ((DEEP, "RecursionError"), (b"no JSON", "DecodeError"), (b'{"who":"\xff"}', "Unicode")):
            record = Record(Seq(1), "e", "gate", 0, Event(body))
            self.assertTrue(self.route.accepts(record))
            self.assertIsNone(self.route.order_key(record))
            refused = self.route.render(Pending(record, attempt=1), Ready("UTC"))
            assert isinstance(refused, Refused)
            self.assertEqual("payload", refused.code)
            self.assertIn(why, refused.reason)
