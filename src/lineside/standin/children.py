"""The rows of child tables in the database: read in order, stored all together."""

from __future__ import annotations

from collections.abc import Mapping
from sqlite3 import Connection
from typing import Any

from lineside.standin.doctypes import Field
from lineside.standin.rows import Row
from lineside.standin.tables import Table
from lineside.standin.values import column_value, shown_value


def read_rows(connection: Connection, table: Table, parenttype: str, parent: str, field: Field) -> list[Row]:
    """Return the stored rows of one table of one document, in order."""
    found = connection.execute(table.rows, (parent, parenttype, field.fieldname))
    return [
        {
            **{
                column.fieldname: shown_value(column, value)
                for column, value in zip(table.doctype.columns, row, strict=True)
            },
            "doctype": table.doctype.name,
        }
        for row in found
    ]


def replace_rows(connection: Connection, table: Table, parent: Mapping[str, Any], field: Field) -> None:
    """Store a document's rows of one table in the place of those that lie there.

    Raises:
        FrappeError: a column does not take a value.

    """
    drop_rows(connection, table, str(parent["doctype"]), str(parent["name"]), field)
    kind = table.doctype
    connection.executemany(
        table.insert,
        [
            [column_value(column, row[column.fieldname], kind.name) for column in kind.columns]
            for row in parent[field.fieldname]
        ],
    )


def drop_rows(connection: Connection, table: Table, parenttype: str, parent: str, field: Field) -> None:
    """Delete all rows of one table of one document."""
    connection.execute(table.drop_rows, (parent, parenttype, field.fieldname))
