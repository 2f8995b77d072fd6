"""``lineside standin`` as a program: durable, one file to a process, and quiet."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
from tests.rig.certificates import Authority
from tests.rig.forked import Nursery
from twisted.trial.unittest import SynchronousTestCase

KEY = {"Authorization": "token key:secret", "Content-Type": "application/json"}


class Command(SynchronousTestCase):
    @pytest.fixture(autouse=True)
    def around(self, nursery: Nursery) -> None:
        self.nursery = nursery

    def start(self, *options: str) -> subprocess.Popen[str]:
        arguments = ["standin", "--data", "erp.db", "--api-key", "key", "--api-secret", "secret", *options]
        process = subprocess.Popen(
            [*self.nursery.command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def address(self, process: subprocess.Popen[str], scheme: str = "http") -> str:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        self.assertEqual(words[:2], ["listening", "on"])
        self.assertTrue(words[2].startswith(f"{scheme}://127.0.0.1:"))
        return words[2]

    def ask(self, url: str, document: object = None) -> tuple[int, Any]:
        body = None if document is None else json.dumps(document).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, KEY), timeout=30) as answer:
                return answer.status, json.load(answer)
        except HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)

    def ends(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        _, told = process.communicate(timeout=30)
        return process.returncode, told

    def test_what_was_answered_is_there_after_a_kill(self) -> None:
        """Documents, a custom field and its uniqueness outlive SIGKILL; SIGTERM exits 0."""
        first = self.start("--port", "0", "--employees", "2")
        url = self.address(first)
        field = {"dt": "ToDo", "fieldname": "lineside_id", "fieldtype": "Data", "unique": 1}
        self.assertEqual(self.ask(f"{url}/api/resource/Custom%20Field", field)[0], 200)
        todo = {"description": "x", "lineside_id": "a" * 32}
        name = self.ask(f"{url}/api/resource/ToDo", todo)[1]["data"]["name"]
        first.kill()
        first.communicate()

        second = self.start("--port", "0", "--employees", "2")
        url = self.address(second)
        self.assertEqual(self.ask(f"{url}/api/resource/ToDo/{name}")[1]["data"]["lineside_id"], "a" * 32)
        status, told = self.ask(f"{url}/api/resource/ToDo", todo)
        self.assertEqual((status, told["exc_type"]), (417, "UniqueValidationError"))
        employees = self.ask(f"{url}/api/resource/Employee?order_by=name")[1]["data"]
        self.assertEqual(employees, [{"name": "HR-EMP-00001"}, {"name": "HR-EMP-00002"}])
        second.send_signal(signal.SIGTERM)
        self.assertEqual(self.ends(second), (0, ""))

    def test_a_busy_port_and_a_busy_file_are_one_line_each(self) -> None:
        """Exit 1, and the running stand-in goes on."""
        running = self.start("--port", "0")
        url = self.address(running)
        port = url.rpartition(":")[2]
        status, told = self.ends(self.start("--port", port, "--data", "other.db"))
        self.assertEqual((status, told.count("\n")), (1, 1))
        self.assertIn(f"cannot listen on 127.0.0.1:{port}", told)
        status, told = self.ends(self.start("--port", "0"))
        self.assertEqual((status, told.count("\n")), (1, 1))
        self.assertIn("erp.db is in use", told)
        self.assertEqual(self.ask(f"{url}/api/method/ping"), (200, {"message": "pong"}))

    def test_faults_come_from_options_and_a_hung_request_does_not_hold_the_end(self) -> None:
        """SIGTERM ends it at once although a client still waits."""
        running = self.start("--port", "0", "--hang", "1", "--seed", "7")
        url = self.address(running)
        self.assertEqual(self.ask(f"{url}/_standin/faults")[1]["hang"], 1.0)
        waiting = subprocess.Popen(
            [sys.executable, "-c", WAITING_CLIENT, f"{url}/api/resource/ToDo"], stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(waiting.communicate)
        self.addCleanup(waiting.kill)
        while self.ask(f"{url}/_standin/stats")[1]["unanswered"] == 0:
            self.assertIsNone(waiting.poll())
        running.send_signal(signal.SIGTERM)
        self.assertEqual(self.ends(running), (0, ""))
        self.assertEqual(waiting.communicate(timeout=30)[0], "cut\n")

    def test_a_user_has_the_roles_that_options_give_and_no_more(self) -> None:
        """The key is his, and the next start takes away what is not given again."""
        asked = "/api/method/frappe.core.doctype.user.user.get_roles?uid=gateway@example.com"
        for options, roles in (
            (("--role", "HR User", "--role", "Lineside"), ["All", "Guest", "HR User", "Lineside"]),
            ((), ["All", "Guest"]),
        ):
            process = self.start("--port", "0", "--user", "gateway@example.com", *options)
            url = self.address(process)
            user = self.ask(f"{url}/api/method/frappe.auth.get_logged_user")[1]["message"]
            self.assertEqual((user, self.ask(url + asked)[1]["message"]), ("gateway@example.com", roles))
            process.send_signal(signal.SIGTERM)
            self.assertEqual(self.ends(process), (0, ""))
        code, told = self.ends(self.start("--role", "HR User"))
        self.assertEqual(code, 2)
        self.assertIn("--role goes with --user", told)

    def test_a_wrong_option_is_wrong_use(self) -> None:
        """Exit 2, with the reason."""
        status, told = self.ends(self.start("--time-zone", "Mars/Olympus"))
        self.assertEqual(status, 2)
        self.assertIn("Mars/Olympus is no IANA time zone", told)

    def test_https_with_a_certificate_of_ones_own(self) -> None:
        """Who trusts the CA is served, and the CA is needed for it."""
        ca = Authority(Path.cwd())
        identity = ca.sign("127.0.0.1")
        running = self.start("--port", "0", "--tls-cert", str(identity.certificate), "--tls-key", str(identity.key))
        url = self.address(running, "https")
        trusting = ssl.create_default_context(cafile=ca.path)
        with urllib.request.urlopen(f"{url}/api/method/ping", timeout=30, context=trusting) as answer:
            self.assertEqual(json.load(answer), {"message": "pong"})
        with self.assertRaises(URLError):
            urllib.request.urlopen(f"{url}/api/method/ping", timeout=30)
        running.send_signal(signal.SIGTERM)
        self.assertEqual(self.ends(running), (0, ""))

    def test_a_certificate_that_cannot_be_served_is_wrong_use(self) -> None:
        """Exit 2, with the file and the reason."""
        ca = Authority(Path.cwd())
        one, other = ca.sign("127.0.0.1"), ca.sign("127.0.0.1")
        for certificate, key, reason in (
            (one.certificate, other.key, f"the key in {other.key} is not that of the certificate"),
            (one.key, one.key, f"{one.key} holds no certificate in PEM"),
            (one.certificate, one.certificate, f"{one.certificate} holds no private key in PEM"),
            (one.certificate, Path("none.key"), "cannot read none.key: No such file or directory"),
        ):
            status, told = self.ends(self.start("--tls-cert", str(certificate), "--tls-key", str(key)))
            self.assertEqual(status, 2, told)
            self.assertIn(reason, told)
        status, told = self.ends(self.start("--tls-cert", str(one.certificate)))
        self.assertEqual(status, 2)
        self.assertIn("--tls-cert and --tls-key go together", told)

    def test_a_file_that_is_no_database_is_left_alone(self) -> None:
        """One line, exit 1, and the file as it was."""
        Path("erp.db").write_text("my notes, long enough to be no empty database file\n" * 40)
        status, told = self.ends(self.start("--port", "0"))
        self.assertEqual((status, told.count("\n")), (1, 1))
        self.assertTrue(Path("erp.db").read_text().startswith("my notes"))


WAITING_CLIENT = """
import sys, urllib.request
key = {"Authorization": "token key:secret", "Content-Type": "application/json"}
try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], b'{"description": "x"}', key), timeout=60)
except OSError:
    print("cut")
"""
