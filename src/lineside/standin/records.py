"""Documents in one transaction: made, read, changed, deleted, listed and counted as Frappe does it.

Everything here runs where its connection lives, never on the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from random import Random
from sqlite3 import Connection, IntegrityError
from typing import Any

import msgspec

from lineside.standin.authentication import GUEST
from lineside.standin.catalogue import Catalogue, changed
from lineside.standin.children import drop_rows, read_rows, replace_rows
from lineside.standin.doctypes import PARENT_FIELDS, STANDARD_FIELDS, DocType
from lineside.standin.drafting import Document, Drafting, copied
from lineside.standin.errors import duplicate_name, not_found, thrown
from lineside.standin.levels import reset_changed, reset_new
from lineside.standin.links import follow_links, hold_links
from lineside.standin.listing import read_count, read_query
from lineside.standin.naming import amended_name, hash_name, is_random, new_name
from lineside.standin.rows import adopt
from lineside.standin.rules import Rules, rules_of
from lineside.standin.settings import Settings
from lineside.standin.submission import DRAFT, SUBMITTED, Action, action, hold_submitted
from lineside.standin.tables import Table, explain, next_in_series
from lineside.standin.validation import hold_stamp, validate
from lineside.standin.values import Value, column_value, shown_value

Row = list[Value]
"""What lies in a document's columns, in their order."""

ALL = "All"
"""The role of everyone who is logged in."""
TRIES = 5
"""So often a random name that is taken is drawn anew."""


class Happening(msgspec.Struct, frozen=True):
    """What happened to a document, and the document as it was then."""

    doctype: str
    events: tuple[str, ...]
    document: Document


class Records:
    """The documents that one connection's transaction sees."""

    def __init__(
        self,
        connection: Connection,
        catalogue: Catalogue,
        now: Callable[[], datetime],
        random: Random,
        settings: Settings,
    ) -> None:
        self.connection = connection
        self.settings = settings
        self._catalogue = catalogue
        self._catalogue.refresh(connection)
        self._now = now
        self._random = random
        self.happenings: list[Happening] = []
        """In order; counts only once the transaction is committed."""

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

    def doctypes(self) -> Iterator[DocType]:
        """Yield every DocType."""
        return (self.doctype(name) for name in self._catalogue.names)

    def insert(self, doctype: str, given: Mapping[str, Any], user: str) -> Document:
        """Make a document of the fields that its DocType has; others are dropped. ``docstatus`` 1 submits it.

        Raises:
            FrappeError: as Frappe would refuse it. Nothing of it is stored then.

        """
        _hold_definitions(doctype)
        return self.install(doctype, given, user)

    def install(self, doctype: str, given: Mapping[str, Any], user: str) -> Document:
        """Make a document that a site begins with: `insert`, but for DocTypes too."""
        table = self.table(doctype)
        kind = table.doctype
        now = self._now()
        drafting = Drafting(kind, self._children(kind), user, now, self._draw_name)
        rules = rules_of(doctype)
        document = drafting.new(rules.received(self, given))
        done = action(kind, DRAFT, document["docstatus"])
        rules.before_insert(self, document)
        follow_links(self, kind, document)
        self._name(kind, document, now)
        reset_new(kind, document, user, lambda: self.roles(user), now)
        self._validate(kind, document)
        self._store_new(table, document)
        self._store_rows(kind, document)
        rules.stored(self, document)
        self.happened(document, "after_insert", "on_update")
        if done == "submit":
            rules.submitted(self, document)
            self.happened(document, "on_submit")
        for field in kind.tables:
            for row in document[field.fieldname]:
                row["__unsaved"] = 1
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
        for field in table.doctype.tables:
            child = self.table(field.options or "")
            document[field.fieldname] = read_rows(self.connection, child, doctype, document["name"], field)
        return document

    def copy(self, doctype: str, name: str) -> Document:
        """Return what a copy of a document would be given: without its name, its state and fields not copied.

        Raises:
            FrappeError: there is none of this name.

        """
        kind = self.doctype(doctype)
        return copied(kind, self._children(kind), self.get(doctype, name))

    def exists(self, doctype: str, name: str) -> bool:
        """Return whether there is a document of this name."""
        found = self.connection.execute(self.table(doctype).look_up(()), (name.strip(" "),)).fetchone()
        return found is not None

    def update(
        self, doctype: str, name: str, given: Mapping[str, Any], user: str, *, whole: bool = False
    ) -> Document:
        """Change the fields given, and return the whole document; `docstatus` submits and cancels.

        Args:
            doctype: of the document.
            name: of the document.
            given: its fields; rows given for a child table replace all its rows.
            user: who changes it.
            whole: a field that is not given becomes empty, and ``modified`` must be that of the stored document.

        Raises:
            FrappeError: there is none, it was changed since the ``modified`` given, or Frappe refuses it.

        """
        _hold_definitions(doctype)
        table = self.table(doctype)
        kind = table.doctype
        before = self.get(doctype, name)
        hold_stamp(before, given, whole=whole)
        children = self._children(kind)
        now = self._now()
        drafting = Drafting(kind, children, user, now, self._draw_name)
        document = drafting.changed(before, given, whole=whole)
        reset_changed(kind, children, before, document, user, lambda: self.roles(user), now)
        done = action(kind, before["docstatus"], document["docstatus"])
        rules = rules_of(doctype)
        if done == "cancel":
            hold_links(self, document, cancelling=True)
        else:
            follow_links(self, kind, document)
            if done == "update_after_submit":
                hold_submitted(kind, children, before, document)
            self._validate(kind, document)
        row = self._row(kind, document)
        try:
            self.connection.execute(table.update, (*row, before["name"]))
        except IntegrityError as conflict:
            raise explain(conflict, kind, document) from conflict
        self._store_rows(kind, document)
        self._saved(rules, document, done)
        return document

    def delete(self, doctype: str, name: str) -> None:
        """Delete a document.

        Raises:
            FrappeError: there is none of this name, it is submitted, or others link to it.

        """
        _hold_definitions(doctype)
        document = self.get(doctype, name)
        if document["docstatus"] == SUBMITTED:
            raise thrown(
                "ValidationError",
                f"{doctype} {document['name']}: Submitted Record cannot be deleted. You must Cancel it first.",
            )
        hold_links(self, document)
        self.happened(document, "on_trash")
        self.connection.execute(self.table(doctype).delete, (document["name"],))
        for field in self.doctype(doctype).tables:
            drop_rows(self.connection, self.table(field.options or ""), doctype, document["name"], field)
        rules_of(doctype).deleted(self, document)

    def roles(self, user: str) -> frozenset[str]:
        """Return the roles that a User has, and those that Frappe gives by itself."""
        if user == GUEST:
            return frozenset({GUEST})
        found = self.connection.execute(
            'SELECT "role" FROM "tabHas Role" WHERE "parent" = ? AND "parenttype" = ?', (user, "User")
        )
        return frozenset(role for (role,) in found) | {ALL, GUEST}

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

    def happened(self, document: Document, *events: str) -> None:
        """Note what happened to a document, for whoever is told of it after the commit."""
        if self._catalogue.is_watched(self.connection, document["doctype"]):
            self.happenings.append(Happening(document["doctype"], events, msgspec.to_builtins(document)))

    def _saved(self, rules: Rules, document: Document, done: Action) -> None:
        rules.stored(self, document)
        match done:
            case "save":
                self.happened(document, "on_update", "on_change")
            case "submit":
                rules.submitted(self, document)
                self.happened(document, "on_update", "on_submit", "on_change")
            case "cancel":
                rules.cancelled(self, document)
                self.happened(document, "on_cancel", "on_change")
            case "update_after_submit":
                # Frappe 15 never tells of on_update_after_submit itself (contract, section 5).
                self.happened(document, "on_change")

    def _children(self, kind: DocType) -> dict[str, DocType]:
        return {field.fieldname: self.doctype(field.options or "") for field in kind.tables}

    def _draw_name(self) -> str:
        return hash_name(self._random)

    def _store_rows(self, kind: DocType, document: Document) -> None:
        for field in kind.tables:
            replace_rows(self.connection, self.table(field.options or ""), document, field)

    def _name(self, kind: DocType, document: Document, now: datetime) -> None:
        def count(prefix: str) -> int:
            return next_in_series(self.connection, prefix)

        amended = document.get("amended_from")
        if amended:
            original = self.get(kind.name, str(amended))
            name = amended_name(original["name"], itself_amended=bool(original["amended_from"]))
        else:
            name = new_name(kind, document, count, now, self._draw_name)
        document["name"] = name
        source, colon, fieldname = kind.autoname.partition(":")
        if source == "field" and colon:
            document[fieldname] = name
        for field in kind.tables:
            document[field.fieldname] = adopt(document, document[field.fieldname])

    def _validate(self, kind: DocType, document: Document) -> None:
        rules_of(kind.name).validate(self, document)
        validate(kind, self._children(kind), document)

    def _row(self, kind: DocType, document: Document) -> Row:
        row: Row = [document[field.fieldname] for field in STANDARD_FIELDS]
        row += [column_value(field, document[field.fieldname], kind.name) for field in kind.own_columns]
        if kind.istable:
            row += [document[field.fieldname] for field in PARENT_FIELDS]
        return row

    def _store_new(self, table: Table, document: Document) -> None:
        row = self._row(table.doctype, document)
        for _ in range(TRIES):
            try:
                self.connection.execute(table.insert, row)
                return
            except IntegrityError as conflict:
                explained = explain(conflict, table.doctype, document)
                if not is_random(table.doctype):
                    # MariaDB looks at the name first, SQLite at any index.
                    name = document["name"]
                    taken = self.exists(table.doctype.name, name)
                    raise (duplicate_name(table.doctype.name, name) if taken else explained) from conflict
                if explained.exc_type != "DuplicateEntryError":
                    raise explained from conflict
                document["name"] = row[0] = hash_name(self._random)
        raise duplicate_name(table.doctype.name, document["name"])


def _hold_definitions(doctype: str) -> None:
    if doctype == "DocType":
        raise thrown("PermissionError", "The stand-in's DocTypes are files: one is added there")
