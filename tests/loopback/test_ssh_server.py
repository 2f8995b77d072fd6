"""The SSH server of a gateway, and what OpenSSH, asyncssh, paramiko and ssh-audit make of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.protocol import ProcessProtocol, Protocol
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.lifecycle import System
from lineside.operations.requests import ListAudit
from lineside.security.identity import LOCAL_USER

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

[routes.note]
doctype = "ToDo"
document = { description = "{{ payload }}" }

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[ssh]
listen = "tcp:0:interface=127.0.0.1"

[ssh.users.ops]
role = "operator"
keys = { file = "ops.pub" }

[ssh.users.wall]
role = "viewer"
keys = { file = "ops.pub" }
"""
EXCUSED = {
    "curve25519-sha256": "clients older than OpenSSH 9.9 have no exchange that withstands quantum computers",
    "curve25519-sha256@libssh.org": "the same under its older name",
    "hmac-sha2-256": "clients of conch and old ones of partners have no other; strict exchange covers it",
    "hmac-sha2-512": "the same",
}
"""What ssh-audit warns of and stays, and why."""
ASYNCSSH = """
import asyncio, asyncssh, sys

async def main(port, key, host):
    known = asyncssh.import_known_hosts(f"[127.0.0.1]:{port} {host}")
    given = {"username": "ops", "client_keys": [key], "known_hosts": known}
    async with asyncssh.connect("127.0.0.1", int(port), **given) as one:
        async with one.create_process(term_type="xterm", term_size=(60, 24)) as shell:
            rest = ""
            async def until(text):
                nonlocal rest
                while text not in rest:
                    more = await asyncio.wait_for(shell.stdout.read(4096), 30)
                    assert more, rest
                    rest += more
                seen, _, rest = rest.partition(text)
                return seen
            await until("lineside> ")
            shell.stdin.write("stat\\t\\r")
            assert "status " in await until("last event")
            await until("lineside> ")
            shell.stdin.write("pause sou\\tg\\t\\r")
            await until("source gate is paused")
            await until("lineside> ")
            shell.stdin.write("events tail\\r")
            shell.stdin.write("\\x03")
            await until("^C")
            await until("lineside> ")
            shell.stdin.write("\\x1b[A\\x1b[A\\x1b[A\\r")
            await until("last event")
            shell.stdin.write("exit\\r")
            assert (await shell.wait()).exit_status == 0
        try:
            await one.open_connection("127.0.0.1", 22)
        except asyncssh.ChannelOpenError as refused:
            assert refused.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, refused
        else:
            raise AssertionError("a port was forwarded")

asyncio.run(main(*sys.argv[1:]))
print("done")
"""
PARAMIKO = """
import base64, paramiko, sys

port, key, host = sys.argv[1:]
client = paramiko.SSHClient()
kind, blob = host.split(" ")
host = paramiko.Ed25519Key(data=base64.b64decode(blob))
client.get_host_keys().add(f"[127.0.0.1]:{port}", kind, host)
client.connect("127.0.0.1", int(port), "ops", pkey=paramiko.Ed25519Key.from_private_key_file(key))
_, out, err = client.exec_command("status --json")
assert b'"head":0' in out.read() and err.read() == b""
assert out.channel.recv_exit_status() == 0
client.close()
print("done")
"""


class Streaming(ProcessProtocol):
    """A process that is read as it speaks."""

    def __init__(self) -> None:
        self.said = b""
        self.ended: Deferred[None] = Deferred()
        self._wanted: tuple[bytes, Deferred[None]] | None = None

    def until(self, word: bytes) -> Deferred[None]:
        """Return what fires once it has said a word."""
        waiting: Deferred[None] = Deferred()
        self._wanted = word, waiting
        self.outReceived(b"")
        return waiting

    def outReceived(self, data: bytes) -> None:
        self.said += data
        if self._wanted is not None and self._wanted[0] in self.said:
            waiting, self._wanted = self._wanted[1], None
            waiting.callback(None)

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)


class Peers(TestCase):
    """One gateway, and clients of others' making."""

    timeout = 120

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets and processes are real)

        self.reactor: Any = reactor
        key = Ed25519PrivateKey.generate()
        self.key = self.directory / "ops"
        self.key.touch(0o600)
        self.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        (self.directory / "ops.pub").write_bytes(public + b" ops@office\n")
        path = self.directory / "lineside.toml"
        path.write_text(CONFIGURATION)
        self.gateway = Gateway(reactor, load(path, {}))
        system = System(self.gateway.stages)
        await system.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        assert self.gateway.ssh is not None
        part = self.gateway.ssh.part
        self.port = part.address.rpartition(":")[2]
        assert part.door is not None
        self.host = part.door.publicKeys[b"ssh-ed25519"].toString("openssh").decode()
        (self.directory / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {self.host}\n")

    def ssh(self, *words: str, user: str = "ops", key: Path | None = None) -> list[str]:
        """Return the command of OpenSSH that gives one here."""
        found = which("ssh")
        if found is None:
            self.skipTest("ssh is not there; tools/test_servers.py installs it")
            raise AssertionError
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.directory / "known_hosts",
            "StrictHostKeyChecking": "yes",
            "LogLevel": "ERROR",
        }
        given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return [
            found,
            "-F",
            "none",
            *given,
            "-i",
            str(key or self.key),
            "-p",
            self.port,
            f"{user}@127.0.0.1",
            *words,
        ]

    async def run_it(self, command: list[str]) -> tuple[str, str, int]:
        """Run a command to its end."""
        out, err, status = await getProcessOutputAndValue(
            command[0], command[1:], env=dict(os.environ), reactor=self.reactor
        )
        return out.decode(), err.decode(), status

    async def recorded(self, of: Callable[[Any], bool]) -> list[Any]:
        """Return what is on record, the newest first."""
        page = await self.gateway.operations.call(ListAudit(limit=100), LOCAL_USER)
        return [entry for entry in page.entries if of(entry)]

    async def test_openssh_gives_commands(self) -> None:
        """Standard output, standard error and statuses, as a script wants them; and all of it is on record."""
        out, err, status = await self.run_it(self.ssh("status", "--json"))
        self.assertEqual((json.loads(out)["head"], err, status), (0, "", 0))
        out, err, status = await self.run_it(self.ssh("pause", "source", "gtae"))
        self.assertEqual((out, status), ("", 1))
        self.assertIn('did you mean "gate"', err)
        out, err, status = await self.run_it(self.ssh("statsu"))
        self.assertEqual((out, status), ("", 2))
        self.assertIn('did you mean "status"', err)
        out, err, status = await self.run_it(self.ssh("pause", "source", "gate", user="wall"))
        self.assertEqual((out, status), ("", 1))
        self.assertIn("wall is viewer", err)
        out, err, status = await self.run_it(self.ssh("pause", "source", "gate"))
        self.assertEqual((err, status), ("", 0))
        done, asked, *_ = await self.recorded(lambda entry: entry.what == "pause" and entry.who == "ops")
        self.assertEqual((done.state, asked.state, asked.where), ("done", "asked", "ssh, 127.0.0.1"))
        sessions = await self.recorded(lambda entry: entry.what == "ssh.session")
        self.assertIn("exec status --json", [entry.facts["asked"] for entry in sessions])

    async def test_who_is_nobody_stays_outside(self) -> None:
        """By another key, or another name; it is counted."""
        other = self.directory / "other"
        other.touch(0o600)
        other.write_bytes(
            Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        )
        for command in (self.ssh("status", key=other), self.ssh("status", user="root")):
            out, err, status = await self.run_it(command)
            self.assertEqual((out, status), ("", 255))
            self.assertIn("Permission denied (publickey)", err)
        assert self.gateway.ssh is not None
        assert self.gateway.ssh.part.door is not None
        self.assertGreaterEqual(self.gateway.ssh.part.door.failures.total, 2)

    async def test_a_tail_streams_and_ends_with_its_client(self) -> None:
        """Each event as it is committed; nothing goes on behind a client that is gone."""
        tail = Streaming()
        command = self.ssh("events", "tail", "--json")
        process = self.reactor.spawnProcess(tail, command[0], command, env=dict(os.environ))
        (source,) = self.gateway.sources
        for number in range(3):
            host, _, port = source.address.rpartition(":")
            sender: Any = await connectProtocol(clientFromString(self.reactor, f"tcp:{host}:{port}"), Protocol())
            sender.transport.write(b'{"n": %d}\n' % number)
            await tail.until(b'\\"n\\": %d' % number)
            sender.transport.loseConnection()
        process.signalProcess("KILL")
        await tail.ended
        assert self.gateway.ssh is not None
        while self.gateway.ssh._background._running:
            await deferLater(self.reactor, 0.02)

    async def test_asyncssh_works_on_a_terminal(self) -> None:
        """Completion, history, Ctrl-C, exit; and no port is forwarded."""
        out, err, status = await self.run_it([sys.executable, "-c", ASYNCSSH, self.port, str(self.key), self.host])
        self.assertEqual((out, status), ("done\n", 0), err)

    async def test_paramiko_gives_a_command(self) -> None:
        """By its own algorithms."""
        out, err, status = await self.run_it(
            [sys.executable, "-W", "ignore", "-c", PARAMIKO, self.port, str(self.key), self.host]
        )
        self.assertEqual((out, status), ("done\n", 0), err)

    async def test_keyscan_sees_the_keys(self) -> None:
        """Those of the files."""
        found = which("ssh-keyscan")
        if found is None:
            self.skipTest("ssh-keyscan is not there; tools/test_servers.py installs it")
            return
        out, _, _ = await self.run_it([found, "-t", "ed25519,rsa", "-p", self.port, "127.0.0.1"])
        self.assertIn(self.host, out)
        self.assertIn("ssh-rsa", out)

    async def test_ssh_audit_finds_nothing_that_could_be_avoided(self) -> None:
        """No failure, and no warning but those that are excused."""
        command = "from ssh_audit.ssh_audit import main; import sys; sys.exit(main())"
        out, err, _ = await self.run_it(
            [sys.executable, "-W", "ignore", "-c", command, "--skip-rate-test", "-j", "-p", self.port, "127.0.0.1"]
        )
        told = json.loads(out)
        marked = {
            each["algorithm"]: each["notes"]
            for kind in ("kex", "key", "enc", "mac")
            for each in told[kind]
            if {"fail", "warn"} & each["notes"].keys()
        }
        self.assertEqual(set(marked), set(EXCUSED), (marked, err))
        self.assertFalse([name for name, notes in marked.items() if "fail" in notes])
        self.assertEqual(told.get("cves", []), [])
        names = [each["algorithm"] for each in told["kex"]]
        self.assertIn("kex-strict-s-v00@openssh.com", names)
        self.assertIn("mlkem768x25519-sha256", names)
