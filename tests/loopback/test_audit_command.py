"""`lineside audit`: through a gateway, on its journal when it is gone, and on one that somebody altered."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.rig.forked import Finished, Nursery
from tests.rig.told import Program
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

CONFIGURATION = """
[journal]
path = "journal.db"
control = "control.sock"

[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "key"
api_secret = "secret"

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[routes.checkin]
doctype = "Employee Checkin"
document = { employee = "{{ employee }}" }
"""


class Commands(TestCase):
    """As an auditor types them."""

    timeout = 120

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    async def lineside(self, *arguments: str) -> Finished:
        command = [*arguments, "-c", str(self.directory / "lineside.toml")]
        return await deferToThread(self.nursery.run, command, {}, 60.0)

    async def test_from_the_first_start_to_the_first_forgery(self) -> None:
        """What is listed while a gateway runs is there when it is gone; an altered entry is named, with exit 1."""
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes are real)

        (self.directory / "lineside.toml").write_text(CONFIGURATION)
        none = await self.lineside("audit", "list")
        self.assertEqual(none.code, 1)
        self.assertIn("there is no journal", none.err)
        command = ["lineside", "run", "--log-format", "json"]
        gateway = Program(reactor, command, self.directory, spawn=self.nursery.spawn(reactor))
        began = await gateway.heard("audit.began")
        await gateway.heard("gateway.ready")
        self.assertEqual((await self.lineside("token", "create", "board", "--role", "viewer")).code, 0)
        listed = await self.lineside("audit", "list", "--json")
        done, asked, started = (json.loads(line) for line in listed.out.splitlines())
        self.assertEqual((started["what"], started["hash"]), ("gateway.started", began["hash"]))
        self.assertEqual((asked["who"], asked["where"]), ("local user", f"control socket, uid {os.getuid()}"))
        self.assertEqual((done["what"], done["state"], done["facts"]), ("tokens.create", "done", {"of": 2}))
        self.assertIn("control socket", (await self.lineside("audit", "list", "--what", "tokens.create")).out)
        await gateway.end("TERM")
        self.assertEqual((await self.lineside("pause", "route", "checkin")).code, 0)
        sound: dict[str, Any] = json.loads((await self.lineside("audit", "verify", "--json")).out)
        self.assertEqual((sound["entries"], sound["broken"]), (5, None))
        noted = f"{began['number']}:{began['hash']}"
        verified = await self.lineside("audit", "verify", "--noted", noted)
        self.assertEqual(verified.code, 0, verified.err)
        self.assertIn(f"the last is 5:{sound['hash']}", verified.out)
        self.assertIn("command line, uid", (await self.lineside("audit", "list", "--limit", "1")).out)
        with sqlite3.connect(self.directory / "journal.db") as journal:
            journal.execute("UPDATE audit SET who = 'somebody else' WHERE number = 2")
        journal.close()
        broken = await self.lineside("audit", "verify", "--json")
        self.assertEqual((broken.code, json.loads(broken.out)["broken"]), (1, 2))
        broken = await self.lineside("audit", "verify")
        self.assertEqual(broken.code, 1)
        self.assertIn("entry 2 was altered", broken.err)
        wrong = await self.lineside("audit", "verify", "--noted", "17")
        self.assertEqual(wrong.code, 2)

    async def test_nobody_is_served_from_elsewhere_before_there_is_a_token(self) -> None:
        """The start is refused with what to do, and is on record; with a token it is not."""
        (self.directory / "lineside.toml").write_text(f'{CONFIGURATION}\n[http]\nlisten = "tcp:0"\n')
        refused = await self.lineside("run")
        self.assertEqual(refused.code, 1)
        self.assertIn("there is no token by which anybody could say who they are", refused.err)
        self.assertEqual((await self.lineside("token", "create", "board", "--role", "viewer")).code, 0)
        command = ["lineside", "run", "--log-format", "json"]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes are real)

        gateway = Program(reactor, command, self.directory, spawn=self.nursery.spawn(reactor))
        await gateway.heard("http.listening")
        await gateway.heard("gateway.ready")
        await gateway.end("TERM")

    async def test_what_an_auditor_asks(self) -> None:
        """`lineside check --security` tells of the configuration, and of tokens and the record once they are."""
        (self.directory / "lineside.toml").write_text(CONFIGURATION)
        alone: dict[str, Any] = json.loads((await self.lineside("check", "--security", "--json")).out)
        self.assertEqual((alone["tokens"], alone["audit"]), (None, None))
        self.assertIn("there is no journal", alone["problem"])
        sqlite3.connect(self.directory / "journal.db").close()
        self.assertEqual((await self.lineside("token", "create", "board", "--role", "viewer")).code, 0)
        found: dict[str, Any] = json.loads((await self.lineside("check", "--security", "--json")).out)
        self.assertEqual((found["tokens"], found["never_expire"]), ({"viewer": 1}, 1))
        self.assertEqual((found["audit"]["entries"], found["audit"]["broken"]), (2, None))
        shown = await self.lineside("check", "--security")
        self.assertEqual(shown.code, 0, shown.err)
        for told in (
            "this machine",
            "1 viewer; 0 expired, 1 that never do",
            "the secret stands in the configuration",
        ):
            self.assertIn(told, shown.out)
        both = await self.lineside("check", "--security", "--connect")
        self.assertEqual(both.code, 2)
