"""Look whether everything that the course needs is there."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from msgspec import Struct

OLDEST_PYTHON = (3, 11)
OLDEST_TWISTED = (24, 7)
"""Its Deferreds are typed as the examples have them, and `Site` and conch are as they are described."""
WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)
"""The course is not older: a clock that shows an earlier time is wrong."""

LIBRARIES = {
    "OpenSSL": ("pyOpenSSL", "TLS, from chapter 6 on", "pip install 'twisted[tls]'"),
    "cryptography": ("cryptography", "certificates and keys, from chapter 6 on", "pip install 'twisted[tls]'"),
    "autobahn.twisted.websocket": ("autobahn", "WebSockets, chapter 7", "pip install autobahn"),
    "bcrypt": ("bcrypt", "keys for SSH, chapter 8", "pip install 'twisted[conch]'"),
    "twisted.conch.ssh.keys": ("Twisted", "SSH, chapter 8", "pip install 'twisted[conch]'"),
    "twisted.names.server": ("Twisted", "DNS, chapter 8", "pip install twisted"),
}
"""By module: its distribution, what the course uses it for, and how to get it."""

PROGRAMS = {
    "curl": "sends HTTP requests, from chapter 5 on",
    "openssl": "shows certificates, chapter 6",
    "ssh": "logs in, chapter 8",
    "sftp": "drops files, chapter 8",
    "dig": "asks the name server, chapter 8",
}
"""By name: what the demonstrations use it for. They go on without."""


class Examined(Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "missing", "optional"]
    """``missing`` is needed; ``optional`` is not there either, but the course goes on without."""
    told: str
    """What was found."""
    remedy: str | None = None
    """What to do, where something is missing."""


def examined(folder: Path) -> Iterator[Examined]:
    """Look at everything, one after the other; blocks for moments.

    Args:
        folder: where the learner's files are, or will be.

    """
    yield python()
    yield environment()
    yield pip()
    yield twisted()
    for module, (distribution, used, remedy) in LIBRARIES.items():
        yield library(module, distribution, used, remedy)
    yield loopback()
    yield writable(folder)
    yield clock(datetime.now(UTC))
    for name, used in PROGRAMS.items():
        yield program(name, used)


def python(running: tuple[int, ...] = sys.version_info[:3]) -> Examined:
    """Look at the interpreter."""
    told = f"{'.'.join(map(str, running))} ({sys.executable})"
    if running >= OLDEST_PYTHON:
        return Examined("Python", "ok", told)
    return Examined("Python", "missing", told, "install Python 3.11 or newer")


def environment() -> Examined:
    """Look whether this is a virtual environment."""
    if sys.prefix != sys.base_prefix:
        return Examined("venv", "ok", sys.prefix)
    remedy = "python3 -m venv env && source env/bin/activate, then install again"
    return Examined("venv", "optional", "this Python is in no virtual environment", remedy)


def pip() -> Examined:
    """Look whether ``python -m venv`` can make environments with pip, as chapter 2 does."""
    if find_spec("venv") is not None and find_spec("ensurepip") is not None:
        return Examined("python -m venv", "ok", "makes environments with pip")
    told = "this Python lacks ensurepip, so that it makes none with pip"
    return Examined("python -m venv", "optional", told, "apt-get install python3-venv; or: uv venv --seed env")


def twisted() -> Examined:
    """Look at Twisted and its release."""
    try:
        release = version("twisted")
    except PackageNotFoundError:
        return Examined("Twisted", "missing", "not installed", "pip install twisted")
    numbers = tuple(int(part) for part in release.split(".")[:2] if part.isdigit())
    if numbers < OLDEST_TWISTED:
        return Examined("Twisted", "missing", f"{release} is too old", "pip install --upgrade twisted")
    return Examined("Twisted", "ok", release)


def library(module: str, distribution: str, used: str, remedy: str) -> Examined:
    """Look whether a module can be imported."""
    try:
        import_module(module)
        return Examined(module, "ok", f"{distribution} {version(distribution)}: {used}")
    except ImportError as wrong:
        return Examined(module, "missing", f"{used}: {wrong}", remedy)


def loopback() -> Examined:
    """Look whether a free port can be opened on the loopback interface, and reached there."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                accepted, _ = server.accept()
                accepted.close()
    except OSError as failed:
        remedy = "let programs of this machine speak to each other on 127.0.0.1 (a firewall, a sandbox?)"
        return Examined("loopback", "missing", f"no port on 127.0.0.1 can be opened and reached: {failed}", remedy)
    return Examined("loopback", "ok", f"a free port on 127.0.0.1 ({port}) can be opened and reached")


def writable(folder: Path) -> Examined:
    """Look whether files can be written in a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as failed:
        remedy = "go to a folder of yours, such as your home"
        return Examined("folder", "missing", f"{folder} cannot be written: {failed.strerror}", remedy)
    return Examined("folder", "ok", f"{folder} can be written")


def clock(now: datetime) -> Examined:
    """Look whether the clock can be right: certificates are valid between two times."""
    told = f"{now:%Y-%m-%d %H:%M} UTC"
    if now >= WRITTEN:
        return Examined("clock", "ok", told)
    return Examined("clock", "missing", f"{told} is past", "set the clock: certificates are valid later than that")


def program(name: str, used: str) -> Examined:
    """Look for a program on the path."""
    path = shutil.which(name, path=os.environ.get("PATH"))
    if path is not None:
        return Examined(name, "ok", f"{path}: {used}")
    return Examined(name, "optional", f"{used}; without it a few lines of Python take its part", f"install {name}")
