"""Lists what was changed in one DocType, in the order of the changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.lookup import GET_LIST
from lineside.edges.frappe.outcomes import Ambiguous, Answered, unanswered
from lineside.edges.frappe.reads import read
from lineside.edges.frappe.reply import to_json
from lineside.edges.frappe.versions import NEEDED, Version, version_of
from lineside.model.outcome import Blocked

PAGE = 1_000
"""Versions that are asked for at a time."""


class Unlisted(Exception):
    """The site did not list what was asked for.

    Args:
        reason: as the site says it.
        remedy: what to do.
        after: seconds after which the site asked to be tried again.
        passing: it is the site that is away, and not the question that is wrong.

    """

    def __init__(
        self,
        reason: str,
        remedy: str = "it is tried again",
        after: float | None = None,
        *,
        passing: bool = False,
    ) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy
        self.after = after
        self.passing = passing


class Row(Struct, frozen=True):
    """A document's fields as the site lists them."""

    version: Version
    body: bytes
    """A JSON object."""


class ChangedRows:
    """Asks one site about one DocType.

    Args:
        client: its user may read the DocType.
        doctype: whose documents.
        fields: what a row has beside `NEEDED`.
        filters: further conditions, as Frappe takes them: ``["status", "=", "Open"]``.

    """

    def __init__(
        self, client: FrappeClient, doctype: str, fields: Sequence[str], filters: Sequence[Sequence[Any]]
    ) -> None:
        self.doctype = doctype
        self._client = client
        self._fields = list(dict.fromkeys([*NEEDED, *fields]))
        self._filters = [list(each) for each in filters]

    async def versions(self, above: str | None, after: Version | None) -> list[Version]:
        """Return the next `PAGE` versions in order, fewer only where there are no more.

        Args:
            above: changed later than this; None for all.
            after: behind this one in the order, where there is a page before.

        Raises:
            Unlisted: the site did not answer so.

        """
        filters = list(self._filters)
        either: list[list[Any]] = []
        if after is not None:
            # Rows of one moment, which a long update gives to thousands, may fill a page and more.
            filters.append(["modified", ">=", after.modified])
            either = [["modified", ">", after.modified], ["name", ">", after.name]]
        elif above is not None:
            filters.append(["modified", ">", above])
        rows = await self._list(list(NEEDED), filters, either, "modified asc, name asc", PAGE)
        return [self._version(row) for row in rows]

    async def whole(self, names: Sequence[str | int]) -> list[Row]:
        """Return these documents as they are now, in the order of their changes; those that are gone are left out.

        Raises:
            Unlisted: the site did not answer so.

        """
        filters = [*self._filters, ["name", "in", list(names)]]
        rows = await self._list(self._fields, filters, [], "modified asc, name asc", 0)
        return [Row(self._version(row), to_json(row)) for row in rows]

    async def newest(self) -> Version | None:
        """Return the last change.

        Raises:
            Unlisted: the site did not answer so.

        """
        rows = await self._list(list(NEEDED), self._filters, [], "modified desc", 1)
        return self._version(rows[0]) if rows else None

    async def _list(
        self,
        fields: list[str],
        filters: list[list[Any]],
        either: list[list[Any]],
        order: str,
        limit: int,
    ) -> list[dict[str, Any]]:
        # A GET with this many names is longer than a request line may be.
        asked = {
            "doctype": self.doctype,
            "fields": fields,
            "filters": filters,
            "order_by": order,
            "limit_page_length": limit,
            **({"or_filters": either} if either else {}),
        }
        verdict = await read(self._client, "POST", GET_LIST, "message", body=to_json(asked))
        match verdict:
            case Answered(value=list(rows)) if all(isinstance(row, dict) for row in rows):
                return rows
            case Ambiguous(code=str(), reason=reason):
                # Frappe itself failed over this question.
                raise Unlisted(reason, "check the poll's fields and filters")
        why = unanswered(verdict, f"let the API user read {self.doctype}, and check the poll's fields and filters")
        if isinstance(why, Blocked):
            raise Unlisted(why.reason, why.remedy)
        raise Unlisted(why.reason, after=why.after, passing=True)

    def _version(self, row: dict[str, Any]) -> Version:
        try:
            return version_of(row, self.doctype)
        except ValueError as wrong:
            raise Unlisted(f"not a row of Frappe: {wrong}") from wrong
