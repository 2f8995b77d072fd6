"""Set the project up with nothing but Python's standard library: ``python3 tools/bootstrap.py [GROUP]``.

GROUP is ``runtime`` (what `lineside` needs), ``dev`` (the default: tests and checks too) or ``docs``.
It uses the `uv` on PATH, else fetches the one that uv.lock pins, checks its SHA-256 and keeps it in
``.tools/``; then uv makes ``.venv`` from uv.lock. Neither pip, venv nor ensurepip is needed, so Debian's
plain ``python3`` is enough. Groups that were set up before stay. See docs/decisions/0002-two-commands.md.

The environment of pip and uv is honoured: PIP_INDEX_URL, PIP_CONFIG_FILE and pip's own files, PIP_CERT,
PIP_PROXY, UV_*, SSL_CERT_FILE, HTTPS_PROXY. Exits 0, or 1 with one line that says what to do.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # this file is what tells the reader of an older one
    sys.exit(
        f"lineside: {sys.executable} is Python {sys.version.split()[0]}; 3.11 or newer is needed. "
        "Name another one: make PYTHON=python3.12 ..."
    )

import argparse
import base64
import configparser
import hashlib
import os
import platform
import re
import shutil
import struct
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

try:
    import json
    import sqlite3  # noqa: F401  # not used here, but lineside cannot do without
    import ssl
    import zipfile
    from html.parser import HTMLParser
    from urllib.error import HTTPError, URLError
    from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
    from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener, getproxies
except ImportError as missing:
    sys.exit(f"lineside: this Python is not complete ({missing}). On Debian or Ubuntu: apt-get install python3")

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
PYPI = "https://pypi.org/simple"
OLDEST_UV = (0, 8)
"""An older uv on PATH is passed over: it does not know all that uv.lock says."""
GROUPS = ("runtime", "dev", "docs")
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""Debian's authorities in one file; Python looks only for the links that its package makes beside it."""
TIMEOUT = 30.0
ATTEMPTS = 3


class SetupFailed(Exception):
    """Set-up cannot go on; ``str()`` is the line that says why and what to do."""


def say(line: str) -> None:
    """Show progress at once, also where the output is a file."""
    print(f"lineside: {line}", file=sys.stderr, flush=True)


# -- what the person already told pip or uv --------------------------------------------------------


def pip_settings(environ: Mapping[str, str], home: Path, system: Path = Path("/etc/pip.conf")) -> dict[str, str]:
    """Return pip's ``[global]`` and ``[install]`` settings as pip would see them, environment last."""
    if environ.get("PIP_CONFIG_FILE") == os.devnull:
        files = []
    else:
        xdg = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        files = [system, home / ".pip" / "pip.conf", xdg / "pip" / "pip.conf"]
        if "PIP_CONFIG_FILE" in environ:
            files.append(Path(environ["PIP_CONFIG_FILE"]))
    settings: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, configparser.Error):
            continue  # not there, not ours to read, or not to be understood: pip would tell
        for section in ("global", "install"):
            if parser.has_section(section):
                settings.update({name.replace("_", "-"): value for name, value in parser.items(section)})
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            settings[name[4:].lower().replace("_", "-")] = value
    return settings


def package_index(environ: Mapping[str, str], pip: Mapping[str, str]) -> str | None:
    """Return the address of the index to use in PyPI's place, or None for PyPI itself."""
    configured = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or pip.get("index-url")
    if configured is None or configured.rstrip("/") == PYPI:
        return None
    return configured.rstrip("/")


def authorities_file(environ: Mapping[str, str], pip: Mapping[str, str]) -> str | None:
    """Return the file of certificate authorities to use: one that was named, else the system's, if it is there."""
    named = (
        environ.get("SSL_CERT_FILE"),
        pip.get("cert"),
        environ.get("REQUESTS_CA_BUNDLE"),
        environ.get("CURL_CA_BUNDLE"),
        SYSTEM_BUNDLE,
    )
    return next((path for path in named if path and Path(path).is_file()), None)


def system_authorities() -> bool:
    """Tell whether the system has any certificate authorities of its own."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile and Path(paths.cafile).stat().st_size:
        return True
    return bool(paths.capath) and any(Path(paths.capath).iterdir())


# -- fetching one file -----------------------------------------------------------------------------


class Fetcher:
    """HTTP GET that honours proxies, named authorities and credentials in an address."""

    def __init__(
        self, cafile: str | None, proxies: dict[str, str], pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._cafile = cafile
        self._proxies = proxies
        self._pause = pause

    def get(self, url: str, *, accept: str = "*/*", pinned: bool = False) -> bytes:
        """Return the body.

        With ``pinned`` the caller checks the body against a hash it holds, and a system that has no
        certificate authorities at all is no hindrance.

        Raises:
            SetupFailed: the network, the certificate or the server said no.

        """
        context = ssl.create_default_context(cafile=self._cafile)
        if pinned and self._cafile is None and not system_authorities():
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        opener = build_opener(ProxyHandler(self._proxies), HTTPSHandler(context=context))
        clean, authorization = without_credentials(url)
        request = Request(clean, headers={"Accept": accept, "User-Agent": "lineside-bootstrap"})
        if authorization:
            request.add_unredirected_header("Authorization", authorization)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._read(opener.open(request, timeout=TIMEOUT))
            except HTTPError as refused:
                refused.close()
                if refused.code < 500 or attempt == ATTEMPTS:
                    raise SetupFailed(f"{clean} answers {refused.code} {refused.reason}.") from refused
            except (OSError, ValueError) as failed:
                why = failed.reason if isinstance(failed, URLError) else failed
                if isinstance(why, ssl.SSLCertVerificationError):
                    raise SetupFailed(untrusted(urlsplit(clean).hostname, why.verify_message)) from failed
                if attempt == ATTEMPTS:
                    raise SetupFailed(unreachable(urlsplit(clean).hostname, why)) from failed
            self._pause(attempt)
        raise AssertionError

    def _read(self, response: Any) -> bytes:
        with response:
            size = int(response.headers.get("Content-Length") or 0)
            body = bytearray()
            while chunk := response.read(1 << 18):
                body += chunk
                if size > 1 << 20 and sys.stderr.isatty():
                    print(f"\r  {len(body) * 100 // size} %", end="", file=sys.stderr, flush=True)
            if size > 1 << 20 and sys.stderr.isatty():
                print("\r", end="", file=sys.stderr)
            if size and len(body) != size:
                raise OSError(f"the connection broke off after {len(body)} of {size} bytes")
            return bytes(body)


def without_credentials(url: str) -> tuple[str, str | None]:
    """Split ``user:password@`` off an address: the clean address and the value for Authorization."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, None
    user, _, host = parts.netloc.rpartition("@")
    token = base64.b64encode(unquote(user).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), f"Basic {token}"


def untrusted(host: str | None, reason: str) -> str:
    """Word the failure to trust a certificate."""
    return (
        f"the certificate of {host} is not trusted ({reason}). Install the system's certificate authorities "
        "(as root: apt-get install ca-certificates), or name your network's own in SSL_CERT_FILE."
    )


def unreachable(host: str | None, reason: object) -> str:
    """Word the failure to reach a host."""
    return (
        f"{host} cannot be reached ({reason}). Check the network; behind a proxy set HTTPS_PROXY, "
        "with a mirror of PyPI set PIP_INDEX_URL."
    )


# -- uv --------------------------------------------------------------------------------------------


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
        raise SetupFailed(f"{without_credentials(page)[0]} has no {filename}. Install uv yourself, then try again.")
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


def fetch_uv(
    fetcher: Fetcher, index: str | None, wheels: list[dict[str, Any]], machine: Machine, tools: Path
) -> Path:
    """Fetch the uv that uv.lock pins, check it, and return where below ``tools`` it is.

    Raises:
        SetupFailed: there is none for this machine, it could not be had, or it is not what was pinned.

    """
    fitting = [wheel for wheel in wheels if machine.runs(wheel["url"].rsplit("/", 1)[1])]
    if not fitting:
        raise SetupFailed(f"uv has no wheel for {platform.platform()}. Install uv yourself, then try again.")
    wheel = fitting[0]
    filename = wheel["url"].rsplit("/", 1)[1]
    version = filename.split("-")[1]
    target = tools / f"uv-{version}" / "uv"
    if target.exists():
        return target
    say(f"fetching uv {version} ({wheel['size'] / 1e6:.0f} MB), which installs the rest ...")
    url = on_index(fetcher, index, "uv", filename) if index else wheel["url"]
    body = fetcher.get(url, pinned=True)
    found = "sha256:" + hashlib.sha256(body).hexdigest()
    if found != wheel["hash"]:
        raise SetupFailed(f"{filename} is not the file that uv.lock pins ({found}); it was thrown away.")
    unpack_uv(body, target)
    return target


def uv_on_path(path: str | None) -> Path | None:
    """Return the uv on PATH if it works and is new enough."""
    program = shutil.which("uv", path=path)
    if program is None:
        return None
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.match(r"uv (\d+)\.(\d+)", answer.stdout)
    if answer.returncode or version is None or (int(version[1]), int(version[2])) < OLDEST_UV:
        return None
    return Path(program)


# -- the environment -------------------------------------------------------------------------------


def uv_environment(environ: Mapping[str, str], cafile: str | None, proxy: str | None) -> dict[str, str]:
    """Return the environment in which uv finds what pip was told."""
    env = dict(environ)
    env.pop("VIRTUAL_ENV", None)
    env["UV_PROJECT_ENVIRONMENT"] = str(VENV)
    env.setdefault("UV_PYTHON_DOWNLOADS", "never")
    if cafile:
        env["SSL_CERT_FILE"] = cafile
    else:
        env.pop("SSL_CERT_FILE", None)  # it names no file; uv would trust nobody
        if system_authorities():
            env.setdefault("UV_SYSTEM_CERTS", "1")
    if proxy and not getproxies():
        env["ALL_PROXY"] = proxy
    cache = Path(env.get("UV_CACHE_DIR") or Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv")
    there = next(parent for parent in [cache, *cache.parents] if parent.exists())
    if not os.access(there, os.W_OK):
        env["UV_CACHE_DIR"] = str(TOOLS / "cache")
    elif there.stat().st_dev != ROOT.stat().st_dev:
        env.setdefault("UV_LINK_MODE", "copy")  # another file system: links are not possible
    return env


def stamp(group: str) -> Path:
    """Return the file that says a group is set up; newer than uv.lock and pyproject.toml while it holds."""
    return VENV / f".ready-{group}"


def install(uv: Path, index: str | None, groups: Iterable[str], env: Mapping[str, str]) -> None:
    """Make ``.venv`` hold exactly what uv.lock says for these groups.

    Raises:
        SetupFailed: uv failed; it has told why.

    """
    wanted = ["--no-default-groups", *(f"--group={group}" for group in groups if group != "runtime")]
    python = [] if (VENV / "bin" / "python").exists() else ["--python", sys.executable]

    def run(*arguments: str) -> None:
        if subprocess.run([str(uv), *arguments], cwd=ROOT, env=env, check=False).returncode:
            raise SetupFailed("uv could not install what uv.lock names; it said why above.")

    if index is None:
        run("sync", "--frozen", *wanted, *python)
        return
    # uv.lock holds PyPI's addresses; a mirror is asked for the same files by name and hash.
    if python:
        run("venv", *python, str(VENV))
    with tempfile.TemporaryDirectory() as scratch:
        requirements = str(Path(scratch, "requirements.txt"))
        run("export", "--quiet", "--frozen", "--no-emit-project", *wanted, "--output-file", requirements)
        at = ["--python", str(VENV / "bin" / "python"), "--default-index", index]
        run("pip", "sync", "--require-hashes", *at, requirements)
        run("pip", "install", "--no-deps", *at, "--editable", str(ROOT))


def set_up(group: str, environ: Mapping[str, str]) -> None:
    """Set a group up, and with it again every group that was set up before."""
    pip = pip_settings(environ, Path.home())
    index = package_index(environ, pip)
    proxy = pip.get("proxy")
    cafile = authorities_file(environ, pip)
    fetcher = Fetcher(cafile, {"http": proxy, "https": proxy} if proxy else getproxies())
    uv = uv_on_path(environ.get("PATH"))
    if uv is None:
        lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
        uv = fetch_uv(fetcher, index, locked_wheels(lock, "uv"), Machine.here(), TOOLS)
    TOOLS.mkdir(exist_ok=True)
    link = TOOLS / "uv"
    link.unlink(missing_ok=True)
    link.symlink_to(uv.relative_to(TOOLS) if uv.is_relative_to(TOOLS) else uv)
    groups = [name for name in GROUPS if name == group or stamp(name).exists()]
    say(f"installing into .venv from uv.lock ({', '.join(groups)}); the first time takes about a minute ...")
    try:
        install(uv, index, groups, uv_environment(environ, cafile, proxy))
    except SetupFailed:
        if not environ.get("UV_OFFLINE"):
            fetcher.get(f"{index or PYPI}/uv/")  # says it better, where the network is the cause
        raise
    for name in {*groups, "runtime"}:
        stamp(name).touch()
    say("ready.")


def fail(reason: str) -> NoReturn:
    """End with one line."""
    sys.exit(f"lineside: set-up failed: {reason}")


def main() -> None:
    """Set up what the command line names."""
    parser = argparse.ArgumentParser(description="Set the project up in .venv, from uv.lock.")
    parser.add_argument("group", nargs="?", choices=GROUPS, default="dev")
    try:
        set_up(parser.parse_args().group, os.environ)
    except SetupFailed as failed:
        fail(str(failed))
    except OSError as failed:
        fail(f"{failed}. Is the checkout writable, and is there space on the disk?")
    except KeyboardInterrupt:
        fail("interrupted; run it again, it goes on where it stopped.")


if __name__ == "__main__":
    main()
