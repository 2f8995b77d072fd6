"""One authenticated request on its way through the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from lineside.standin.authentication import GUEST
from lineside.standin.documents import Documents
from lineside.standin.errors import deadlock, guest_may_not
from lineside.standin.records import Records

T = TypeVar("T")


class Call:
    """Who asks, what was given, and the one way to the documents.

    Args:
        documents: of the site.
        user: who asks.
        arguments: of the request.
        doomed: the transaction of this request will be undone.

    """

    def __init__(self, documents: Documents, user: str, arguments: dict[str, Any], *, doomed: bool = False) -> None:
        self.documents = documents
        self.user = user
        self.arguments = arguments
        self.committed = False
        self._doomed = doomed

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
            FrappeError: guests may not, the work failed, or the transaction was doomed.

        """
        self._admit(doctype, permission)
        result = await self.documents.write(self._undone(work) if self._doomed else work)
        self.committed = True
        return result

    def _admit(self, doctype: str, permission: str) -> None:
        if self.user == GUEST:
            raise guest_may_not(doctype, permission)

    def _undone(self, work: Callable[[Records], T]) -> Callable[[Records], T]:
        def undone(records: Records) -> T:
            work(records)
            raise deadlock()

        return undone
