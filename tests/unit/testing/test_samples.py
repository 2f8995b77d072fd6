"""Values for any format's fields."""

from __future__ import annotations

from itertools import islice
from random import Random

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from lineside.testing.ledger import Line
from lineside.testing.samples import Field, filled, frames_of, recorded, share
from lineside.testing.workload import counts
from lineside.wire.decoding import Kind, typed


class Samples(SynchronousTestCase):
    """Lines of a workload, in other clothes."""

    def made(
        self, fields: list[Field], number: int = 50, device: int = 0, run: str = "00c0ffee"
    ) -> list[dict[str, str]]:
        random = Random(7)
        lines = filled(
            counts(random, run, device), fields, msgspec.json.encode, random, run, (device, 2), "press-1"
        )
        return [msgspec.json.decode(line.payload) for line in islice(lines, number)]

    def test_fields_of_the_workload_keep_their_values(self) -> None:
        """By their name in whatever case; without a list of fields all of them are there."""
        (line,) = self.made([Field("ITEM"), Field("qty", "int")], 1)
        (whole,) = self.made([], 1)
        self.assertEqual((whole["item"], whole["qty"]), (line["ITEM"], line["qty"]))
        self.assertEqual({"kind", "scan_id", "item", "qty"}, whole.keys())

    def test_every_kind_of_value_fits(self) -> None:
        """What has a type or a width gets a value that a source takes for it."""
        kinds: list[Kind | None] = ["int", "decimal", "bool", None]
        fields = [
            Field(f"{kind}-{width}", kind, width, decimal=",") for kind in kinds for width in (1, 2, 3, 9, None)
        ]
        for line in self.made(fields):
            for field in fields:
                text = line[field.name]
                self.assertTrue(text)
                self.assertLessEqual(len(text), field.width or 99)
                if field.kind is not None:
                    self.assertIsNotNone(typed(field.name, text, field.kind, ","))

    def test_keys_do_not_repeat_themselves(self) -> None:
        """Not over devices, and as digits where letters do not fit."""
        for field in (Field("id", key=True), Field("id", "int", key=True), Field("id", width=8, key=True)):
            keys = [line["id"] for device in (0, 1) for line in self.made([field], device=device)]
            self.assertEqual(100, len(set(keys)))
        other = self.made([Field("id", "int", key=True)], run="00c0ffef")
        self.assertFalse(
            {line["id"] for line in other} & {line["id"] for line in self.made([Field("id", "int", key=True)])}
        )

    def test_the_device_says_its_name(self) -> None:
        """In the field that names it."""
        self.assertEqual("press-1", self.made([Field("machine", device=True)], 1)[0]["machine"])


class Recordings(SynchronousTestCase):
    """Frames out of a file."""

    def test_one_message_a_line(self) -> None:
        """Blank lines are none, and the file's line ends belong to no message."""
        self.assertEqual([b"ST,GS,+  1.0kg", b"US"], frames_of(b"ST,GS,+  1.0kg\r\n\n  \nUS"))

    def test_once_or_again_and_again(self) -> None:
        """With ids of their own each time, for the senders' record."""
        frames = [b"a", b"b"]
        self.assertEqual(frames, [line.payload for line in recorded(frames, "r", 0, again=False)])
        lines = list(islice(recorded(frames, "r", 0, again=True), 5))
        self.assertEqual([b"a", b"b", b"a", b"b", b"a"], [line.payload for line in lines])
        self.assertEqual(5, len({line.id for line in lines}))

    def test_shares(self) -> None:
        """All devices together send so many."""
        sent = [len(list(share((Line(str(n), b"x") for n in range(99)), 10, device, 3))) for device in range(3)]
        self.assertEqual([4, 3, 3], sent)
