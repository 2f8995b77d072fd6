"""The guide for live channels shows what is published, and lists what of the protocol there is."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, get_args

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.live import told as settled
from lineside.assemble.live import unreadable
from lineside.assemble.posts import AppendEvents
from lineside.edges.websocket import codes, messages
from lineside.edges.websocket.access import OWN
from lineside.edges.websocket.codes import Disconnect, ErrorCode, Unsubscribe
from lineside.edges.websocket.erpcalls import AskErp
from lineside.edges.websocket.sessions import Limits
from lineside.edges.websocket.streams import told
from lineside.model.event import Event, Record, Seq
from lineside.model.outcome import Delivered, Outcome, Refused
from lineside.model.ports import Pending
from lineside.operations.requests import (
    CallErp,
    CommandDevice,
    ListDeviceCommands,
    ListDevices,
    ListEvents,
    Request,
    RetryDeadLetters,
    ShowStatus,
)
from lineside.security.identity import Role

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "live-channels.md").read_text(encoding="utf-8")
SCAN = b'{"scan_id": "scan-00042", "employee": "HR-EMP-00017", "direction": "IN"}'
SIX = 1_773_036_000_123_000_000
"""2026-03-09T06:00:00.123Z."""
REST = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[routes.note]
doctype = "ToDo"
document = { description = "{{ payload }}" }
"""


def shape(name: str) -> Any:
    """Return the JSON that the guide shows under a mark."""
    found = re.search(rf"<!-- shape: {name} -->\n```json\n(.*?)```", GUIDE, re.DOTALL)
    assert found is not None, name
    return json.loads(found[1])


def rows(name: str) -> list[list[str]]:
    """Return the cells of the table under a mark."""
    found = re.search(rf"<!-- table: {name} -->\n(.*?)<!-- end -->", GUIDE, re.DOTALL)
    assert found is not None, name
    lines = [line.strip("| ").split("|") for line in found[1].splitlines()[2:]]
    return [[cell.strip() for cell in line] for line in lines]


def record(event: Event, seq: int = 4711, received_ns: int = SIX) -> Record:
    """Return an event as the journal has it."""
    return Record(Seq(seq), "e", "gate", received_ns, event)


def outcome(result: Outcome) -> tuple[Any, Any]:
    """Return what is published of an outcome of the first attempt."""
    return settled("checkin", Pending(record(Event(SCAN)), 1), result)


class LiveGuide(SynchronousTestCase):
    """`docs/guides/live-channels.md`."""

    def test_events_are_published_as_shown(self) -> None:
        """Member by member, of one that was read and of one that was not."""
        event = told(record(Event(SCAN, device="gate-1", key="scan-00042")))
        self.assertEqual(list(json.loads(event).items()), list(shape("event").items()))
        wrong = "json: JSON is malformed: invalid character (byte 12)"
        broken = Event(b"null", raw=b'{"scan_id": <b>', device="10.0.0.17", error=wrong)
        published = told(record(broken, 4712, SIX + 1_000_000))
        self.assertEqual(list(json.loads(published).items()), list(shape("unreadable").items()))

    def test_outcomes_are_published_as_shown(self) -> None:
        """A document in one channel, a refusal in two."""
        delivered = outcome(Delivered("EMP-CKIN-03-2026-000017"))
        self.assertEqual(delivered, (shape("delivered"), None))
        refused = outcome(Refused("LinkValidationError", "Could not find Employee: HR-EMP-99999"))
        self.assertEqual(refused, (shape("refused"), shape("letter")))
        wrong = "json: JSON is malformed: invalid character (byte 12)"
        self.assertEqual(unreadable("gate", Seq(4712), wrong), shape("unread letter"))

    def test_lists_every_command(self) -> None:
        """In the tables stand those that there are, and no others."""
        self.assertEqual(sorted(messages.METHODS), sorted(name.strip("`") for name, _ in rows("commands")))

    def test_lists_every_code(self) -> None:
        """With the very words that clients get."""
        known = list(vars(codes).values())
        errors = {(str(one.code), one.message, one.temporary) for one in known if isinstance(one, ErrorCode)}
        shown = {(code, message, again == "yes") for code, message, again, _ in rows("errors")}
        self.assertEqual(errors, {one for one in shown if one[0] != str(codes.FAILED)})
        self.assertIn(str(codes.FAILED), {one[0] for one in shown})
        for kind, table in ((Disconnect, "disconnects"), (Unsubscribe, "unsubscribes")):
            there = sorted((str(one.code), one.reason) for one in known if isinstance(one, kind))
            self.assertEqual(there, sorted((code, reason) for code, reason, _ in rows(table)))

    def test_names_the_channels_and_roles(self) -> None:
        """Every namespace of the gateway's own, and every role that a token may name."""
        named = set(re.findall(r"^\| `([a-z]+)[:`]", GUIDE, re.MULTILINE))
        self.assertLessEqual({*OWN, "frappe"}, named)
        [roles] = re.findall(r"^\| `meta.role` \|(.*)\|", GUIDE, re.MULTILINE)
        self.assertEqual(set(get_args(Role)), set(re.findall(r"`(\w+)`", roles)))

    def test_names_operations_that_there_are(self) -> None:
        """By the names that a call is made with."""
        section = GUIDE[GUIDE.index("## Asking and answering") : GUIDE.index("### Events in, and the ERP")]
        named = set(re.findall(r"`([a-z]+(?:\.[a-z]+)?)`", section)) - {"rpc"}
        there = {str(kind.__struct_config__.tag) for kind in Request.__subclasses__()}
        self.assertLessEqual(named, there)
        for kind in (ListEvents, RetryDeadLetters, ShowStatus):
            self.assertIn(str(kind.__struct_config__.tag), named)

    def test_names_the_calls_beside_them(self) -> None:
        """With the fields of their data."""
        section = GUIDE[GUIDE.index("### Events in, and the ERP") : GUIDE.index("### Channels of your own")]
        for call, kind in (("events.append", AppendEvents), ("erp.get", AskErp)):
            (row,) = [line for line in section.splitlines() if line.startswith(f"| `{call}` ")]
            for field in kind.__struct_fields__:
                self.assertIn(f"`{field}`", row)

    def test_names_the_calls_that_wait(self) -> None:
        """With the fields of their requests, and of their answers."""
        section = GUIDE[GUIDE.index("### Commands to devices") : GUIDE.index("### Channels of your own")]
        for kind in (ListDevices, CommandDevice, ListDeviceCommands, CallErp):
            (row,) = [
                line for line in section.splitlines() if line.startswith(f"| `{kind.__struct_config__.tag}` ")
            ]
            for field in kind.__struct_fields__:
                self.assertIn(f"`{field}`", row)
        self.assertIn(f"{Limits().beside} of these may be under way", section)

    def test_every_configuration_works(self) -> None:
        """Each piece beside what it needs."""
        fences = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
        self.assertEqual(4, len(fences))
        first, *others = fences
        for fence in others:
            needed = first.replace("[live]\n", "") if "[live]" in fence else first
            path = Path("lineside.toml")
            path.write_text(REST + needed + fence, encoding="utf-8")
            settings = load(path, {}, secrets=False)
            self.assertIsNotNone(settings.live)
            self.assertEqual([], settings.warnings)

    def test_python_is_python(self) -> None:
        """The examples have no slip of the pen that a parser finds."""
        for fence in re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL):
            ast.parse(fence)
