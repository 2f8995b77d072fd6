"""The SQLite tables of DocTypes: one each, named as in Frappe, grown as fields are added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sqlite3 import Connection, IntegrityError

from lineside.standin.doctypes import INTEGER_TYPES, PARENT_FIELDS, DocType, Field
from lineside.standin.errors import FrappeError, duplicate_name, duplicate_value, thrown
from lineside.standin.filters import column, quoted
from lineside.store.migrations import Component

COMPONENT = Component(
    "standin",
    (
        (
            "CREATE TABLE series (prefix TEXT PRIMARY KEY, current INTEGER NOT NULL) WITHOUT ROWID",
            # Names the present state of all definitions; another one with every change, never used again.
            "CREATE TABLE definitions (state TEXT NOT NULL)",
            "INSERT INTO definitions (state) VALUES ('new')",
        ),
        (
            "CREATE TABLE passwords (user TEXT PRIMARY KEY COLLATE NOCASE, salt BLOB, digest BLOB)",
            "CREATE TABLE file_content (url TEXT PRIMARY KEY, content BLOB NOT NULL)",
        ),
    ),
)
"""What every file has beside the DocTypes' tables."""


class Table:
    """A DocType's table and the statements on it, put together once."""

    def __init__(self, doctype: DocType) -> None:
        self.doctype = doctype
        self.name = quoted(f"tab{doctype.name}")
        self.is_named = f"{column(doctype.by_name['name'])} = ?"
        self.names = tuple(field.fieldname for field in doctype.columns)
        columns = ", ".join(quoted(name) for name in self.names)
        self.insert = f"INSERT INTO {self.name} ({columns}) VALUES ({', '.join('?' * len(self.names))})"
        self.select = f"SELECT {columns} FROM {self.name} WHERE {self.is_named}"
        changes = ", ".join(f"{quoted(name)} = ?" for name in self.names)
        self.update = f"UPDATE {self.name} SET {changes} WHERE {self.is_named}"
        self.delete = f"DELETE FROM {self.name} WHERE {self.is_named}"
        # Of a child DocType: the rows of one parent.
        of_parent = f'{column(PARENT_FIELDS[0])} = ? AND "parenttype" = ? AND "parentfield" = ?'
        self.rows = f'SELECT {columns} FROM {self.name} WHERE {of_parent} ORDER BY "idx"'
        self.drop_rows = f"DELETE FROM {self.name} WHERE {of_parent}"

    def look_up(self, fieldnames: Iterable[str]) -> str:
        """Return the statement that reads some fields of one document, its name first."""
        columns = ", ".join(quoted(name) for name in ("name", *fieldnames))
        return f"SELECT {columns} FROM {self.name} WHERE {self.is_named}"


def synchronise(connection: Connection, table: Table) -> None:
    """Give a DocType's table the columns and indexes it should have. Columns are never removed.

    Raises:
        FrappeError: a field cannot be unique, because documents share a value.

    """
    doctype = table.doctype
    present = {row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")}
    if not present:
        columns = ", ".join(_declared(field) for field in doctype.columns)
        connection.execute(f"CREATE TABLE {table.name} ({columns})")
    else:
        for field in doctype.columns:
            if field.fieldname not in present:
                connection.execute(f"ALTER TABLE {table.name} ADD COLUMN {_declared(field)}")
    _index(connection, table)


def explain(conflict: IntegrityError, doctype: DocType, row: Mapping[str, object]) -> FrappeError:
    """Return what Frappe raises when a row breaks one of the unique indexes made here."""
    name = str(row["name"])
    for field in doctype.unique:
        if doctype.autoname != f"field:{field.fieldname}" and f"'{_unique_index(doctype, field)}'" in str(conflict):
            return duplicate_value(doctype.name, name, field.fieldname, field.title, row[field.fieldname])
    return duplicate_name(doctype.name, name)


def next_in_series(connection: Connection, prefix: str) -> int:
    """Count a naming series up and return its new value."""
    (current,) = connection.execute(
        "INSERT INTO series (prefix, current) VALUES (?, 1) "
        "ON CONFLICT (prefix) DO UPDATE SET current = current + 1 RETURNING current",
        (prefix,),
    ).fetchone()
    return int(current)


def _declared(field: Field) -> str:
    if field.is_number:
        kind = "INTEGER" if field.fieldtype in INTEGER_TYPES else "REAL"
        return f"{quoted(field.fieldname)} {kind} NOT NULL DEFAULT 0"
    return f"{quoted(field.fieldname)} TEXT{' NOT NULL' if field.fieldname == 'name' else ''}"


def _index(connection: Connection, table: Table) -> None:
    doctype = table.doctype
    wanted = {_unique_index(doctype, field): field for field in (doctype.by_name["name"], *doctype.unique)}
    present = {
        row[1]
        for row in connection.execute(f"PRAGMA index_list({table.name})")
        if row[1].startswith(_unique_index(doctype, None))
    }
    for name in present - wanted.keys():
        connection.execute(f"DROP INDEX {quoted(name)}")
    for name in wanted.keys() - present:
        field = wanted[name]
        try:
            connection.execute(f"CREATE UNIQUE INDEX {quoted(name)} ON {table.name} ({column(field)})")
        except IntegrityError as conflict:
            raise thrown(
                "ValidationError",
                f"Field '{field.title}' cannot be set as Unique as it has non-unique values",
            ) from conflict
    of_parent = (("parent",),) if doctype.istable else ()
    for names in (("modified",), *of_parent, *doctype.indexes):
        columns = ", ".join(column(doctype.by_name[name]) for name in names)
        index = quoted(f"by:{doctype.name}:{','.join(names)}")
        connection.execute(f"CREATE INDEX IF NOT EXISTS {index} ON {table.name} ({columns})")


def _unique_index(doctype: DocType, field: Field | None) -> str:
    return f"unique:{doctype.name}:{field.fieldname if field else ''}"
