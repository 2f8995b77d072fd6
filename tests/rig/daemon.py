"""A database server of the tests' own: in a directory of its own, on a Unix socket alone, gone with the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

NO_SKIPS = "LINESIDE_NO_SKIPS"
"""The variable by which CI says that nothing may be skipped."""
PATIENCE = 60.0
LOOK_AGAIN = 0.02


def lacking(reason: str) -> None:
    """Skip the test for want of something; where nothing may be skipped, fail it."""
    if os.environ.get(NO_SKIPS) == "1":
        pytest.fail(f"{reason}; {NO_SKIPS}=1 allows no skip")
    pytest.skip(f"{reason}; `make test` as root on Debian installs it")


class Daemon:
    """One server process, run as another user where we are root: neither database runs as root.

    Args:
        users: the first of them that exists runs it.

    """

    def __init__(self, users: Sequence[str]) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="lineside-"))
        self._process: subprocess.Popen[bytes] | None = None
        # The kernel ends it when the tests are killed.
        self._prefix = ["setpriv", "--pdeathsig", "KILL"]
        if os.geteuid() == 0:
            user = next(entry for entry in map(_entry, users) if entry is not None)
            self._prefix += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
            os.chown(self.directory, user.pw_uid, user.pw_gid)

    def take(self, path: Path) -> Path:
        """Copy a file to where the server may read it, and nobody else."""
        copy = Path(shutil.copy(path, self.directory))
        copy.chmod(0o600)
        owner = self.directory.stat()
        os.chown(copy, owner.st_uid, owner.st_gid)
        return copy

    def once(self, command: Sequence[str]) -> None:
        """Run a command of the server's user to its end."""
        done = subprocess.run(
            [*self._prefix, *command],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stderr or done.stdout}")

    def start(self, command: Sequence[str], answers: Callable[[], bool]) -> None:
        """Start the server and return when it answers."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, *command],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        late = time.monotonic() + PATIENCE
        while not answers():
            if self._process.poll() is not None or time.monotonic() > late:
                said = (self.directory / "log").read_text(errors="replace")
                raise RuntimeError(f"{command[0]} did not come up:\n{said[-3000:]}")
            time.sleep(LOOK_AGAIN)

    def kill(self) -> None:
        """End the server as a power cut would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let the server do nothing more, while its connections stay open."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    def remove(self) -> None:
        """End the server, and leave nothing behind."""
        self.thaw()
        self._end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _signal_all(self, number: signal.Signals) -> None:
        # PostgreSQL has a process for each connection.
        if self._process is not None and self._process.poll() is None:
            for pid in (*_children(self._process.pid), self._process.pid):
                os.kill(pid, number)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            children = _children(process.pid)
            for pid in (process.pid, *children):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            process.wait(PATIENCE)
            late = time.monotonic() + PATIENCE
            while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < late:
                time.sleep(LOOK_AGAIN)


def free_port() -> int:
    """Return a port that is free at this moment, for a server that does not take 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
