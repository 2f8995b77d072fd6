"""One authenticated request on its way through the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from lineside.standin.authentication import GUEST
from lineside.standin.documents import Documents
from lineside.standin.errors import FrappeError, guest_may_not, missing_argument, read_only_mode
from lineside.standin.records import Records

T = TypeVar("T")


class Call:
    """Who asks, what was given, and the one way to the documents.

    Args:
        documents: of the site.
        user: who asks.
        arguments: of the request.
        undone: what becomes of this request's transaction instead of a commit.
        read_only: nothing may be changed.

    """

    def __init__(
        self,
        documents: Documents,
        user: str,
        arguments: dict[str, Any],
        *,
        undone: FrappeError | None = None,
        read_only: bool = False,
    ) -> None:
        self.documents = documents
        self.user = user
        self.arguments = arguments
        self.committed = False
        self._undone_by = undone
        self._read_only = read_only

    def given(self, function: str, argument: str) -> object:
        """Return an argument that a function needs.

        Raises:
            FrappeError: TypeError, as Python raises it.

        """
        value = self.arguments.get(argument)
        if value is None:
            raise missing_argument(function, argument)
        return value

    def needed(self, function: str, argument: str) -> str:
        """Return an argument that a function needs as text; see `given`."""
        return str(self.given(function, argument))

    async def read(self, doctype: str, work: Callable[[Records], T]) -> T:
        """Read documents of a DocType.

        Raises:
            FrappeError: guests may not, or the work failed.

        """
        self._admit(doctype, "read")
        return await self.documents.read(work)

    async def write(self, doctype: str, permission: str, work: Callable[[Records], T]) -> T:
        """Change documents of a DocType in one transaction.

        Raises:
            FrappeError: guests may not, nobody may at the moment, the work failed, or it was undone.

        """
        self._admit(doctype, permission)
        if self._read_only:
            raise read_only_mode()
        error = self._undone_by
        result = await self.documents.write(work if error is None else _undone(work, error))
        self.committed = True
        return result

    def _admit(self, doctype: str, permission: str) -> None:
        if self.user == GUEST:
            raise guest_may_not(doctype, permission)


def _undone(work: Callable[[Records], T], error: FrappeError) -> Callable[[Records], T]:
    def undone(records: Records) -> T:
        work(records)
        raise error

    return undone
