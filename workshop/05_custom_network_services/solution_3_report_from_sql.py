"""Solution of exercise 3: a report from the database."""

import csv
from io import StringIO

from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

log = Logger()


class Report(Resource):
    """The scans as CSV."""

    isLeaf = True

    def __init__(self, database):
        super().__init__()
        self.database = database

    def render_GET(self, request):
        item = request.args.get(b"item", [None])[0]
        limit = request.args.get(b"limit", [b"100"])[0]
        # isdigit knows no sign and no blank, and int() needs no try behind it.
        if not limit.isdigit() or not 1 <= int(limit) <= 1000:
            request.setResponseCode(400)
            return b"limit is a number from 1 to 1000\n"
        # The statement depends on whether there is an item, never on what it says.
        where, values = ("", []) if item is None else ("WHERE item = ?", [item.decode(errors="replace")])
        statement = f"SELECT id, item, quantity FROM scans {where} ORDER BY id DESC LIMIT ?"
        gone = request.notifyFinish()
        gone.addErrback(lambda failure: None)

        def send(rows):
            text = StringIO()
            csv.writer(text).writerows([("id", "item", "quantity"), *rows])
            request.setHeader("Content-Type", "text/csv; charset=utf-8")
            return text.getvalue().encode()

        def failed(failure):
            log.failure("the report failed", failure)
            request.setResponseCode(500)
            return b"the report could not be made\n"

        def finish(body):
            if not gone.called:
                request.write(body)
                request.finish()

        asked = self.database.runQuery(statement, [*values, int(limit)])
        asked.addCallback(send).addErrback(failed).addCallback(finish)
        return NOT_DONE_YET
