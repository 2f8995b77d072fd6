"""A reader of the texts about tasks: the workshop's ERP, a gateway, and commands in one directory. No reactor."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.rig.forked import Nursery
from tests.rig.quick import Quick

PATIENCE = 60.0
"""Seconds that anything may take on a busy machine."""


class TaskReader:
    """Starts the ERP at once. Call `end` in any case.

    Args:
        directory: where the files are, and all commands run.
        nursery: where they start.

    """

    def __init__(self, directory: Path, nursery: Nursery) -> None:
        self.directory = directory
        self._nursery = nursery
        self._log = directory / "gateway.log"
        self._gateway: Quick | None = None
        ours, theirs = os.pipe()
        # It prints more later: this stays open.
        self._printed = os.fdopen(ours)
        arguments = ("workshop", "erp", "--port", "0")
        self._erp = Quick(nursery.socket, arguments, directory, os.environ, (0, theirs, 2))
        os.close(theirs)
        told = ""
        while "FRAPPE_SECRET=" not in told:
            line = self._printed.readline()
            assert line, told
            told += line
        found = re.search(r"listens on (\S+).*FRAPPE_KEY=(\S+).*FRAPPE_SECRET=(\S+)", told, re.DOTALL)
        assert found is not None, told
        self.erp, self._key, self._secret = found.groups()
        program = nursery.program(directory / "bin")
        self.environ = {
            **os.environ,
            "PATH": f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "FRAPPE_URL": self.erp,
            "FRAPPE_KEY": self._key,
            "FRAPPE_SECRET": self._secret,
            "no_proxy": "*",
        }

    @property
    def runs(self) -> bool:
        """Whether the gateway does."""
        return self._gateway is not None and self._gateway.code is None

    def start_gateway(self, *options: str) -> None:
        """Start the gateway, and wait until it works."""
        with self._log.open("w") as log:
            self._gateway = Quick(
                self._nursery.socket, ("run", *options), self.directory, self.environ, (0, 1, log.fileno())
            )
        self.until("the gateway to work", lambda: "gateway.ready" in self._log.read_text())

    def end_gateway(self, number: signal.Signals) -> None:
        """End the gateway with a signal."""
        assert self._gateway is not None
        self._gateway.send_signal(number)
        self._gateway.wait(PATIENCE)

    def end(self) -> None:
        """Leave nothing behind."""
        for process in (self._gateway, self._erp):
            if process is not None:
                process.kill()
        self._printed.close()

    def shell(self, command: str) -> str:
        """Run a command to its end, and return what it printed, on either of its outputs."""
        done = subprocess.run(
            ["sh", "-c", f"{command} 2>&1"],
            cwd=self.directory,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until ``holds`` returns True."""
        late = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < late, f"waited for {what}:\n{self._log.read_text()[-3000:]}"
            time.sleep(0.05)

    def answer_after(self, seconds: float) -> None:
        """Have the ERP answer later, or at once."""
        self._ask(f"{self.erp}/_standin/faults", json.dumps({"latency": seconds}).encode())

    def get(self, url: str) -> Any:
        """Ask the ERP, or somebody who needs no key."""
        return self._ask(url, None)

    def _ask(self, url: str, body: bytes | None) -> Any:
        headers = {"Authorization": f"token {self._key}:{self._secret}"} if url.startswith(self.erp) else {}
        request = Request(url, body, {**headers, "Content-Type": "application/json"})
        with urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)
