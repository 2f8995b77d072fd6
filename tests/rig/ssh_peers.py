"""Hosts that let people in by passwords and questions: paramiko's server and asyncssh's, on their own threads."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncssh
import paramiko  # type: ignore[import-untyped]

USER, PASSWORD = "scale", "correct horse battery"


class Wanted(paramiko.ServerInterface):
    """What paramiko's host wants, in this order; each is one of RFC 4252's methods."""

    def __init__(self, ways: Sequence[str], prompts: Sequence[Sequence[tuple[str, bool]]]) -> None:
        self.tried: list[str] = []
        self.answers: list[list[str]] = []
        self._ways = list(ways)
        self._prompts = [*prompts]

    def get_allowed_auths(self, username: str) -> str:
        return self._ways[0] if self._ways else ""

    def _judge(self, way: str, right: bool) -> int:
        self.tried.append(way)
        if not right or self._ways[:1] != [way]:
            return int(paramiko.AUTH_FAILED)
        del self._ways[0]
        return int(paramiko.AUTH_PARTIALLY_SUCCESSFUL if self._ways else paramiko.AUTH_SUCCESSFUL)

    def check_auth_password(self, username: str, password: str) -> int:
        return self._judge("password", (username, password) == (USER, PASSWORD))

    def check_auth_publickey(self, username: str, key: Any) -> int:
        return self._judge("publickey", username == USER)

    def check_auth_interactive(self, username: str, submethods: str) -> Any:
        if self._ways[:1] != ["keyboard-interactive"]:
            return self._judge("keyboard-interactive", False)
        return self._question()

    def check_auth_interactive_response(self, responses: list[Any]) -> Any:
        self.answers.append([each if isinstance(each, str) else each.decode() for each in responses])
        if self._prompts:
            return self._question()
        return self._judge("keyboard-interactive", PASSWORD in self.answers[0])

    def _question(self) -> Any:
        return paramiko.server.InteractiveQuery("Log in", "", *self._prompts.pop(0))


class ParamikoHost:
    """Takes one connection.

    Args:
        folder: for its key, made by `tests.rig.sshd.make_key`.
        wanted: who is let in.

    """

    def __init__(self, key: Path, wanted: Wanted) -> None:
        self._key = paramiko.Ed25519Key(filename=str(key))
        self._wanted = wanted
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._transport: Any = None
        self._thread = threading.Thread(target=self._serve)

    def start(self) -> None:
        """Wait for it."""
        self._thread.start()

    def stop(self) -> None:
        """Close; blocks a moment."""
        self._listening.close()
        self._thread.join()
        if self._transport is not None:
            self._transport.close()
            self._transport.join()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        self._transport = paramiko.Transport(connection)
        self._transport.add_server_key(self._key)
        self._transport.start_server(event=threading.Event(), server=self._wanted)


class Server(asyncssh.SSHServer):
    """Takes the password, by one way or another: ``password``, ``questions``, or ``expired``."""

    def __init__(self, way: str, there: list[Any]) -> None:
        self._way = way
        self._there = there

    def connection_made(self, conn: Any) -> None:
        self._there.append(conn)

    def password_auth_supported(self) -> bool:
        return self._way in {"password", "expired"}

    def validate_password(self, username: str, password: str) -> bool:
        if self._way == "expired":
            raise asyncssh.PasswordChangeRequired("Choose another")
        return (username, password) == (USER, PASSWORD)

    def kbdint_auth_supported(self) -> bool:
        return self._way == "questions"

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "Log in", "with your password", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return list(responses) == [PASSWORD]


class AsyncsshHost:
    """Takes connections.

    Args:
        key: the file of its private key.
        way: by which it lets people in, see `Server`.

    """

    def __init__(self, key: Path, way: str) -> None:
        self._key = key
        self._way = way
        self._there: list[Any] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._acceptor: Any = None
        self.port = 0

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._acceptor = self._run(self._listen())
        self.port = self._acceptor.get_port()

    def stop(self) -> None:
        """Close; blocks a moment."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> Any:
        keys = [str(self._key)]
        return await asyncssh.create_server(
            lambda: Server(self._way, self._there), "127.0.0.1", 0, server_host_keys=keys
        )

    async def _close(self) -> None:
        self._acceptor.close()
        await self._acceptor.wait_closed()
        for connection in self._there:
            connection.abort()
            await connection.wait_closed()
