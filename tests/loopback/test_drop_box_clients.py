"""The programs that partners use send their files, are cut in the middle, and go on."""

from __future__ import annotations

import asyncio
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import asyncssh
import paramiko  # type: ignore[import-untyped]
from tests.rig.drop_box_case import PATIENCE, DropBoxCase
from twisted.trial.unittest import SkipTest


class OpenSsh(DropBoxCase):
    """OpenSSH's own."""

    def test_sftp_sends_lists_renames_and_fetches(self) -> None:
        """A file is sent under its name, and as a draft that is renamed; an answer is fetched and removed."""
        self.start()
        outbox = self.folder / "acme" / "outbox"
        (outbox / "a.result.csv").write_bytes(b"row,status\n1,done\n")
        done = self.sftp(
            f"put -p {self.file} /inbox/orders.csv",
            "ls -l /inbox",
            f"put {self.file} /inbox/more.csv.part",
            "ls /inbox",
            "rename /inbox/more.csv.part /inbox/more.csv",
            f"get /outbox/a.result.csv {self.folder / 'answer'}",
            "rm /outbox/a.result.csv",
            "df",
            "ls /",
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("/inbox/more.csv.part", done.stdout)
        self.is_taken("orders.csv")
        self.is_taken("more.csv")
        self.assertEqual((self.folder / "answer").read_bytes(), b"row,status\n1,done\n")
        self.assertEqual(list(outbox.iterdir()), [])

    def test_sftp_goes_on_after_it_was_killed(self) -> None:
        """What had come is kept, nothing of it can be read or was taken, and ``reput`` sends the rest."""
        self.start()
        client = self.slow_put()
        self.hear_of("begun orders.csv")
        client.kill()
        client.wait()
        seen = self.sftp(
            "-ls /inbox/orders.csv", "-get /inbox/orders.csv nothing", f"reput {self.file} /inbox/orders.csv"
        )
        self.assertEqual(seen.returncode, 0, seen.stderr)
        self.is_taken()
        self.assertFalse((self.folder / "nothing").exists())

    def test_scp_sends_by_sftp(self) -> None:
        """``scp`` of OpenSSH 9 needs nothing else."""
        self.start()
        version = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr
        if int(version.partition("_")[2].partition(".")[0]) < 9:
            raise SkipTest(f"scp of {version.strip()} needs a shell")
        done = subprocess.run(
            ["scp", *self.options, "-p", str(self.file), "acme@127.0.0.1:/inbox/"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.is_taken()

    def test_a_refusal_is_told_in_words(self) -> None:
        """OpenSSH shows no status text; it shows what comes on standard error."""
        self.start(largest=1_000_000)
        done = self.sftp(f"put {self.file} /inbox/orders.csv")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("too large: a file may have 1 MB", done.stderr)


class Paramiko(DropBoxCase):
    """paramiko, which writes without waiting and compares sizes afterwards."""

    @contextmanager
    def connected(self) -> Iterator[tuple[paramiko.Transport, paramiko.SFTPClient]]:
        """Connect."""
        transport = paramiko.Transport(socket.create_connection(("127.0.0.1", self.port), PATIENCE))
        try:
            transport.connect(None, "acme", pkey=paramiko.Ed25519Key.from_private_key_file(str(self.folder / "id")))
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            yield transport, client
        finally:
            transport.close()

    def test_it_sends_and_is_content(self) -> None:
        """``put`` asks for the file's size after it was taken, and is told."""
        self.start()
        with self.connected() as (_, client):
            client.put(str(self.file), "/inbox/orders.csv")
            client.utime("/inbox/orders.csv", (0, 0))
            self.assertEqual(client.listdir("/"), ["inbox", "outbox", "archive"])
            self.assertTrue(stat.S_ISDIR(client.stat("/inbox").st_mode or 0))
        self.is_taken()

    def test_it_goes_on_where_its_line_was_cut(self) -> None:
        """The socket ends in the middle; what is appended to what had come is the file."""
        self.start()
        with self.connected() as (transport, client):
            file = client.open("/inbox/orders.csv", "wb")
            file.set_pipelined(True)
            file.write(self.data[:1_000_000])
            self.assertEqual(client.stat("/inbox").st_size, 0)
            transport.sock.shutdown(socket.SHUT_RDWR)
        with self.connected() as (_, client):
            at = client.stat("/inbox/orders.csv").st_size
            assert at is not None
            with client.open("/inbox/orders.csv", "ab") as file:
                file.write(self.data[at:])
        self.is_taken()

    def test_its_errors_say_what_is_wrong(self) -> None:
        """A name outside is not there, and a file in the archive cannot be put there."""
        self.start()
        with self.connected() as (_, client):
            self.assertRaises(FileNotFoundError, client.open, "/../../etc/passwd")
            self.assertRaises(PermissionError, client.open, "/archive/a.csv", "wb")
            error = self.assertRaises(OSError, client.open, "/inbox/.hidden", "wb")
            self.assertIn("a name may not begin with a dot", str(error))


class Asyncssh(DropBoxCase):
    """asyncssh, which has many requests in flight."""

    def test_it_sends_and_goes_on(self) -> None:
        """A whole file; and one that is cut off with its connection and then appended to."""
        self.start()

        async def connect() -> asyncssh.SSHClientConnection:
            return await asyncssh.connect(
                "127.0.0.1",
                self.port,
                username="acme",
                client_keys=[str(self.folder / "id")],
                known_hosts=None,
                config=None,
                agent_path=None,
            )

        async def send() -> None:
            async with await connect() as connection:
                sftp = await connection.start_sftp_client()
                await sftp.put(str(self.file), "/inbox/more.csv", preserve=True, max_requests=64)
                file = await sftp.open("/inbox/orders.csv", "wb")
                await file.write(self.data[:1_000_000])
                connection.abort()
            async with await connect() as connection:
                sftp = await connection.start_sftp_client()
                at = await sftp.getsize("/inbox/orders.csv")
                assert at == 1_000_000
                async with sftp.open("/inbox/orders.csv", "ab") as file:
                    await file.write(self.data[at:])

        asyncio.run(send())
        self.is_taken("more.csv")
        self.is_taken("orders.csv")
