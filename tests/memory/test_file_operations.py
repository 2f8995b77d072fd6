"""What may be asked of partners' files."""

from __future__ import annotations

from tests.rig.file_case import FileCase
from twisted.internet.defer import Deferred

from lineside.model.errors import NotFound
from lineside.model.outcome import Delivered
from lineside.operations.fileresults import FileList, FileStory
from lineside.operations.files import FileOperations
from lineside.operations.registry import Operations
from lineside.operations.requests import ListFiles, ShowFile


class Asked(FileCase):
    """Files and their rows."""

    def setUp(self) -> None:
        super().setUp()
        self.operations = FileOperations(self.file.database, lambda _: {"copy": self.consumer.floor})
        self.operations.register(Operations())

    def listed(self, request: ListFiles) -> FileList:
        found: FileList = self.done(self.operations.list_files(request))
        return found

    def shown(self, request: ShowFile) -> FileStory:
        story: FileStory = self.done(self.operations.show(request))
        return story

    def test_files_are_listed_newest_first_page_by_page(self) -> None:
        """With their names, how far they are, and what waits."""
        self.take(b"a,1\nbad\n", "one.csv")
        self.take(b"b,1\n", "two.csv", sender="other")
        page = self.listed(ListFiles(limit=1))
        self.assertEqual([("other", "read", 1, 0)], [(f.sender, f.state, f.rows, f.bad) for f in page.files])
        (last,) = self.listed(ListFiles(limit=1, before=page.next_before)).files
        self.assertEqual(("one.csv", "no", 2, 1), (last.names[0].name, last.names[0].answered, last.rows, last.bad))
        self.assertEqual([], self.listed(ListFiles(source="none")).files)
        self.file.journal.refusal = "full"
        self.take(b"c,1\n", "three.csv")
        waiting = self.listed(ListFiles())
        self.assertEqual((1, 4), (waiting.waiting, waiting.waiting_bytes))
        self.assertEqual("waiting", waiting.files[0].state)

    def test_a_file_is_shown_row_by_row(self) -> None:
        """What is not settled is pending, until it is."""
        self.take(b"a,1\nbad\nskip,1\n")
        (file,) = self.listed(ListFiles()).files
        rows = self.shown(ShowFile(id=file.id)).rows
        self.assertEqual(["pending", "dead-letter", "pending"], [row.status for row in rows])
        self.deliver(lambda record: Delivered(f"DOC-{record.seq}"))
        story = self.shown(ShowFile(id=file.id, limit=2))
        self.assertEqual((["DOC-1"], 2), (story.rows[0].documents, story.next_after))
        (last,) = self.shown(ShowFile(id=file.id, after=2)).rows
        self.assertEqual((3, 3, "skipped"), (last.row, last.seq, last.status))

    def test_an_unknown_file_is_told_so(self) -> None:
        """Rather than an empty one."""
        asked = Deferred.fromCoroutine(self.operations.show(ShowFile(id=7)))
        self.assertEqual("there is no file 7", str(self.failureResultOf(asked, NotFound).value))
