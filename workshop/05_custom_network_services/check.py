"""The checks of the exercises of chapter 5."""

import csv
import json
import sqlite3
from io import StringIO

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.server import Site

from lineside.workshop.lessons import Lesson


class Browser:
    """Asks a resource over HTTP, in memory."""

    def __init__(self, resource, path):
        self.connection = Site(resource, reactor=Clock()).buildProtocol(None)
        self.transport = StringTransport()
        self.connection.makeConnection(self.transport)
        self.connection.dataReceived(b"GET %s HTTP/1.0\r\nHost: floor\r\n\r\n" % path.encode())

    @property
    def answered(self):
        """Whether an answer has been finished: the server ends an HTTP/1.0 connection then."""
        return self.transport.disconnecting

    @property
    def status(self):
        return int(self.transport.value().split(b" ")[1]) if self.transport.value() else None

    @property
    def headers(self):
        head = self.transport.value().partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name.lower(): value for name, _colon, value in (line.partition(": ") for line in head)}

    @property
    def body(self):
        return self.transport.value().partition(b"\r\n\r\n")[2]

    def hang_up(self):
        self.connection.connectionLost(Failure(ConnectionLost()))


def parsed(body):
    """Return what JSON says, or the bytes where they are none."""
    try:
        return json.loads(body)
    except ValueError:
        return body


class PagesOfItems(Lesson):
    """Exercise 1."""

    exercise = 1

    def get(self, path):
        items = {"NUT-M8": {"name": "Hex nut M8"}, "BOLT-M8": {"name": "Hex bolt M8 x 40"}}
        browser = Browser(self.learner.root(items), path)
        # What a resource raises is logged by Twisted, and would fail this check without a word to the learner.
        raised = self.flushLoggedErrors()
        self.teach(
            not raised,
            raised and f"GET {path} made your code raise {raised[0].type.__name__}: {raised[0].getErrorMessage()}",
        )
        return browser

    def test_item(self):
        """An item that is known is answered as JSON."""
        browser = self.get("/items/BOLT-M8")
        self.teach(
            browser.status == 200,
            f"GET /items/BOLT-M8 answered {browser.status}. Does getChild find it? path is bytes.",
        )
        self.teach(
            parsed(browser.body) == {"name": "Hex bolt M8 x 40"},
            f"GET /items/BOLT-M8 answered the body {browser.body!r}. getChild hands the item on (TODO 1), render_GET "
            "returns its JSON (TODO 3).",
        )

    def test_content_type(self):
        """The answer says that it is JSON."""
        for path in "/items/BOLT-M8", "/items":
            kind = self.get(path).headers.get("content-type")
            self.teach(
                kind == "application/json",
                f"GET {path} says Content-Type: {kind}. Without request.setHeader Twisted says text/html, and a browser "
                "would run what it finds in there.",
            )

    def test_unknown(self):
        """An item that is not known is 404."""
        for path in "/items/NO-SUCH", "/items/%FF", "/items/name":
            browser = self.get(path)
            self.teach(
                browser.status == 404,
                f"GET {path} answered {browser.status}. from twisted.web.pages import notFound; return what it makes.",
            )

    def test_list(self):
        """All codes are listed, sorted."""
        browser = self.get("/items")
        self.teach(
            parsed(browser.body) == ["BOLT-M8", "NUT-M8"],
            f"GET /items answered {browser.body!r}; expected is the sorted list of codes (TODO 2).",
        )


class AnswersThatComeLater(Lesson):
    """Exercise 2."""

    exercise = 2

    def setUp(self):
        super().setUp()
        self.cancelled = []
        self.asked = Deferred(self.cancelled.append)

    def get(self):
        return Browser(self.learner.Quantity(lambda item: self.asked), "/BOLT-M8")

    def test_later(self):
        """The answer is written when the number has come."""
        browser = self.get()
        self.teach(not browser.answered, "It answered before the ERP did.")
        self.asked.callback(120)
        self.teach(
            browser.answered, "The number has come, and the answer is not finished: request.finish() ends it."
        )
        self.teach(
            (browser.status, parsed(browser.body)) == (200, {"quantity": 120}),
            f"The number 120 was answered {browser.status} {browser.body!r}.",
        )

    def test_failure(self):
        """A failure is answered 502 with what it says."""
        browser = self.get()
        self.asked.errback(ConnectionError("the ERP is away"))
        self.teach(
            browser.answered,
            "The Deferred failed, and whoever asked still waits: no errback finishes the request. Browsers wait for minutes.",
        )
        self.teach(
            (browser.status, parsed(browser.body)) == (502, {"error": "the ERP is away"}),
            f"The failure was answered {browser.status} {browser.body!r}; expected is 502 with its message under "
            '"error". 200 would be taken for a number.',
        )

    def test_hang_up(self):
        """Whoever hangs up is not written to, and the question is cancelled."""
        browser = self.get()
        browser.hang_up()
        self.teach(
            self.cancelled == [self.asked],
            "Whoever asked hung up, and the question to the ERP goes on. request.notifyFinish() returns a Deferred that "
            "fails then.",
        )
        logged = self.flushLoggedErrors()
        self.teach(
            not logged,
            logged
            and f"After the hang-up your code raised {logged[0].type.__name__}: {logged[0].getErrorMessage()}. The cancelled "
            "Deferred fails, and that failure runs through your callbacks too.",
        )

    def test_silent_afterwards(self):
        """Nothing is left over of a request that was hung up."""
        browser = self.get()
        browser.hang_up()
        left = []
        self.asked.addErrback(left.append)
        if left:
            error = left[0]
            self.teach(
                False,
                f"After the hang-up a failure is left in the Deferred: {error.type.__name__}: {error.getErrorMessage()}. "
                "request.finish() must not be called when the connection is gone; it comes up in the log as an unhandled "
                "error.",
            )

    def test_raising(self):
        """A question that raises at once is answered 502."""

        def ask(item):
            raise ConnectionError("no address")

        browser = Browser(self.learner.Quantity(ask), "/BOLT-M8")
        self.flushLoggedErrors()
        self.teach(
            browser.status == 502,
            f"ask() raised in place of returning a Deferred, and that was answered {browser.status}. maybeDeferred makes one "
            "thing of both.",
        )


class Database:
    """adbapi's runQuery over a database in memory, which answers at once and remembers what it was asked."""

    def __init__(self):
        self.sql = sqlite3.connect(":memory:")
        self.sql.execute("CREATE TABLE scans (id INTEGER PRIMARY KEY, item, quantity)")
        self.asked = []
        self.fails = False

    def add(self, *items):
        self.sql.executemany("INSERT INTO scans (item, quantity) VALUES (?, 1)", [[item] for item in items])

    def runQuery(self, statement, *values):
        self.asked.append(statement)
        if self.fails:
            return fail(sqlite3.OperationalError("disk I/O error in /srv/secret/scans.db"))
        try:
            return succeed(self.sql.execute(statement, *values).fetchall())
        except sqlite3.Error:
            return fail()


class ReportFromSql(Lesson):
    """Exercise 3."""

    exercise = 3

    def setUp(self):
        super().setUp()
        self.database = Database()

    def get(self, path):
        browser = Browser(self.learner.Report(self.database), path)
        self.logged = self.flushLoggedErrors()
        return browser

    def rows(self, path):
        browser = self.get(path)
        self.teach(
            browser.status == 200, f"GET {path} answered {browser.status} {browser.body[:200]!r}; {self.logged}"
        )
        return list(csv.reader(StringIO(browser.body.decode(), newline="")))

    def test_all(self):
        """Without an item all scans come, the newest first."""
        self.database.add("BOLT-M8", "NUT-M8")
        rows = self.rows("/")
        self.teach(rows[:1] == [["id", "item", "quantity"]], f"The first line is {rows[:1]}, not id,item,quantity.")
        self.teach(
            rows[1:] == [["2", "NUT-M8", "1"], ["1", "BOLT-M8", "1"]],
            f"Two scans were reported as {rows[1:]}; expected are both, the greatest id first.",
        )

    def test_csv(self):
        """It says that it is CSV, with CR LF at the ends of lines."""
        self.database.add("BOLT-M8")
        browser = self.get("/")
        kind = browser.headers.get("content-type", "").replace(" ", "").lower()
        self.teach(kind == "text/csv;charset=utf-8", f"The Content-Type is {browser.headers.get('content-type')}.")
        self.teach(
            browser.body.endswith(b"\r\n"),
            f"The body ends with {browser.body[-5:]!r}; RFC 4180 ends lines with CR LF.",
        )

    def test_item(self):
        """With an item its scans come, and no others."""
        self.database.add("BOLT-M8", "NUT-M8", "bolt-m8")
        rows = self.rows("/?item=BOLT-M8")
        self.teach([row[1] for row in rows[1:]] == ["BOLT-M8"], f"For item=BOLT-M8 came {rows[1:]}.")

    def test_injection(self):
        """An item may hold anything, and is compared as it is."""
        for item, asked in (
            ("5' pipe", "5%27%20pipe"),
            ("x' OR '1'='1", "x%27%20OR%20%271%27=%271"),
            ("100%", "100%25"),
        ):
            self.setUp()
            self.database.add("BOLT-M8", "1000", item)
            found = [row[1] for row in self.rows(f"/?item={asked}")[1:]]
            self.teach(
                found == [item],
                f"For the item {item!r} came {found}. Give it to runQuery as a value, with ? in the statement, and compare "
                "with =.",
            )
        statements = set(self.database.asked)
        self.teach(
            not any("100%" in statement for statement in statements),
            f"The item became a part of the statement: {statements}. Who can choose the statement can read every table.",
        )

    def test_quoting(self):
        """A spreadsheet reads back what the item was."""
        item = 'pipe, 2" long'
        self.database.add(item)
        found = [row[1] for row in self.rows("/")[1:]]
        self.teach(
            found == [item],
            f"The item {item!r} was read back as {found}. The module csv knows which values need quotes.",
        )

    def test_limit(self):
        """As many come as are wanted, a hundred without a wish."""
        self.database.add(*(["BOLT-M8"] * 150))
        count = len(self.rows("/?limit=2")) - 1
        self.teach(count == 2, f"With limit=2 came {count} scans.")
        count = len(self.rows("/")) - 1
        self.teach(count == 100, f"Without a limit came {count} scans of 150; expected are 100.")

    def test_bad_limit(self):
        """A limit that is none is 400, and the database is not asked."""
        for limit in "0", "-1", "1001", "many", "", "1;DROP TABLE scans", "1_0":
            self.setUp()
            browser = self.get("/?limit=" + limit.replace(" ", "%20").replace(";", "%3B"))
            self.teach(
                browser.status == 400,
                f"limit={limit!r} was answered {browser.status}. Mind that int() takes more than digits, and that a limit has "
                "two ends.",
            )
            self.teach(
                not self.database.asked,
                f"limit={limit!r} was answered 400, but the database had been asked already.",
            )

    def test_failure(self):
        """What went wrong in the database is not told to whoever asked."""
        self.database.fails = True
        browser = self.get("/")
        self.teach(browser.status == 500, f"The database failed; the answer was {browser.status}, expected is 500.")
        self.teach(
            b"secret" not in browser.body,
            f"The answer tells {browser.body[:100]!r}. Paths and statements help an attacker; they belong into the log.",
        )
