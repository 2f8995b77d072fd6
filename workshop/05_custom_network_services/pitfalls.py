"""What goes wrong with HTTP services, in memory: ``python pitfalls.py`` shows it."""

import sqlite3

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site


def database():
    """Return a small database: two scans, and a table that is nobody's business."""
    made = sqlite3.connect(":memory:")
    made.execute("CREATE TABLE scans (item, quantity)")
    made.executemany("INSERT INTO scans VALUES (?, ?)", [("BOLT-M8", 5), ("NUT-M8", 3)])
    made.execute("CREATE TABLE salaries (name, amount)")
    made.execute("INSERT INTO salaries VALUES ('the boss', 9000)")
    return made


def pasted(sql, item):
    """Wrong: what comes from outside becomes a part of the statement."""
    return sql.execute(f"SELECT item, quantity FROM scans WHERE item = '{item}'").fetchall()


def bound(sql, item):
    """Right: the statement is one thing, the value another; the driver never mixes them."""
    return sql.execute("SELECT item, quantity FROM scans WHERE item = ?", [item]).fetchall()


class Careless(Resource):
    """Wrong: it answers when the answer is there, whether or not somebody still waits for it."""

    isLeaf = True

    def __init__(self, asked):
        self.asked = asked

    def render_GET(self, request):
        def finish(said):
            request.write(said)
            request.finish()

        self.asked.addCallback(finish)
        return NOT_DONE_YET


def hang_up():
    """Ask a careless resource, hang up, and let the answer come; returns what became of it."""
    asked = Deferred()
    connection = Site(Careless(asked), reactor=Clock()).buildProtocol(None)
    connection.makeConnection(StringTransport())
    connection.dataReceived(b"GET / HTTP/1.1\r\nHost: floor\r\n\r\n")
    connection.connectionLost(Failure(ConnectionLost()))
    seen = []
    asked.addErrback(lambda failure: seen.append(failure.type.__name__))
    asked.callback(b"120")
    return seen


def main():
    strange = "x' UNION SELECT name, amount FROM salaries --"
    print(f"somebody asks for the item {strange}")
    for way in pasted, bound:
        print(f"{way.__name__}: {way(database(), strange)}")
    print(f"somebody hangs up before the answer: {hang_up()}")


if __name__ == "__main__":
    main()
