"""A partner sends files by SFTP to a gateway that is killed again and again: each row becomes one document."""

from __future__ import annotations

import shutil
import subprocess

from tests.rig.forked import Forked
from tests.rig.partner_case import COUNTS, GOOD, LOOK_AGAIN, ORDER, RECEIPT, PartnerCase, parsed
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

COUNTED = "acme"
ORDERED = "acme-orders"
"""Users of one partner: one for each kind of file."""


class Uploading(PartnerCase):
    """OpenSSH's ``sftp``, and ``lineside run``."""

    sources = """
[ssh]
listen = "tcp:0:interface=127.0.0.1"
[ssh.users.acme]
source = "counts"
keys = { file = "id.pub" }
[ssh.users.acme-orders]
source = "orders"
keys = { file = "id.pub" }

[sources.counts]
type = "sftp"
folder = "partners/counts"
partial_after = "0"
format = { type = "csv", delimiter = ";", encoding = "cp1252", types = { qty = "int" } }
trailer = 'END;(?P<count>\\d+)'

[sources.orders]
type = "sftp"
folder = "partners/orders"
format = "edifact"
"""

    async def setUp(self) -> None:  # type: ignore[override] # (trial waits for it)
        for program in ("ssh-keygen", "sftp"):
            if shutil.which(program) is None:
                raise SkipTest(f"OpenSSH's {program} is not here")
        await super().setUp()
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.directory / "id")]
        await deferToThread(subprocess.run, key, check=True)
        (self.directory / "counts.csv").write_bytes(COUNTS)
        (self.directory / "order.edi").write_bytes(ORDER)

    async def begun(self) -> Forked:
        """Start a gateway, and wait until it answers by SSH."""
        log = self.directory / "gateway.log"
        before = log.stat().st_size if log.exists() else 0
        gateway = self.run_gateway()
        while True:
            told = log.read_bytes()[before:].decode() if log.exists() else ""
            ports = [line.rpartition(":")[2] for line in told.splitlines() if " ssh.listening " in line]
            if ports:
                break
            self.assertIsNone(gateway.code, self.directory)
            await deferLater(self.reactor, LOOK_AGAIN)
        self.port = int(ports[0])
        return gateway

    @property
    def options(self) -> list[str]:
        """How OpenSSH's program connects. The host keeps the key that its first start made."""
        known = self.directory / "known"
        if not known.exists():
            host = str(self.directory / "ssh" / "ssh_host_ed25519_key")
            public = subprocess.run(["ssh-keygen", "-y", "-f", host], capture_output=True, text=True, check=True)
            known.write_text(f"gateway {public.stdout}")
        options = [f"UserKnownHostsFile={known}", "HostKeyAlias=gateway", "BatchMode=yes", "IdentitiesOnly=yes"]
        words = [word for option in options for word in ("-o", option)]
        return ["-F", "none", "-i", str(self.directory / "id"), "-P", str(self.port), *words]

    async def sftp(self, user: str, *lines: str, slowly: bool = False) -> int:
        """Run a batch of commands in the test's directory; return its exit code."""
        batch = self.directory / f"{user}.batch"
        batch.write_text("\n".join(lines) + "\n")
        # At 80 kbit a second in small pieces the file takes two seconds.
        slow = ["-l", "80", "-B", "1024"] if slowly else []
        words = ["sftp", *self.options, *slow, "-b", str(batch), f"{user}@127.0.0.1"]
        done = await deferToThread(
            subprocess.run, words, cwd=self.directory, capture_output=True, stdin=subprocess.DEVNULL
        )
        self.errors = done.stderr
        return int(done.returncode)

    async def sent(self, user: str, *lines: str) -> None:
        """Run a batch of which all succeeds."""
        self.assertEqual(await self.sftp(user, *lines), 0, self.errors)

    async def answered(self, user: str, name: str) -> list[dict[str, str]]:
        """Fetch the last answer to a file, once it is there, and remove it, as partners do."""
        path = self.directory / f"{name}.result.csv"
        while True:
            if await self.sftp(user, f"get /outbox/{path.name}") == 0:
                rows = parsed(path.read_bytes())
                if rows is not None:
                    break
            await deferLater(self.reactor, LOOK_AGAIN)
        await self.sent(user, f"rm /outbox/{path.name}")
        return rows

    async def test_each_row_becomes_one_document_whatever_dies(self) -> None:
        """1,000 rows, five of them bad, and an order; killed while it takes, delivers and has them once more."""
        gateway = await self.begun()
        sending = Deferred.fromCoroutine(self.sftp(COUNTED, "put counts.csv /inbox/counts.csv", slowly=True))
        partial = self.directory / "partners" / "counts" / COUNTED / ".partial" / "counts.csv"
        while not partial.exists() or not partial.stat().st_size:
            self.assertIsNone(gateway.code, self.directory)
            self.assertFalse(sending.called)
            await deferLater(self.reactor, LOOK_AGAIN)
        await self.killed(gateway)
        self.assertNotEqual(await sending, 0)
        self.assertLess(partial.stat().st_size, len(COUNTS))

        gateway = await self.begun()
        self.assertEqual([], await self.listed("Copy"))
        await self.sent(COUNTED, "reput counts.csv /inbox/counts.csv")
        await self.sent(ORDERED, "put order.edi /inbox/order.edi")
        await self.delivered(gateway, GOOD // 3)
        await self.killed(gateway)
        self.assertLess(len(await self.listed("Copy")), GOOD)

        gateway = await self.begun()
        first = await self.answered(COUNTED, "counts.csv")
        ordered = await self.answered(ORDERED, "order.edi")
        await self.judge(first, ordered)
        await self.receipt_is_right()

        await self.sent(COUNTED, "put counts.csv /inbox/counts.csv")
        await self.sent(ORDERED, "put order.edi /inbox/order.edi")
        await self.killed(gateway)
        gateway = await self.begun()
        again = await self.answered(COUNTED, "counts.csv")
        self.assertEqual(first, again)
        self.assertEqual(ordered, await self.answered(ORDERED, "order.edi"))
        await self.judge(again, ordered)
        await self.receipt_is_right()
        await self.sent(COUNTED, "get /archive/counts.csv archived.csv")
        self.assertEqual(COUNTS, (self.directory / "archived.csv").read_bytes())
        gateway.signal("TERM")
        self.assertEqual(await gateway.ended(), 0)

    async def receipt_is_right(self) -> None:
        """Fetch and remove the CONTRL for the order."""
        name = "order.edi.contrl.edi"
        await self.sent(ORDERED, f"get /outbox/{name}", f"rm /outbox/{name}")
        self.assertIn(RECEIPT, (self.directory / name).read_bytes())
