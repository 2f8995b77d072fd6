"""Files fetched from OpenSSH's server: whole, once, from a host that is known, and let go only when taken."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.rig.sshd import Sshd, make_key
from twisted.conch.ssh.keys import Key
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from lineside.edges.files.aside import Aside
from lineside.edges.ssh.client.algorithms import LEGACY, MODERN, Algorithms
from lineside.edges.ssh.client.hosts import KnownHost, known_host, pinned
from lineside.edges.ssh.client.pull import Pulled, SftpPull
from lineside.edges.ssh.client.transport import Visit
from lineside.edges.ssh.hostkeys import fingerprint
from lineside.model.errors import FileNotTaken
from lineside.model.ports import TakenFile

LARGE = 5_000_000


class Takes:
    """An intake that says what it was given, and may have no room."""

    def __init__(self) -> None:
        self.files: list[tuple[str, bytes, str]] = []
        self.full = False

    async def take(self, path: Path, name: str, sender: str) -> TakenFile:
        if self.full:
            raise FileNotTaken("no room")
        content = path.read_bytes()  # noqa: ASYNC240 (it is small)
        path.unlink()  # noqa: ASYNC240
        repeated = any(content == known for _, known, _ in self.files)
        self.files.append((name, content, sender))
        return TakenFile("0" * 64, repeated)


class Pulling(TestCase):
    """One partner."""

    timeout = 15

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes are real)

        self.reactor: Any = reactor
        self.out = self.directory / "out"
        self.out.mkdir()
        self.takes = Takes()
        self.host = self.partner()

    def partner(self, *options: str) -> Sshd:
        host = Sshd(self.reactor, self.directory / f"host{len(options)}", options)
        host.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(host.stop()))
        return host

    async def pull(
        self,
        then: str = "keep",
        known: KnownHost | None = None,
        algorithms: Algorithms = MODERN,
        host: Sshd | None = None,
        **changed: Any,
    ) -> SftpPull:
        host = host or self.host
        key = Key.fromFile(str(host.directory / "client"))
        text = known or known_host(host.known_hosts, "127.0.0.1", host.port)
        pulled: dict[str, Any] = {
            "folder": str(self.out).encode(),
            "pattern": "*",
            "then": then,
            "done": str(self.out / "done").encode(),
            "largest": 10_000_000,
            "settled": False,
        }
        part = SftpPull(
            "acme",
            HostnameEndpoint(self.reactor, "127.0.0.1", host.port),
            lambda: Visit(text, host.user, algorithms, changed.get("key", key)),
            Pulled(**{name: changed.get(name, value) for name, value in pulled.items()}),
            "ACME",
            self.directory / "own",
            self.takes,
            self.reactor,
            every=0.02,
            connecting=10.0,
            aside=Aside("pull", self.reactor.callFromThread),
        )
        await part.start()
        self.running = part
        self.addCleanup(lambda: Deferred.fromCoroutine(part.stop()))
        return part

    async def until(self, come: Callable[[], object]) -> None:
        while not come():
            await deferLater(self.reactor, 0.01)

    async def looks(self, times: int = 2) -> None:
        """Wait until so many looks are over."""
        visits = self.host.visits + times + 1
        await self.until(lambda: self.host.visits >= visits)

    async def test_a_file_that_stays_there_is_fetched_once(self) -> None:
        """Also after a restart, and again only when it has changed; what is unfinished or no file is left."""
        (self.out / "a.csv").write_bytes(b"1\n")
        for name in ("b.csv.part", ".hidden", "c.TMP"):
            (self.out / name).write_bytes(b"2\n")
        (self.out / "folder").mkdir()
        (self.out / "link.csv").symlink_to("/etc/passwd")
        part = await self.pull()
        await self.until(lambda: self.takes.files)
        await self.looks()
        await part.stop()
        await self.pull()
        await self.looks()
        self.assertEqual([("a.csv", b"1\n", "ACME")], self.takes.files)
        (self.out / "a.csv").write_bytes(b"1\n3\n")
        await self.until(lambda: len(self.takes.files) > 1)
        self.assertEqual(("a.csv", b"1\n3\n", "ACME"), self.takes.files[1])
        self.assertIsNone(self.running.problem)

    async def test_a_file_is_moved_only_when_it_is_taken(self) -> None:
        """While the spool is full it stays; then it is moved, beside one of its name that was moved before."""
        (self.out / "done").mkdir()
        (self.out / "done" / "a.csv").write_bytes(b"old")
        (self.out / "a.csv").write_bytes(b"new")
        self.takes.full = True
        part = await self.pull("move")
        await self.until(lambda: part.problem)
        await self.looks()
        self.assertEqual("no room; see the spool and its disk (lineside status); it is tried again", part.problem)
        self.assertTrue((self.out / "a.csv").exists())
        self.takes.full = False
        await self.until((self.out / "done" / "a.2.csv").exists)
        self.assertFalse((self.out / "a.csv").exists())
        self.assertEqual(b"old", (self.out / "done" / "a.csv").read_bytes())
        self.assertEqual([b"new"], [content for _, content, _ in self.takes.files])
        await self.until(lambda: part.problem is None)

    async def test_a_file_is_removed_where_that_is_asked_for(self) -> None:
        """It is gone there, and was taken once."""
        (self.out / "a.csv").write_bytes(b"new")
        await self.pull("delete")
        await self.until(lambda: not (self.out / "a.csv").exists())
        await self.looks()
        self.assertEqual([b"new"], [content for _, content, _ in self.takes.files])

    async def test_a_cut_download_goes_on(self) -> None:
        """The host's process is killed in the middle; it goes on behind that, and all bytes are right."""
        content = os.urandom(LARGE)
        (self.out / "large.bin").write_bytes(content)
        self.host.cut_after = 3_500_000
        with capturedLogs() as logs:
            await self.pull("move")
            await self.until((self.out / "done" / "large.bin").exists)
        self.assertEqual([content], [taken for _, taken, _ in self.takes.files])
        resumed = [event for event in logs if event["log_format"] == "pull.resumed"]
        self.assertEqual(1, len(resumed), logs)
        self.assertGreater(resumed[0]["offset"], 1_000_000)

    async def test_a_file_that_grows_is_not_taken_yet(self) -> None:
        """With `settled`, two looks in a row must find it unchanged."""
        path = self.out / "a.csv"
        path.write_bytes(b"1\n")
        await self.pull(settled=True)
        for _ in range(3):
            before = self.host.visits
            with path.open("ab") as file:
                file.write(b"more\n")
            await self.until(lambda before=before: self.host.visits > before)  # type: ignore[misc]
        await self.until(lambda: self.takes.files)
        self.assertEqual(b"1\nmore\nmore\nmore\n", self.takes.files[-1][1])

    async def test_another_host_key_is_an_alarm_and_nothing_is_sent(self) -> None:
        """Nobody logs in at a host that is another, or that nobody knows; at one that is pinned we do."""
        (self.out / "a.csv").write_bytes(b"new")
        name = f"127.0.0.1:{self.host.port}"
        other = f"[127.0.0.1]:{self.host.port} {make_key(self.directory / 'other')}"
        for known, told in (
            (known_host(other, "127.0.0.1", self.host.port), "another key"),
            (KnownHost(name), "nobody knows"),
        ):
            with capturedLogs() as logs:
                part = await self.pull("delete", known)
                await self.until(lambda part=part: part.problem)  # type: ignore[misc]
                await self.looks()
                await part.stop()
            self.assertIn(told, str(part.problem))
            self.assertEqual(["pull.host_not_known"], [event["log_format"] for event in logs if "source" in event])
        self.assertTrue((self.out / "a.csv").exists())
        self.assertNotIn("Accepted", self.host.said())
        await self.pull("delete", pinned(name, fingerprint(self.host.host_blob)))
        await self.until(lambda: not (self.out / "a.csv").exists())

    async def test_a_key_that_the_host_does_not_know_is_told(self) -> None:
        """The remedy names what to look at."""
        make_key(self.directory / "stranger")
        part = await self.pull(key=Key.fromFile(str(self.directory / "stranger")))
        await self.until(lambda: part.problem)
        self.assertIn(f"does not let {self.host.user} in", str(part.problem))
        self.assertIn("authorized_keys", str(part.problem))

    async def test_what_is_too_large_is_left_and_told(self) -> None:
        """And keeps no other waiting."""
        (self.out / "a.csv").write_bytes(b"x" * 11)
        (self.out / "b.csv").write_bytes(b"new")
        part = await self.pull("delete", largest=10)
        await self.until(lambda: part.problem)
        self.assertIn("a.csv has 11 bytes, and 10 are allowed", str(part.problem))
        self.assertEqual(["b.csv"], [name for name, _, _ in self.takes.files])
        self.assertTrue((self.out / "a.csv").exists())

    async def test_an_old_host_is_spoken_to_only_where_that_is_said(self) -> None:
        """One with CBC, SHA-1 and a finite field alone: refused by default, and read with `legacy`."""
        old = self.partner("Ciphers aes128-cbc", "MACs hmac-sha1", "KexAlgorithms diffie-hellman-group14-sha1")
        (self.out / "a.csv").write_bytes(b"x" * 100_000)
        part = await self.pull(host=old)
        await self.until(lambda: part.problem)
        self.assertIn("has no key exchange of ours, only diffie-hellman-group14-sha1", str(part.problem))
        self.assertIn("legacy = true", str(part.problem))
        await part.stop()
        await self.pull("delete", host=old, algorithms=LEGACY)
        await self.until(lambda: not (self.out / "a.csv").exists())
        self.assertEqual([100_000], [len(content) for _, content, _ in self.takes.files])

    async def test_each_cipher_and_mac_is_spoken(self) -> None:
        """Whichever of them a host has alone."""
        for number, (cipher, mac) in enumerate(zip(MODERN.ciphers, [*MODERN.macs, MODERN.macs[0]], strict=True)):
            host = self.partner(
                f"Ciphers {cipher.decode()}", f"MACs {mac.decode()}", *(["RekeyLimit 64K none"] * (number + 1))
            )
            (self.out / "a.csv").write_bytes(b"%d" % number * 300_000)
            part = await self.pull("delete", host=host)
            await self.until(lambda: not (self.out / "a.csv").exists())
            await part.stop()
            self.assertEqual(b"%d" % number * 300_000, self.takes.files[-1][1])
