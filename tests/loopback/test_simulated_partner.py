"""``lineside simulate partner`` against a gateway with drop boxes: what it was told is what the ERP has."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
import treq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.rig.forked import Finished, Nursery
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent
from twisted.web.http_headers import Headers

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.lifecycle import System
from lineside.edges.ssh import hostkeys
from lineside.standin.authentication import Credentials
from lineside.standin.doctypes import read_library
from lineside.standin.faults import FaultKnobs
from lineside.standin.server import Service, StandinServer

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "{url}"
api_key = "key"
api_secret = "secret"

[ssh]
listen = "tcp:0:interface=127.0.0.1"
[ssh.users.acme]
source = "orders"
keys = {{ file = "acme.pub" }}
[ssh.users.acme-edi]
source = "interchanges"
keys = {{ file = "acme.pub" }}

[sources.orders]
type = "sftp"
folder = "orders"
format = {{ type = "csv", types = {{ qty = "int" }} }}
[sources.interchanges]
type = "sftp"
folder = "interchanges"
format = "edifact"

[routes.order]
sources = ["orders"]
doctype = "Note"
document = {{ title = "{{{{ order }}}}: {{{{ qty }}}} of {{{{ item }}}}" }}
[routes.interchange]
sources = ["interchanges"]
doctype = "Note"
document = {{ title = "{{{{ number }}}}: {{{{ lines | length }}}}" }}
"""
NOTE = {
    "doctype": "DocType",
    "name": "Note",
    "autoname": "hash",
    "fields": [{"fieldname": "title", "fieldtype": "Data", "label": "Title"}],
}


class SimulatedPartner(TestCase):
    """One gateway and one stand-in, in this process; the partner in another."""

    timeout = 120

    @pytest.fixture(autouse=True)
    def around(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets are real)

        self.reactor: Any = reactor
        (self.directory / "note.json").write_text(json.dumps([NOTE]))
        library = read_library(self.directory / "note.json")
        service = Service(self.directory / "erp.db", Credentials("key", "secret"), library=library)
        self.erp = StandinServer(reactor, service, FaultKnobs(Random(1)))
        await self.erp.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.erp.stop()))
        field = {"dt": "Note", "label": "Lineside ID", "fieldname": "lineside_id", "fieldtype": "Data", "unique": 1}
        await self.ask("POST", "/api/resource/Custom%20Field", field)
        key = Ed25519PrivateKey.generate()
        self.key = self.directory / "acme"
        self.key.touch(0o600)
        self.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        (self.directory / "acme.pub").write_bytes(public)
        # Making one of 3072 bits takes seconds now and then.
        self.patch(hostkeys, "RSA_BITS", 2048)
        path = self.directory / "lineside.toml"
        path.write_text(CONFIGURATION.format(url=self.erp.url))
        self.gateway = Gateway(reactor, load(path, {}))
        system = System(self.gateway.stages)
        await system.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        (_, self.fingerprint), *_ = hostkeys.host_keys(self.directory / "ssh", make=False).fingerprints

    async def ask(self, method: str, path: str, document: object = None) -> Any:
        headers = Headers({"Authorization": ["token key:secret"], "Content-Type": ["application/json"]})
        body = None if document is None else json.dumps(document).encode()
        answer = await treq.request(
            method, self.erp.url + path, headers=headers, data=body, agent=Agent(self.reactor), persistent=False
        )
        return json.loads(await answer.content())["data"]

    async def play(self, *words: str, user: str = "acme", fingerprint: str | None = None) -> Finished:
        """Run the partner."""
        assert self.gateway.ssh is not None
        place = f"tcp:{self.gateway.ssh.part.address}"
        known = ["--fingerprint", fingerprint or self.fingerprint, "--key", str(self.key)]
        command = ["simulate", "partner", "--connect", place, "--user", user, *known, *words]
        return await deferToThread(self.nursery.run, command, {}, 60)

    def recorded(self) -> list[dict[str, Any]]:
        """Return what the partner wrote down."""
        return [json.loads(line) for line in (self.directory / "ledger").read_text().splitlines()]

    async def test_what_it_was_told_is_what_the_erp_has(self) -> None:
        """Rows and documents by their names; orders by EDIFACT are received, and the outbox is empty in the end."""
        ledger = ["--record", str(self.directory / "ledger")]
        done = await self.play("--count", "3", "--rows", "4", "--json", *ledger)
        self.assertEqual((done.code, done.err), (0, ""))
        summary = json.loads(done.out)
        self.assertEqual((summary["files"], summary["sent"], summary["answered"]), (3, 3, 3))
        self.assertEqual(summary["rows"], {"delivered": 12})
        done = await self.play("--format", "edifact", "--count", "2", "--rows", "3", *ledger, user="acme-edi")
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertIn("2 of 2 files sent  2 answered: 2 delivered  2 receipts", done.out)

        entries = self.recorded()
        self.assertEqual([entry["stage"] for entry in entries].count("taken"), 5)
        answers = [entry for entry in entries if entry["stage"] == "answer"]
        told = {row["document"] for answer in answers for row in answer["rows"]}
        fields = quote(json.dumps(["name", "title"]))
        notes = await self.ask("GET", f"/api/resource/Note?fields={fields}&limit_page_length=0")
        self.assertEqual({note["name"] for note in notes}, told)
        self.assertEqual(len(notes), 14)
        sent = "".join(entry["content"] for entry in entries if entry["stage"] == "file")
        for note in notes:
            self.assertIn(note["title"].partition(":")[0], sent)
        receipts = [answer["receipt"] for answer in answers if answer["receipt"]]
        self.assertEqual([receipt.count("UCI+") for receipt in receipts], [1, 1])
        for folder in ("orders/acme", "interchanges/acme-edi"):
            self.assertEqual([], [*(self.directory / folder / "outbox").iterdir()])

    async def test_who_is_not_the_gateway_gets_nothing(self) -> None:
        """Nor is there a second try; and who is nobody there is told so."""
        other = "SHA256:" + "A" * 43
        done = await self.play("--count", "2", fingerprint=other)
        self.assertEqual((done.code, done.err.count("\n")), (1, 1))
        self.assertIn("shows another key than the one it is known by", done.err)
        done = await self.play(user="nobody")
        self.assertEqual(done.code, 1)
        self.assertIn("does not let nobody in", done.err)
        self.assertEqual([], [*(self.directory / "orders" / "acme" / "inbox").iterdir()])
