"""The stand-in on a socket: limits of the servers in front, DocTypes from a file, webhooks on their way."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest
from tests.rig.forked import Nursery
from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.exchange import MAX_BODY, MAX_LINE

KEY = {"Authorization": "token key:secret", "Content-Type": "application/json"}
LAB = Path(__file__).parents[1] / "data" / "lab-doctypes.json"


class OnASocket(SynchronousTestCase):
    @pytest.fixture(autouse=True)
    def around(self, nursery: Nursery) -> None:
        self.nursery = nursery

    def serve(self, *options: str) -> http.client.HTTPConnection:
        arguments = ["standin", "--port", "0", "--data", "erp.db", "--api-key", "key", "--api-secret", "secret"]
        self.process = subprocess.Popen(
            [*self.nursery.command, *arguments, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.process.communicate)
        self.addCleanup(self.process.kill)
        assert self.process.stdout is not None
        address = self.process.stdout.readline().split()[-1].removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=30)
        self.addCleanup(connection.close)
        return connection

    def ask(self, connection: Any, verb: str, path: str, given: object = None) -> tuple[int, str, Any]:
        body = None if given is None else json.dumps(given)
        connection.request(verb, path, body, KEY)
        with connection.getresponse() as answer:
            kind, text = answer.getheader("Content-Type"), answer.read()
        return answer.status, kind, json.loads(text) if kind == "application/json" else text.decode()

    def test_a_request_line_is_as_long_as_gunicorn_takes_it(self) -> None:
        """One octet more is 400 as a page, and the end of the connection."""
        connection = self.serve()
        fixed = len("GET /api/method/ping? HTTP/1.1")
        path = "/api/method/ping?" + "a" * (MAX_LINE - fixed)
        self.assertEqual(self.ask(connection, "GET", path)[0], 200)
        status, kind, page = self.ask(connection, "GET", path + "a")
        self.assertEqual((status, kind), (400, "text/html"))
        assert connection.sock is None  # told to close
        self.assertIn("Request Line is too large (4095 &gt; 4094)", page)
        self.assertEqual(self.ask(connection, "GET", "/api/method/ping")[0], 200)

    def test_a_body_is_as_large_as_frappe_takes_it(self) -> None:
        """One octet more is 413 as a page, and nothing is stored."""
        connection = self.serve()
        head, tail = b'{"description": "x", "nobody": "', b'"}'
        body = head + b"a" * (MAX_BODY - len(head) - len(tail)) + tail
        for content, status in ((body, 200), (body + b" ", 413)):
            connection.request("POST", "/api/resource/ToDo", content, KEY)
            with connection.getresponse() as answer:
                answer.read()
            self.assertEqual(answer.status, status)
        self.assertEqual(len(self.ask(connection, "GET", "/api/resource/ToDo")[2]["data"]), 1)

    def test_doctypes_come_from_a_file_and_log_ins_from_a_password(self) -> None:
        """And errors without tracebacks, as the options say."""
        connection = self.serve("--doctypes", str(LAB), "--password", "pw", "--no-tracebacks")
        order = {"order_id": "SO-1", "items": [{"sku": "A", "qty": 2}]}
        self.assertEqual(self.ask(connection, "POST", "/api/resource/Lab%20Order", order)[0], 200)
        status, _, told = self.ask(connection, "POST", "/api/resource/Lab%20Order", order)
        self.assertEqual((status, sorted(told)), (409, ["_server_messages", "exc_type"]))
        log_in = {"usr": "Administrator", "pwd": "pw"}
        self.assertEqual(self.ask(connection, "POST", "/api/method/login", log_in)[0], 200)

    def test_a_file_that_defines_nothing_is_wrong_use(self) -> None:
        """Exit 2, and one line that names the file."""
        Path("mine.json").write_text('{"doctype": {"fields": []}}')
        connection = ["standin", "--data", "e.db", "--api-key", "k", "--api-secret", "s", "--doctypes", "mine.json"]
        done = subprocess.run(
            [*self.nursery.command, *connection], capture_output=True, text=True, check=False, timeout=60
        )
        self.assertEqual(done.returncode, 2)
        self.assertIn("mine.json: Object missing required field `name`", done.stderr)

    def test_a_webhook_reaches_a_receiver_after_the_commit(self) -> None:
        """As JSON, with no Content-Type."""
        receiver = Receiver()
        self.addCleanup(receiver.stop)
        connection = self.serve()
        hook = {
            "name": "todo",
            "webhook_doctype": "ToDo",
            "webhook_docevent": "after_insert",
            "request_url": f"http://127.0.0.1:{receiver.port}/hook",
            "webhook_data": [{"fieldname": "description", "key": "what"}],
        }
        self.assertEqual(self.ask(connection, "POST", "/api/resource/Webhook", hook)[0], 200)
        self.assertEqual(self.ask(connection, "POST", "/api/resource/ToDo", {"description": "x"})[0], 200)
        self.assertEqual(receiver.next(), ("POST", {"what": "x"}, None))
        connection.close()
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual((self.process.wait(timeout=30), self.process.communicate()[1]), (0, ""))


class Receiver:
    """A server that keeps what it gets."""

    def __init__(self) -> None:
        got: Queue[tuple[str, Any, str | None]] = Queue()
        self._got = got

        class Keep(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                got.put((self.command, json.loads(body), self.headers["Content-Type"]))

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Keep)
        self.port = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def next(self) -> tuple[str, Any, str | None]:
        return self._got.get(timeout=30)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
