"""Interchanges of orders: read as JSON, held to their own counts, and answered with CONTRL."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from pydifact.exceptions import MissingImplementationWarning
from pydifact.segmentcollection import Interchange as Peer
from pydifact.segments import Segment
from pydifact.serializer import Serializer
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.batch import Batch
from lineside.wire.edifact.form import EdifactForm
from lineside.wire.rows.forms import Surveyed
from lineside.wire.rows.reading import About

ORDER = (Path(__file__).parent / "samples" / "order.edi").read_text(encoding="utf-8").encode("latin-1")
FORM = EdifactForm(100_000, lambda: datetime(2026, 12, 1, 10, 0))  # noqa: DTZ001 (it stands in a receipt)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0xFF, exclude_categories=["Cc"]), min_size=1).map(
    lambda text: text.strip() or "x"
)
CODES = st.text("ABC0123456789-+:'?", min_size=1, max_size=12)


def survey(data: bytes, size: int = 1 << 20, form: EdifactForm = FORM) -> Surveyed:
    looks = form.survey()
    assert looks is not None
    for start in range(0, len(data), size):
        looks.feed(data[start : start + size])
    return looks.end()


def events(data: bytes, size: int = 1 << 20) -> Batch:
    reader = FORM.reader(About("file", "o.edi", "ab"), "acme")
    messages = [m for start in range(0, len(data), size) for m in reader.feed(data[start : start + size])]
    reader.end()
    return reader.batch(messages, 1)


def order(data: bytes) -> Any:
    batch = events(data)
    assert not batch.errors, batch.errors
    return msgspec.json.decode(batch.bodies[0])


def reply(data: bytes) -> list[str]:
    """Return the receipt's segments between UNH and UNT, read by a library that knows nothing of ours."""
    told = survey(data).reply
    assert told is not None
    with catch_warnings():
        # It has no directory of its own to hold the segments against.
        simplefilter("ignore", MissingImplementationWarning)
        (message,) = Peer.from_str(told.decode("latin-1")).get_messages()
    assert message.type == "CONTRL"
    return [Serializer().serialize([segment], with_una_header=False).rstrip("'") for segment in message.segments]


def interchange(*messages: bytes, count: int | None = None) -> bytes:
    """Return an interchange of messages, written here by hand."""
    whole = b"UNB+UNOC:3+A:14+B:14+261130:0915+R1'"
    return whole + b"".join(messages) + b"UNZ+%d+R1'" % (len(messages) if count is None else count)


def message(reference: bytes, *segments: bytes, count: int | None = None) -> bytes:
    body = [b"BGM+220+%b+9" % reference, b"DTM+137:20261130:102", *segments, b"UNS+S"]
    head = b"UNH+%b+ORDERS:D:96A:UN" % reference
    tail = b"UNT+%d+%b" % (len(body) + 2 if count is None else count, reference)
    return b"'".join([head, *body, tail]) + b"'"


LINE = (b"LIN+1++471:EN", b"QTY+21:2:PCE", b"PRI+AAA:1.50")


class OrdersAsJson(SynchronousTestCase):
    """What a route finds in an order."""

    def test_an_order_has_its_number_dates_parties_and_lines(self) -> None:
        """All that a Sales Order needs stands under clear names, numbers digit by digit."""
        found = order(ORDER)
        self.assertEqual({"name": "o.edi", "hash": "ab", "row": 1}, found["file"])
        self.assertEqual(
            ["PO-2026-0815", "2026-11-30", "2026-12-07", "EUR"],
            [found[name] for name in ("number", "document_date", "delivery_date", "currency")],
        )
        self.assertEqual("Bäckerei Groß GmbH", found["parties"]["BY"]["name"])
        self.assertEqual({"VA": "DE123456789"}, found["parties"]["BY"]["references"])
        self.assertEqual("50667", found["parties"]["BY"]["postcode"])
        self.assertEqual("Bitte vor 10 Uhr liefern, Tor 3+4", found["texts"][0]["text"])
        first, second = found["lines"]
        self.assertEqual({"EN": "4000862141404", "SA": "MEHL-405", "BP": "0815"}, first["codes"])
        self.assertEqual((12, "PCE", 18.5, 222.0), tuple(first[n] for n in ("quantity", "unit", "price", "amount")))
        self.assertEqual(
            ("Hefe's Beste", 3.5, 4.2, 1),
            tuple(second[n] for n in ("description", "quantity", "price", "price_basis")),
        )
        self.assertEqual({"79": 236.7}, found["totals"])
        self.assertIn(b'"price":18.50', events(ORDER).bodies[0])

    def test_other_service_characters_mean_the_same(self) -> None:
        """The service string advice says what parts and ends segments."""
        other = b"UNA|*,! ~" + interchange(message(b"M1", *LINE)).translate(bytes.maketrans(b":+'", b"|*~"))
        self.assertEqual(order(interchange(message(b"M1", *LINE))), order(other))

    def test_charsets_are_those_of_the_syntax(self) -> None:
        """UNOC is Latin-1, UNOY UTF-8; UNOA knows no umlaut."""
        party = "NAD+BY+1::9++Müller".encode()
        utf8 = interchange(message(b"M1", party)).replace(b"UNOC", b"UNOY")
        self.assertEqual("Müller", order(utf8)["parties"]["BY"]["name"])
        self.assertEqual(
            {0: "edifact: segment 4: a character that ascii does not know"},
            events(utf8.replace(b"UNOY", b"UNOA")).errors,
        )

    def test_a_released_line_end_is_no_character(self) -> None:
        """In a message it is that message's fault, in the interchange's own segments nothing of it counts."""
        told = events(interchange(message(b"M1", *LINE), message(b"M2", b"FTX+AAI+++two?\nlines")))
        self.assertEqual({1: "edifact: segment 4: a line end behind the release character"}, told.errors)
        refusal = survey(ORDER.replace(b"UNZ+", b"UNZ+?\n")).refusal
        assert refusal is not None
        self.assertIn("UNZ has a line end behind the release character", str(refusal))

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(
            st.tuples(CODES, TEXT, st.decimals(0, 10**9, places=3), st.decimals(0, 10**6, places=2)), max_size=6
        ),
        TEXT,
        st.integers(1, 50),
    )
    def test_what_another_library_writes_is_read_back(
        self, lines: list[tuple[str, str, Decimal, Decimal]], name: str, size: int
    ) -> None:
        """Whatever stands in values, release characters included, and however the bytes are cut."""
        segments = [
            Segment("UNB", ["UNOC", "3"], ["A", "14"], ["B", "14"], ["261130", "0915"], "R1"),
            Segment("UNH", "M1", ["ORDERS", "D", "96A", "UN"]),
            Segment("BGM", "220", "P1", "9"),
            Segment("DTM", ["137", "20261130", "102"]),
            Segment("NAD", "BY", ["1", "", "9"], "", name),
        ]
        for place, (code, text, quantity, price) in enumerate(lines, 1):
            segments += [
                Segment("LIN", str(place), "", [code, "EN"]),
                Segment("IMD", "F", "", ["", "", "", text]),
                Segment("QTY", ["21", str(quantity), "PCE"]),
                Segment("PRI", ["AAA", str(price)]),
            ]
        segments += [Segment("UNS", "S"), Segment("UNT", str(len(segments) + 1), "M1"), Segment("UNZ", "1", "R1")]
        data = Serializer().serialize(segments).encode("latin-1")
        self.assertIsNone(survey(data, size).refusal)
        found = msgspec.json.decode(events(data, size).bodies[0])
        self.assertEqual(name, found["parties"]["BY"]["name"])
        self.assertEqual(
            [(code, text, quantity, price) for code, text, quantity, price in lines],
            [
                (each["item"], each["description"], Decimal(str(each["quantity"])), Decimal(str(each["price"])))
                for each in found["lines"]
            ],
        )

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=300), st.integers(0, 600))
    def test_no_bytes_make_it_fail(self, noise: bytes, at: int) -> None:
        """Noise anywhere in an interchange is refused or read, and never anything else."""
        data = ORDER[:at] + noise + ORDER[at:]
        told = survey(data, 7)
        if told.refusal is None:
            events(data)


class Receipts(SynchronousTestCase):
    """What a partner is told in its own language."""

    def test_a_good_interchange_is_acknowledged(self) -> None:
        """By its reference, to whom sent it."""
        self.assertEqual(["UCI+ACME4711+4012345000009:14+4098765000004:14+7"], reply(ORDER))
        self.assertIsNone(survey(ORDER).refusal)
        self.assertIsNone(survey(ORDER, form=msgspec.structs.replace(FORM, reply=False)).reply)

    def test_a_wrong_message_is_rejected_alone(self) -> None:
        """The others of its interchange are events; the receipt says segment, element and what was wrong."""
        data = interchange(message(b"M1", *LINE), message(b"M2", b"LIN+1", b"QTY+21:two"), message(b"M3"))
        self.assertEqual({1: "edifact: segment 5: a quantity is no number"}, events(data).errors)
        self.assertTrue(events(data).raws[1].startswith(b"UNH+M2"))
        told = reply(data)
        self.assertEqual(["UCI+R1+A:14+B:14+7", "UCM+M2+ORDERS:D:96A:UN+4", "UCS+5", "UCD+37+2:2"], told)

    def test_counts_and_references_of_a_message_must_hold(self) -> None:
        """UNT counts the segments and repeats the reference; only orders of D.96A are taken."""
        wrong = {
            message(b"M1", count=9): "UCM+M1+ORDERS:D:96A:UN+4+29+UNT+2",
            message(b"M1").replace(b"UNT+5+M1", b"UNT+5+M9"): "UCM+M1+ORDERS:D:96A:UN+4+28+UNT+3",
            message(b"M1").replace(b"ORDERS", b"INVOIC"): "UCM+M1+INVOIC:D:96A:UN+4+17+UNH+3",
        }
        for data, told in wrong.items():
            self.assertEqual(["UCI+R1+A:14+B:14+7", told], reply(interchange(data)))
        missing = interchange(message(b"M1").replace(b"DTM+137:20261130:102'", b"").replace(b"UNT+5", b"UNT+4"))
        self.assertEqual(["UCM+M1+ORDERS:D:96A:UN+4", "UCS+4+13"], reply(missing)[1:])

    def test_an_interchange_that_contradicts_itself_is_refused_as_a_whole(self) -> None:
        """None of its messages becomes an event, and the receipt names the segment."""
        whole = interchange(message(b"M1", *LINE))
        wrong = {
            interchange(message(b"M1", *LINE), count=2): "29+UNZ",
            whole.replace(b"UNZ+1+R1", b"UNZ+1+R2"): "28+UNZ",
            whole[:-12]: "13+UNT" if b"UNT" not in whole[:-12] else "18+UNZ",
            whole.replace(b"UNT+8+M1'", b""): "13+UNT",
            interchange(): "32+UNZ",
            whole + whole: "33+UNB",
            whole.replace(b"UNH", b"NAD+BY'UNH", 1): "33+UNH",
        }
        for data, told in wrong.items():
            self.assertEqual([f"UCI+R1+A:14+B:14+4+{told}"], reply(data), data)
            self.assertTrue(str(survey(data).refusal).startswith("edifact: "))

    def test_what_is_no_interchange_has_nobody_to_be_answered(self) -> None:
        """Without a UNB there is no address."""
        for data in (b"", b"no,csv\n1,2\n", b"UNH+1+ORDERS:D:96A:UN'", b"UNA:::: :"):
            told = survey(data)
            self.assertIsNone(told.reply)
            self.assertIsNotNone(told.refusal)

    def test_functional_groups_are_counted(self) -> None:
        """UNE counts messages, UNZ groups."""
        group = b"UNG+ORDERS+A+B+261130:0915+G1+UN+D:96A'" + message(b"M1") + b"UNE+1+G1'"
        good = interchange(group)
        self.assertIsNone(survey(good).refusal)
        self.assertEqual(
            "edifact: UNE says 2 messages, the group has 1", survey(good.replace(b"UNE+1", b"UNE+2")).refusal
        )

    def test_a_message_that_is_too_large_is_not_held(self) -> None:
        """Memory is bounded by the largest message that is allowed."""
        large = interchange(message(b"M1", *[b"FTX+AAI+++" + b"x" * 60_000] * 3))
        self.assertEqual("edifact: message 1 has more than 100000 bytes", survey(large).refusal)
