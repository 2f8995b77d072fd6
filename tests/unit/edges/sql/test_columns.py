"""A document's values, as their columns need them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.sql.columns import Column, Kind, Table, fitted, why_no_document, why_no_id

KOLKATA = ZoneInfo("Asia/Kolkata")


def column(kind: Kind, **facts: Any) -> Column:
    return Column("c", kind, facts.pop("type", kind), **facts)


class Values(SynchronousTestCase):
    """To what a column holds, and never to something else."""

    def test_what_fits(self) -> None:
        """Each with its exact value and type."""
        moment = "2026-03-04T09:00:00Z"
        for kind, value, wanted in (
            ("integer", 7, 7),
            ("integer", 7.0, 7),
            ("integer", "0012", 12),
            ("decimal", 0.1, Decimal("0.1")),
            ("decimal", "12.500", Decimal("12.500")),
            ("float", "1e3", 1000.0),
            ("boolean", True, True),
            ("boolean", 0, False),
            ("text", "10E5", "10E5"),
            ("text", 4711, "4711"),
            ("text", True, "true"),
            ("text", ["a"], '["a"]'),
            ("json", {"a": 1}, '{"a":1}'),
            ("binary", "Ø", "Ø".encode()),
            ("date", "2026-03-04", date(2026, 3, 4)),
            ("date", "2026-03-04T20:00:00Z", date(2026, 3, 5)),
            ("time", "09:12", time(9, 12)),
            ("datetime", moment, datetime(2026, 3, 4, 14, 30)),  # noqa: DTZ001
            ("datetime", "2026-03-04 09:00:00", datetime(2026, 3, 4, 9)),  # noqa: DTZ001
            ("instant", "2026-03-04 14:30:00", datetime(2026, 3, 4, 9, tzinfo=UTC)),
            ("instant", moment, datetime(2026, 3, 4, 9, tzinfo=UTC)),
            ("other", "POINT(1 2)", "POINT(1 2)"),
            ("integer", None, None),
        ):
            got = fitted(column(kind), value, KOLKATA)  # type: ignore[arg-type]
            self.assertEqual((got, type(got)), (wanted, type(wanted)), (kind, value))

    def test_what_does_not_fit_is_refused(self) -> None:
        """With what was expected, and without what came."""
        for kind, value in (
            ("integer", 7.5),
            ("integer", True),
            ("integer", "7x"),
            ("decimal", "heavy"),
            ("decimal", "NaN"),
            ("decimal", True),
            ("boolean", "yes"),
            ("text", "a\0b"),
            ("binary", 1),
            ("date", "yesterday"),
            ("date", 20260304),
            ("time", "2026-03-04"),
            ("time", "09:00+01:00"),
            ("datetime", "soon"),
            ("instant", "0001-01-01T00:00:00+14:00"),
        ):
            with self.assertRaises(ValueError) as refused:
                fitted(column(kind), value, KOLKATA)  # type: ignore[arg-type]
            self.assertNotIn(str(value), str(refused.exception), (kind, value))
        with self.assertRaisesRegex(ValueError, "holds 3 characters, and there are 4"):
            fitted(column("text", length=3), "abcd", KOLKATA)
        with self.assertRaisesRegex(ValueError, "must not be null"):
            fitted(column("text", nullable=False), None, KOLKATA)


class Fitness(SynchronousTestCase):
    """Whether a table can take documents exactly once."""

    def table(self, id_column: Column | None, *, unique: bool = True, transactional: bool = True) -> Table:
        columns = {"code": Column("code", "text", "text", nullable=False)}
        if id_column is not None:
            columns[id_column.name] = id_column
        return Table("weights", columns, frozenset({"lineside_id"} if unique else ()), transactional)

    def why(self, table: Table) -> str:
        unfit = why_no_id(table, "lineside_id", "ADD COLUMN", "ADD INDEX")
        return "" if unfit is None else f"{unfit.reason}; {unfit.remedy}"

    def test_the_id_needs_room_and_an_index(self) -> None:
        """Each with its remedy."""
        good = Column("lineside_id", "text", "varchar(32)", length=32)
        self.assertEqual(self.why(self.table(good)), "")
        self.assertIn("has no column lineside_id", self.why(self.table(None)))
        self.assertIn("ADD COLUMN", self.why(self.table(None)))
        self.assertIn("ADD INDEX", self.why(self.table(good, unique=False)))
        short = Column("lineside_id", "text", "varchar(20)", length=20)
        self.assertIn("holds no delivery id of 32 characters", self.why(self.table(short)))
        self.assertIn("is bigint", self.why(self.table(Column("lineside_id", "integer", "bigint"))))
        self.assertIn("ENGINE=InnoDB", self.why(self.table(good, transactional=False)))

    def test_the_document_needs_its_columns(self) -> None:
        """One that is not there, and one that is missing."""
        table = self.table(Column("lineside_id", "text", "varchar(32)"))
        self.assertIsNone(why_no_document(table, {"code": 1}, "lineside_id"))
        unknown = why_no_document(table, {"cod": 1}, "lineside_id")
        assert unknown is not None
        self.assertIn('did you mean "code"?', unknown.remedy)
        missing = why_no_document(table, {}, "lineside_id")
        assert missing is not None
        self.assertIn("weights.code must have a value", missing.reason)
