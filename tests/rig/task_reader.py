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

from lineside.demo.children import LINESIDE

PATIENCE = 60.0
"""Seconds that anything may take on a busy machine."""


class TaskReader:
    """Starts the ERP at once. Call `end` in any case.

    Args:
        directory: where the files are, and all commands run.

    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._log = directory / "gateway.log"
        self._gateway: subprocess.Popen[str] | None = None
        self._erp = subprocess.Popen(
            [sys.executable, *LINESIDE, "workshop", "erp", "--port", "0"],
            cwd=directory,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._erp.stdout is not None
        told = ""
        while "FRAPPE_SECRET=" not in told:
            line = self._erp.stdout.readline()
            assert line, told
            told += line
        found = re.search(r"listens on (\S+).*FRAPPE_KEY=(\S+).*FRAPPE_SECRET=(\S+)", told, re.DOTALL)
        assert found is not None, told
        self.erp, self._key, self._secret = found.groups()
        program = directory / "bin/lineside"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {" ".join(LINESIDE)} "$@"\n')
        program.chmod(0o700)
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
        return self._gateway is not None and self._gateway.poll() is None

    def start_gateway(self, *options: str) -> None:
        """Start the gateway, and wait until it works."""
        with self._log.open("w") as log:
            self._gateway = subprocess.Popen(
                [sys.executable, *LINESIDE, "run", *options],
                cwd=self.directory,
                env=self.environ,
                stderr=log,
                text=True,
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
                process.communicate()

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

    def get(self, url: str) -> Any:
        """Ask the ERP, or somebody who needs no key."""
        headers = {"Authorization": f"token {self._key}:{self._secret}"} if url.startswith(self.erp) else {}
        with urlopen(Request(url, headers=headers), timeout=PATIENCE) as answer:
            return json.load(answer)
