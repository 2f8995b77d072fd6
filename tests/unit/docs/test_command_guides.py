"""The guides to commands and calls say what the program does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.edges.http.site import NO_ANSWER
from lineside.operations.commandlog import KEPT, KEPT_NS
from lineside.operations.requests import CallErp, CommandDevice
from lineside.operations.results import CalledErp, CommandAnswer, CommandState
from lineside.wire.commands import LONGEST, parse_command, parse_reply

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
DEVICES = (
    (GUIDES / "devices.md")
    .read_text(encoding="utf-8")
    .split("\n(commands)=\n")[1]
    .split("\n## Devices that are d")[0]
)
HTTP = (GUIDES / "http-api.md").read_text(encoding="utf-8")
CALLS = HTTP.split("\n(erp-calls)=\n")[1].split("\n(device-commands)=\n")[0]
COMMANDS = HTTP.split("\n(device-commands)=\n")[1]
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


def fences(text: str, kind: str) -> list[str]:
    """Return the fenced blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def body(curl: str) -> bytes:
    """Return the JSON that an example sends."""
    (sent,) = re.findall(r"-d '(.*)'", curl)
    return str(sent).encode()


class Guides(SynchronousTestCase):
    """`devices.md` and `http-api.md`."""

    def test_every_state_is_explained(self) -> None:
        """In the table, each once."""
        found = re.search(r"<!-- table: states -->\n(.*?)<!-- end -->", DEVICES, re.DOTALL)
        assert found is not None
        states = re.findall(r"^\| `(\w+)` \|", found[1], re.MULTILINE)
        self.assertEqual(sorted(get_args(CommandState)), sorted(states))

    def test_the_sample_is_a_command_and_its_reply(self) -> None:
        """Letter by letter."""
        (sample,) = fences(DEVICES, "text")
        heard = [parse_command(line[2:].encode()) for line in sample.splitlines() if line.startswith("< CMD")]
        said = [parse_reply(line[2:].encode()) for line in sample.splitlines() if line.startswith("> RES")]
        commands = [each[0] for each in heard if each is not None]
        replies = [(each.id, each.error) for each in said if each is not None]
        self.assertEqual(replies, [(commands[0], False), (commands[1], True)])

    def test_the_configurations_work(self) -> None:
        """Together, without a warning."""
        path = Path("lineside.toml")
        text = REST + "".join(fences(DEVICES, "toml") + fences(CALLS, "toml"))
        path.write_text(text, encoding="utf-8")
        settings = load(path, {}, secrets=False)
        self.assertEqual([], settings.warnings)
        self.assertIsNotNone(settings.lines["scale"].commands)
        self.assertEqual(["close_shift"], list(settings.calls))

    def test_numbers_are_those_of_the_program(self) -> None:
        """What is kept, and how long a command may be."""
        self.assertIn(f"newest {KEPT:,} of {KEPT_NS // 86_400_000_000_000} days", DEVICES)
        self.assertIn("at most 16,500 bytes", DEVICES)
        self.assertLess(LONGEST + len("CMD  ") + 64, 16_500)

    def test_examples_are_requests_and_answers(self) -> None:
        """Each body is one that is taken, each answer one that is given."""
        msgspec.convert({**json.loads(body(fences(COMMANDS, "sh")[0])), "device": "scale-1"}, CommandDevice)
        answer = msgspec.json.decode(fences(COMMANDS, "json")[0], type=CommandAnswer)
        self.assertEqual(answer.state, "answered")
        msgspec.convert({"params": json.loads(body(fences(CALLS, "sh")[0])), "name": "close_shift"}, CallErp)
        msgspec.json.decode(fences(CALLS, "json")[0], type=CalledErp)

    def test_statuses_are_those_of_the_program(self) -> None:
        """By the state."""
        rows = dict(re.findall(r"^\| (\d+) \| `(\w+)`", COMMANDS, re.MULTILINE)[::-1])
        for state, status in NO_ANSWER.items():
            self.assertEqual(rows[str(status)], state)
