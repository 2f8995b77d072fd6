"""The wheel of uv that uv.lock pins for this machine, fetched, checked and unpacked. Standard library only."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import struct
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from network import Fetcher, SetupFailed, without_credentials


def say(line: str) -> None:
    """Show progress at once, also where the output is a file."""
    print(f"lineside: {line}", file=sys.stderr, flush=True)


def locked_wheels(lock: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the ``url``, ``hash`` and ``size`` of every wheel that uv.lock pins for a package."""
    for package in lock["package"]:
        if package["name"] == name:
            return list(package["wheels"])
    raise SetupFailed(f"uv.lock pins no {name}; the checkout is not complete: git checkout uv.lock")


class Machine:
    """Which wheels run here."""

    def __init__(self, system: str, machine: str, bits: int, libc: tuple[str, str]) -> None:
        self.system = system
        narrow = {"x86_64": "i686", "aarch64": "armv7l"}  # a 32-bit userland under a 64-bit kernel
        self.machine = narrow.get(machine, machine) if bits == 32 else machine
        self.glibc = tuple(int(n) for n in re.findall(r"\d+", libc[1])[:2]) if libc[0] == "glibc" else None

    @classmethod
    def here(cls) -> Machine:
        """Describe the running interpreter's machine."""
        return cls(platform.system(), platform.machine(), struct.calcsize("P") * 8, platform.libc_ver())

    def runs(self, filename: str) -> bool:
        """Tell whether a wheel of this file name runs here."""
        tags = filename.removesuffix(".whl").rsplit("-", 1)[1].split(".")
        return any(self._fits(tag) for tag in tags)

    def _fits(self, tag: str) -> bool:
        if self.system == "Darwin":
            return tag.startswith("macosx_") and tag.endswith(f"_{self.machine}")
        if self.system != "Linux":
            return False
        if self.glibc is None:
            return bool(re.fullmatch(rf"musllinux_1_\d+_{self.machine}", tag))
        match = re.fullmatch(rf"manylinux_(\d+)_(\d+)_{self.machine}", tag)
        return match is not None and (int(match[1]), int(match[2])) <= self.glibc


class _Links(HTMLParser):
    """Collects the links of an index page by the file name each ends in."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href") if tag == "a" else None
        if href:
            self.found[unquote(urlsplit(href).path.rsplit("/", 1)[-1])] = href


def on_index(fetcher: Fetcher, index: str, project: str, filename: str) -> str:
    """Return the address of a file on a simple index (PEP 503 or PEP 691)."""
    page = f"{index}/{project}/"
    accept = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
    body = fetcher.get(page, accept=accept)
    if body.lstrip().startswith(b"{"):
        links = {file["filename"]: file["url"] for file in json.loads(body)["files"]}
    else:
        parser = _Links()
        parser.feed(body.decode("utf-8", "replace"))
        links = parser.found
    if filename not in links:
        raise SetupFailed(f"{without_credentials(page)[0]} has no {filename}. {yourself(project)}")
    url = urljoin(page, links[filename])
    return with_credentials_of(index, url)


def with_credentials_of(index: str, url: str) -> str:
    """Carry an index's credentials over to a file on the same host."""
    ours, theirs = urlsplit(index), urlsplit(url)
    if "@" in ours.netloc and ours.hostname == theirs.hostname and "@" not in theirs.netloc:
        return urlunsplit(theirs._replace(netloc=ours.netloc.rpartition("@")[0] + "@" + theirs.netloc))
    return url


def unpack_uv(wheel: bytes, target: Path) -> None:
    """Put the program that a uv wheel holds at ``target``, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        file = Path(scratch, "uv.whl")
        file.write_bytes(wheel)
        with zipfile.ZipFile(file) as archive:
            inside = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
            program = Path(archive.extract(inside, scratch))
        program.chmod(0o755)
        program.replace(target)


def fitting_wheel(name: str, wheels: list[dict[str, Any]], machine: Machine) -> dict[str, Any]:
    """Return the wheel that runs here.

    Raises:
        SetupFailed: there is none.

    """
    for wheel in wheels:
        if machine.runs(file_name(wheel)):
            return wheel
    raise SetupFailed(f"{name} has no wheel for {platform.platform()}. {yourself(name)}")


def file_name(wheel: Mapping[str, Any]) -> str:
    """Return a locked wheel's file name."""
    return str(wheel["url"].rsplit("/", 1)[1])


def version_of(wheel: Mapping[str, Any]) -> str:
    """Return a locked wheel's version."""
    return file_name(wheel).split("-")[1]


def yourself(name: str) -> str:
    """Say what to do where a package cannot be had as a wheel."""
    program = "Node.js" if name.startswith("nodejs") else name
    return f"Install {program} yourself, then try again."


def fetch_wheel(fetcher: Fetcher, index: str | None, name: str, wheel: Mapping[str, Any]) -> bytes:
    """Return what a locked wheel holds.

    Raises:
        SetupFailed: it could not be had, or it is not what was pinned.

    """
    filename = file_name(wheel)
    body = fetcher.get(on_index(fetcher, index, name, filename) if index else wheel["url"], pinned=True)
    found = "sha256:" + hashlib.sha256(body).hexdigest()
    if found != wheel["hash"]:
        raise SetupFailed(f"{filename} is not the file that uv.lock pins ({found}); it was thrown away.")
    return body


def fetch_uv(
    fetcher: Fetcher, index: str | None, wheels: list[dict[str, Any]], machine: Machine, tools: Path
) -> Path:
    """Fetch the uv that uv.lock pins, check it, and return where below ``tools`` it is.

    Raises:
        SetupFailed: there is none for this machine, it could not be had, or it is not what was pinned.

    """
    wheel = fitting_wheel("uv", wheels, machine)
    version = version_of(wheel)
    target = tools / f"uv-{version}" / "uv"
    if not target.exists():
        say(f"fetching uv {version} ({wheel['size'] / 1e6:.0f} MB), which installs the rest ...")
        unpack_uv(fetch_wheel(fetcher, index, "uv", wheel), target)
    return target
