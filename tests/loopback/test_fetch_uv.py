"""Set-up fetches uv from an index over HTTP, and keeps only what uv.lock pins."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import network
from network import Fetcher, Network, SetupFailed
from twisted.trial.unittest import SynchronousTestCase
from uv_wheel import Machine, fetch_uv

NAME = "uv-1.2.3-py3-none-manylinux_2_17_x86_64.whl"


def wheel() -> bytes:
    """Return a wheel with a program in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("uv-1.2.3.data/scripts/uv", "#!/bin/sh\necho uv 1.2.3\n")
        archive.writestr("uv/__init__.py", "")
    return file.getvalue()


class FetchingUv(SynchronousTestCase):
    """An index on 127.0.0.1 serves pages and one wheel."""

    def setUp(self) -> None:
        self.wheel = wheel()
        self.failures = 0
        self.patch(network, "getproxies", dict)  # a proxy of this machine has no way to 127.0.0.1
        self.page = json.dumps({"files": [{"filename": NAME, "url": f"../../files/{NAME}"}]}).encode()
        self.asked: list[tuple[str, str | None]] = []
        case = self

        class Index(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                case.asked.append((self.path, self.headers["Authorization"]))
                answers = {"/simple/uv/": case.page, f"/files/{NAME}": case.wheel}
                if case.failures:
                    case.failures -= 1
                    self.send_error(503)
                elif self.path not in answers:
                    self.send_error(404)
                else:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(answers[self.path])))
                    self.end_headers()
                    self.wfile.write(answers[self.path])

            def log_message(self, *_: object) -> None:
                """Keep the tests' output clean."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
        server.daemon_threads = False  # closing waits for the last answer
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.address = f"127.0.0.1:{server.server_port}"
        self.tools = Path(self.mktemp())
        self.pauses: list[float] = []

    def fetch(self, index: str | None = None, sha256: str | None = None) -> Path:
        """Fetch uv as set-up does."""
        pinned = {
            "url": f"http://{self.address}/files/{NAME}",
            "hash": "sha256:" + (sha256 or hashlib.sha256(self.wheel).hexdigest()),
            "size": len(self.wheel),
        }
        machine = Machine("Linux", "x86_64", 64, ("glibc", "2.36"))
        fetcher = Fetcher(Network(None, None, None), self.pauses.append)
        return fetch_uv(fetcher, index, [pinned], machine, self.tools)

    def test_the_address_in_the_lock(self) -> None:
        """Without a mirror the file is fetched from where the lock says, and can be run."""
        program = self.fetch()
        self.assertEqual(Path("uv-1.2.3", "uv"), program.relative_to(self.tools))
        self.assertEqual(0o755, program.stat().st_mode & 0o777)
        said = subprocess.run([program.absolute()], capture_output=True, text=True, check=True)
        self.assertEqual("uv 1.2.3\n", said.stdout)

    def test_only_once(self) -> None:
        """What is there is not fetched again."""
        self.fetch()
        self.fetch()
        self.assertEqual(1, len(self.asked))

    def test_a_mirror_that_speaks_json(self) -> None:
        """A mirror is asked for the file by name, with its credentials."""
        self.assertTrue(self.fetch(f"http://me:pw@{self.address}/simple").exists())
        basic = "Basic bWU6cHc="
        self.assertEqual([("/simple/uv/", basic), (f"/files/{NAME}", basic)], self.asked)

    def test_a_mirror_that_speaks_html(self) -> None:
        """So is one that knows only the old pages."""
        self.page = f'<a href="../../files/{NAME}#sha256=0">{NAME}</a>'.encode()
        self.assertTrue(self.fetch(f"http://{self.address}/simple").exists())

    def test_a_mirror_without_it(self) -> None:
        """A mirror that lacks the file is named, without its password."""
        self.page = b'{"files": []}'
        failed = self.assertRaises(SetupFailed, self.fetch, f"http://me:pw@{self.address}/simple")
        self.assertIn(f"{self.address}/simple/uv/ has no {NAME}", str(failed))
        self.assertNotIn("pw", str(failed))

    def test_another_file_than_pinned(self) -> None:
        """A file that is not what was pinned is thrown away, whoever served it."""
        failed = self.assertRaises(SetupFailed, self.fetch, None, "0" * 64)
        self.assertIn("is not the file that uv.lock pins", str(failed))
        self.assertFalse(self.tools.exists())

    def test_a_server_in_trouble(self) -> None:
        """A server that recovers is asked again; one that does not is named."""
        self.failures = 2
        self.assertTrue(self.fetch().exists())
        self.assertEqual([1, 2], self.pauses)
        self.tools = Path(self.mktemp())
        self.failures = 3
        self.assertIn("answers 503", str(self.assertRaises(SetupFailed, self.fetch)))

    def test_nobody_there(self) -> None:
        """A host that cannot be reached is named, with what to do."""
        failed = self.assertRaises(SetupFailed, self.fetch, "http://127.0.0.1:1/simple")
        self.assertIn("127.0.0.1 cannot be reached", str(failed))
        self.assertIn("HTTPS_PROXY", str(failed))
