"""What a person told pip or uv about the network, and HTTP GET that follows it. Standard library only."""

from __future__ import annotations

import base64
import configparser
import os
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener, getproxies

PYPI = "https://pypi.org/simple"
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""Debian's authorities in one file; Python looks only for the links that its package makes beside it."""
TIMEOUT = 30.0
ATTEMPTS = 3


class SetupFailed(Exception):
    """Set-up cannot go on; ``str()`` is the line that says why and what to do."""


@dataclass(frozen=True)
class Network:
    """How packages are reached."""

    index: str | None
    """The address of the index to use in PyPI's place; None for PyPI itself."""
    proxy: str | None
    """A proxy that pip was told of; others are in the usual environment variables."""
    cafile: str | None
    """The file of certificate authorities to trust; None leaves it to the system."""

    @classmethod
    def told(cls, environ: Mapping[str, str]) -> Network:
        """Read what pip and uv would read."""
        pip = pip_settings(environ, home())
        return cls(package_index(environ, pip), pip.get("proxy"), authorities_file(environ, pip))


def home() -> Path:
    """Return the home directory, or one that does not exist for a user that the system does not know."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/nonexistent")


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


class Fetcher:
    """HTTP GET that honours proxies, named authorities and credentials in an address."""

    def __init__(self, network: Network, pause: Callable[[float], None] = time.sleep) -> None:
        self._cafile = network.cafile
        self._proxies = {"http": network.proxy, "https": network.proxy} if network.proxy else getproxies()
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

    def _read(self, response: HTTPResponse) -> bytes:
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
