"""Exercise 3 (open): a report from the database.

``database.runQuery(statement, values)`` is adbapi's: it returns a Deferred of rows. The table is ``scans``, with the
columns ``id``, ``item`` and ``quantity``. Write `Report`, a leaf that answers

    GET /?item=BOLT-M8&limit=2

with CSV: a first line ``id,item,quantity``, then the scans of that item, the newest first (the greatest id), each
line ended by CR LF, ``Content-Type: text/csv; charset=utf-8``.

- Without ``item`` the scans of all items come; without ``limit`` a hundred.
- A limit that is no number, or is below 1 or above 1000, answers 400, and the database is not asked.
- An item may hold anything: quotes, commas, percent signs. It is compared as it is, and written so that a
  spreadsheet reads it back.
- When the database fails it answers 500, and what went wrong is not told to whoever asked.
"""

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET


class Report(Resource):
    """The scans as CSV."""

    isLeaf = True

    def __init__(self, database):
        super().__init__()
        self.database = database

    def render_GET(self, request):
        # TODO
        asked = self.database.runQuery("SELECT id, item, quantity FROM scans", [])

        def send(rows):
            request.write(b"id,item,quantity\r\n")
            request.finish()

        asked.addCallback(send)
        return NOT_DONE_YET
