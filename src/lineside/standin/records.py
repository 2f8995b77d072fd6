"""Documents in one transaction: made, read, changed, deleted, listed and counted as Frappe does it.

Everything here runs where its connection lives, never on the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from sqlite3 import Connection, IntegrityError
from typing import Any

from lineside.standin.catalogue import Catalogue, changed
from lineside.standin.doctypes import STANDARD_FIELDS, DocType
from lineside.standin.errors import (
    bad_value,
    duplicate_name,
    mandatory,
    not_found,
    thrown,
)
from lineside.standin.listing import read_count, read_query
from lineside.standin.naming import hash_name, is_random, new_name
from lineside.standin.rules import rules_of
from lineside.standin.tables import Table, explain, next_in_series
from lineside.standin.values import (
    Value,
    cast,
    check,
    column_value,
    default_value,
    shown_value,
    stamp_text,
    time_text,
)

Document = dict[str, Any]
"""A document's fields in the order of its DocType, then ``doctype``; None where a field is empty."""

Row = list[Value]
"""What lies in a document's columns, in their order."""

TRIES = 5
"""So often a random name that is taken is drawn anew."""


class Records:
    """The documents that one connection's transaction sees."""

    def __init__(
        self, connection: Connection, catalogue: Catalogue, now: Callable[[], datetime], random: Random
    ) -> None:
        self.connection = connection
        self._catalogue = catalogue
        self._catalogue.refresh(connection)
        self._now = now
        self._random = random

    def doctype(self, name: str) -> DocType:
        """Return a DocType with its custom fields.

        Raises:
            FrappeError: there is none of this name.

        """
        return self.table(name).doctype

    def table(self, doctype: str) -> Table:
        """Return a DocType's table.

        Raises:
            FrappeError: there is none of this name.

        """
        return self._catalogue.table(self.connection, doctype)

    def definitions_changed(self) -> None:
        """Note in the transaction that DocTypes are different from now on."""
        changed(self.connection)
        self._catalogue.refresh(self.connection)

    def insert(self, doctype: str, given: Mapping[str, Any], user: str) -> Document:
        """Make a document of the fields that its DocType has; others are dropped.

        Raises:
            FrappeError: as Frappe would refuse it. Nothing of it is stored then.

        """
        _hold_definitions(doctype)
        return self.install(doctype, given, user)

    def install(self, doctype: str, given: Mapping[str, Any], user: str) -> Document:
        """Make a document that a site begins with: `insert`, but for DocTypes too."""
        table = self.table(doctype)
        now = self._now()
        document = self._made(table.doctype, given, user, now)
        rules = rules_of(doctype)
        rules.before_insert(self, document)
        self._follow_links(table.doctype, document)
        self._name(table.doctype, document, now)
        self._validate(table.doctype, document)
        self._store_new(table, document)
        rules.stored(self, document)
        return document

    def get(self, doctype: str, name: str) -> Document:
        """Return a document.

        Raises:
            FrappeError: there is none of this name.

        """
        table = self.table(doctype)
        row = self.connection.execute(table.select, (name.strip(" "),)).fetchone()
        if row is None:
            raise not_found(doctype, name)
        document: Document = {
            field.fieldname: shown_value(field, value)
            for field, value in zip(table.doctype.columns, row, strict=True)
        }
        document["doctype"] = doctype
        if doctype == "DocType":
            document |= self.doctype(str(row[0])).described()
        return document

    def exists(self, doctype: str, name: str) -> bool:
        """Return whether there is a document of this name."""
        found = self.connection.execute(self.table(doctype).look_up(()), (name.strip(" "),)).fetchone()
        return found is not None

    def update(self, doctype: str, name: str, given: Mapping[str, Any], user: str) -> Document:
        """Change the fields given, and return the whole document.

        Raises:
            FrappeError: there is none, it was changed since the ``modified`` given, or Frappe refuses it.

        """
        _hold_definitions(doctype)
        table = self.table(doctype)
        kind = table.doctype
        before = self.get(doctype, name)
        _hold_stamp(before, given)
        document = {**before, **self._known(kind, given)}
        document |= {"modified": stamp_text(self._now()), "modified_by": user}
        self._follow_links(kind, document)
        self._validate(kind, document)
        row = self._row(kind, document)
        try:
            self.connection.execute(table.update, (*row, before["name"]))
        except IntegrityError as conflict:
            raise explain(conflict, kind, document) from conflict
        rules_of(doctype).stored(self, document)
        return document

    def delete(self, doctype: str, name: str) -> None:
        """Delete a document.

        Raises:
            FrappeError: there is none of this name.

        """
        _hold_definitions(doctype)
        document = self.get(doctype, name)
        self.connection.execute(self.table(doctype).delete, (document["name"],))
        rules_of(doctype).deleted(self, document)

    def list(self, doctype: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return rows by the arguments of ``frappe.client.get_list``; see `read_query`.

        Raises:
            FrappeError: an argument is malformed or names a field that does not exist.

        """
        query = read_query(self.doctype(doctype), asked)
        return [
            {
                shown.alias: shown_value(shown.field, value) if shown.field else value
                for shown, value in zip(query.shown, row, strict=True)
            }
            for row in self.connection.execute(query.statement.sql, query.statement.values)
        ]

    def count(self, doctype: str, asked: Mapping[str, Any]) -> int:
        """Return how many documents ``filters`` and ``or_filters`` let through.

        Raises:
            FrappeError: as `list`.

        """
        statement = read_count(self.doctype(doctype), asked)
        (number,) = self.connection.execute(statement.sql, statement.values).fetchone()
        return int(number)

    def _made(self, kind: DocType, given: Mapping[str, Any], user: str, now: datetime) -> Document:
        stamp = stamp_text(now)
        document: Document = {
            "name": given.get("name"),
            "owner": user,
            "creation": stamp,
            "modified": stamp,
            "modified_by": user,
            "docstatus": 0,
            "idx": 0,
        }
        for field in kind.own_columns:
            value = given.get(field.fieldname)
            document[field.fieldname] = default_value(field, now) if value is None else cast(field, value)
        document["doctype"] = kind.name
        return document

    def _known(self, kind: DocType, given: Mapping[str, Any]) -> Document:
        return {
            field.fieldname: cast(field, given[field.fieldname])
            for field in kind.own_columns
            if field.fieldname in given
        }

    def _name(self, kind: DocType, document: Document, now: datetime) -> None:
        def count(prefix: str) -> int:
            return next_in_series(self.connection, prefix)

        document["name"] = name = new_name(kind, document, count, now, lambda: hash_name(self._random))
        source, colon, fieldname = kind.autoname.partition(":")
        if source == "field" and colon:
            document[fieldname] = name

    def _follow_links(self, kind: DocType, document: Document) -> None:
        """Take linked documents' names as they are spelt there, and the fields fetched from them."""
        missing = []
        for link in kind.links:
            value = document.get(link.fieldname)
            if not value or not link.options:
                continue
            fetched = kind.fetched.get(link.fieldname, {})
            row = self.connection.execute(
                self.table(link.options).look_up(fetched.values()), (str(value).strip(" "),)
            ).fetchone()
            if row is None:
                missing.append(f"{link.title}: {value}")
            else:
                document |= zip((link.fieldname, *fetched), row, strict=True)
        if missing:
            raise thrown("LinkValidationError", f"Could not find {', '.join(missing)}")

    def _validate(self, kind: DocType, document: Document) -> None:
        rules_of(kind.name).validate(self, document)
        where = f"{kind.name} {document['name']}"
        missing = [
            (field.fieldname, field.title)
            for field in kind.mandatory
            if document.get(field.fieldname) in {None, ""} and not field.is_number
        ]
        if missing:
            raise mandatory(kind.name, document["name"], missing)
        for field in kind.own_columns:
            check(field, document[field.fieldname], where)

    def _row(self, kind: DocType, document: Document) -> Row:
        row: Row = [document[field.fieldname] for field in STANDARD_FIELDS]
        row += [column_value(field, document[field.fieldname], kind.name) for field in kind.own_columns]
        return row

    def _store_new(self, table: Table, document: Document) -> None:
        row = self._row(table.doctype, document)
        for _ in range(TRIES):
            try:
                self.connection.execute(table.insert, row)
                return
            except IntegrityError as conflict:
                explained = explain(conflict, table.doctype, document)
                if explained.exc_type != "DuplicateEntryError" or not is_random(table.doctype):
                    raise explained from conflict
                document["name"] = row[0] = hash_name(self._random)
        raise duplicate_name(table.doctype.name, document["name"])


def without_nulls(document: Document) -> Document:
    """Return a document as the REST resources show it: empty fields are left out."""
    return {name: value for name, value in document.items() if value is not None}


def _hold_definitions(doctype: str) -> None:
    if doctype == "DocType":
        raise thrown("PermissionError", "The stand-in's DocTypes are files: one is added there")


def _hold_stamp(before: Document, given: Mapping[str, Any]) -> None:
    told = given.get("modified")
    if told is None:
        return
    if time_text("Datetime", str(told)) is None:
        raise bad_value("datetime", told, before["doctype"], "modified")
    if time_text("Datetime", str(told)) != time_text("Datetime", before["modified"]):
        raise thrown(
            "TimestampMismatchError",
            "Error: Document has been modified after you have opened it "
            f"({before['modified']}, {told}). Please refresh to get the latest document.",
        )
