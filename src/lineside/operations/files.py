"""Partners' files: list, show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from sqlite3 import Connection

from lineside.journal import files
from lineside.journal.files import Fate, Listed
from lineside.model.errors import NotFound
from lineside.model.event import Seq
from lineside.operations.fileresults import FileList, FileName, FileStory, FileSummary, RowFate
from lineside.operations.registry import Operations
from lineside.operations.requests import ListFiles, ShowFile
from lineside.operations.texts import moment
from lineside.store.database import Database

MOST = 500


class FileOperations:
    """What may be asked of partners' files.

    Args:
        database: the journal's.
        floors: by the id of each consumer that takes a source's events, below what nothing is unsettled there.

    """

    def __init__(self, database: Database, floors: Callable[[str], Mapping[str, Seq]]) -> None:
        self._database = database
        self._floors = floors

    def register(self, operations: Operations) -> None:
        """Offer the operations."""
        operations.answer(ListFiles, self.list_files)
        operations.answer(ShowFile, self.show)

    async def list_files(self, request: ListFiles) -> FileList:
        """Return the newest files."""
        limit = max(1, min(request.limit, MOST))

        def read(connection: Connection) -> FileList:
            page = files.page(connection, request.source, request.before, limit)
            waiting = files.counts(connection)
            more = page[-1].file.id if len(page) == limit else None
            return FileList([_summary(each) for each in page], more, waiting.waiting, waiting.waiting_bytes)

        return await self._database.read(read)

    async def show(self, request: ShowFile) -> FileStory:
        """Return one file, and its rows above ``after``.

        Raises:
            NotFound: there is none with this id.

        """
        limit = max(1, min(request.limit, MOST))
        listed = await self._database.read(lambda connection: files.get(connection, request.id))
        if listed is None:
            raise NotFound(f"there is no file {request.id}")
        floors = dict(self._floors(listed.file.source))
        rows = await self._database.read(
            lambda connection: files.fates(connection, request.id, floors, request.after, limit)
        )
        more = rows[-1].row if len(rows) == limit else None
        return FileStory(_summary(listed), [_fate(each) for each in rows], more)


def _summary(listed: Listed) -> FileSummary:
    file = listed.file
    return FileSummary(
        id=file.id,
        source=file.source,
        sender=file.sender,
        names=[FileName(name, answered) for name, answered in listed.names],
        taken=moment(file.taken_ns),
        state=file.state,
        size=file.size,
        digest=file.digest,
        rows=file.rows,
        bad=file.bad,
        reason=file.reason,
    )


def _fate(fate: Fate) -> RowFate:
    return RowFate(fate.row, fate.seq, fate.status, list(fate.documents), fate.error)
