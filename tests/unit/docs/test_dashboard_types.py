"""The dashboard's types are those of the operations' answers."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from lineside.operations import fileresults, results, taskresults

TYPES = Path(__file__).parents[3] / "frontend/src/types.ts"
INTERFACE = re.compile(r"^export interface (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
ANSWERS = {**vars(results), **vars(fileresults), **vars(taskresults)}
MEMBER = re.compile(r"^  (\w+)\??: (.*);$", re.MULTILINE)


class Types(SynchronousTestCase):
    """What the page expects of an answer, against what is answered."""

    def test_have_the_members_of_the_answers(self) -> None:
        """Every interface has the fields of the Python type of its name, and may be null where that may be None."""
        found = INTERFACE.findall(TYPES.read_text(encoding="utf-8"))
        self.assertGreater(len(found), 20)
        for name, body in found:
            with self.subTest(name):
                answer = ANSWERS[name]
                expected = {
                    field.name: _may_be_none(field.type)
                    for field in msgspec.inspect.type_info(answer).fields  # type: ignore[attr-defined]
                }
                told = {member: kind.endswith("| null") for member, kind in MEMBER.findall(body)}
                self.assertEqual(told, expected)


def _may_be_none(kind: msgspec.inspect.Type) -> bool:
    return isinstance(kind, msgspec.inspect.UnionType) and kind.includes_none
