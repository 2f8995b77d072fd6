"""What an auditor asks of a configuration: who can reach what, how they are known, and where secrets are."""

from __future__ import annotations

import platform
import sqlite3
import ssl
import stat
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from msgspec import Struct

from lineside.assemble.exposure import is_public
from lineside.assemble.httpsettings import HttpSourceSettings
from lineside.assemble.linessettings import LinesSourceSettings
from lineside.assemble.settings import Settings
from lineside.model.wording import key_path
from lineside.security.limits import Rate, part_of

SECRETS = frozenset({"api_key", "api_secret", "password", "passphrase", "secret", "jwt_key"})
"""Keys whose values are secrets."""
ADDRESS = "its address"
LIBRARIES = (
    "lineside",
    "twisted",
    "cryptography",
    "pyopenssl",
    "autobahn",
    "pyjwt",
    "jinja2",
    "msgspec",
    "pydantic",
)


class Door(Struct, frozen=True):
    """One way in."""

    what: str
    """The table of the configuration."""
    address: str
    public: bool
    """Other machines can reach it."""
    tls: bool
    known_by: str
    """How it is known who sends."""
    limits: dict[str, float]


class Host(Struct, frozen=True):
    """Where the gateway logs in by SSH."""

    what: str
    """The table of the configuration."""
    address: str
    user: str
    shows: str
    """By what it knows us."""
    known_by: str
    """By what we know it."""


class Place(Struct, frozen=True):
    """Where a secret is."""

    key: str
    place: str
    """``env NAME``, ``file PATH``, ``credential NAME``, or ``the configuration itself``."""
    mode: str | None = None
    """Of a file, in octal."""


class Posture(Struct, frozen=True):
    """What the configuration says, and on what it runs."""

    doors: list[Door]
    secrets: list[Place]
    files: dict[str, str]
    """The modes of the journal, its control socket and the configuration, where they are there."""
    versions: dict[str, str]
    unsafe: list[str]
    """What an auditor would mark, one line each."""
    hosts: list[Host] = []
    """To which the gateway goes by SSH."""


def posture(settings: Settings) -> Posture:
    """Look at a configuration, and at the files that it names; nothing is opened or asked."""
    doors, secrets = [*_doors(settings)], [*_secrets(settings)]
    journal = settings.journal
    there = (settings.path, journal.path, journal.control_path)
    files = {str(path): mode for path in there if (mode := _mode(path)) is not None}
    unsafe = [*_unsafe(doors, secrets, settings.path), *_unsafe_login(settings), *_unsafe_hosts(settings)]
    return Posture(doors, secrets, files, _versions(), unsafe, [*_hosts(settings)])


def _hosts(settings: Settings) -> Iterator[Host]:
    for name, table in (settings.pulls | settings.ssh_commands).items():
        ways = [way for way, given in (("a key", table.key), ("a password", table.password)) if given is not None]
        known = "host_key" if table.known_hosts is None else f"known_hosts {table.known_hosts}"
        address = f"{table.address.host}:{table.address.port}"
        yield Host(key_path("sources", name), address, table.user, ", or else ".join(ways), known)


def _unsafe_hosts(settings: Settings) -> Iterator[str]:
    for name, table in (settings.pulls | settings.ssh_commands).items():
        if table.legacy:
            where = key_path("sources", name)
            yield f"{where}.legacy: who can alter the connection to {table.address.host} has a chance against it"


def _doors(settings: Settings) -> Iterator[Door]:
    yield Door("journal.control", str(settings.journal.control_path), False, False, "the file's mode", {})
    for name, source in settings.sources.items():
        if isinstance(source, LinesSourceSettings) and source.listen is not None:
            places = {} if source.datagrams else _connections(settings, source.max_connections)
            limits = {"max_line": source.max_line, **places}
            limits |= _rate("lines_per_second_of_one_connection", source.rate)
            tls, public = _tls(source, source.listen), is_public(source.listen)
            where = key_path("sources", name)
            yield Door(where, source.listen, public, tls, _devices(source, public=public), {**limits})
    if settings.dns is not None and settings.dns.zone is not None:
        by = "its address, in networks; it learns names, and can change nothing"
        rate: dict[str, float] = {"rate_limit": settings.dns.rate_limit}
        yield Door("dns", settings.dns.listen, is_public(settings.dns.listen), False, by, rate)
    if settings.ssh is not None:
        ssh = settings.ssh
        most = {"max_connections": ssh.max_connections, "login_timeout": ssh.login_timeout}
        by = "public keys"
        if any(user.password is not None for user in ssh.users.values()):
            by += ", or passwords where users have one"
        # SSH has an encryption of its own.
        yield Door("ssh", ssh.listen, is_public(ssh.listen), True, by, {**most})
    if settings.http is None:
        return
    listen, http = settings.http.listen, settings.http
    public, tls = is_public(listen), _tls(http, listen)
    limits = {"max_body": http.max_body, **_connections(settings, http.max_connections)}
    limits |= _rate("requests_per_second_of_one_address", settings.limits.requests)
    limits |= _rate("requests_per_second_of_one_identity", settings.limits.identity_requests)
    login = http.login
    known_by = "API tokens" if login is None else "API tokens, people's passwords in the ERP"
    yield Door("http", listen, public, tls, known_by, {**limits})
    for name, source in settings.sources.items():
        where = key_path("sources", name)
        if isinstance(source, HttpSourceSettings):
            by = "API tokens; none from this machine" if source.anonymous else "API tokens"
            bounds = {
                "max_body": source.max_body,
                "max_event": source.max_event,
                "max_requests": source.max_requests,
            }
            yield Door(where, f"{listen} POST /api/v1/events/{name}", public, tls, by, {**bounds})
    for name, hook in settings.hooks.items():
        if hook.secret is not None or hook.unsigned:
            by = "nothing: unsigned = true" if hook.secret is None else "the webhook's signature"
            yield Door(key_path("sources", name), f"{listen} POST /hooks/{name}", public, tls, by, {})
    if settings.live is not None:
        live = settings.live
        by = "API tokens" if live.jwt_key is None else "API tokens, JSON Web Tokens"
        if live.frappe is not None:
            by += ", the ERP's sessions"
        most = {"max_message": live.max_message, **_connections(settings, live.max_connections)}
        yield Door("live", f"{listen} /connection/websocket", public, tls, by, {**most})


def _devices(source: LinesSourceSettings, *, public: bool) -> str:
    where = "" if source.allow is None else f"{', '.join(source.allow)}"
    if source.certified:
        return f"its certificate{f', from {where}' if where else ''}"
    if where:
        return f"{ADDRESS}, one of {where}"
    return "nothing: public = true" if public else ADDRESS


def _rate(name: str, rate: Rate | str) -> dict[str, float]:
    return {name: rate.count / rate.seconds} if isinstance(rate, Rate) else {}


def _connections(settings: Settings, most: int) -> dict[str, float]:
    one = settings.limits.connections or part_of(most)
    return {"max_connections": most, "connections_of_one_address": min(most, one)}


def _tls(table: object, listen: str) -> bool:
    return bool(getattr(table, "tls", False)) or listen.partition(":")[0] in {"ssl", "tls"}


def _secrets(settings: Settings) -> Iterator[Place]:
    yield from _secrets_in(tomllib.loads(settings.path.read_text(encoding="utf-8")), (), settings.path.parent)


def _secrets_in(table: Mapping[str, Any], above: tuple[str, ...], directory: Path) -> Iterator[Place]:
    for name, value in table.items():
        path = (*above, name)
        match value:
            case str() if name in SECRETS:
                yield Place(key_path(*path), "the configuration itself")
            case {"env": str(variable), **others} if name in SECRETS and not others:
                yield Place(key_path(*path), f"env {variable}")
            case {"credential": str(credential), **others} if name in SECRETS and not others:
                yield Place(key_path(*path), f"credential {credential}")
            case {"file": str(file), **others} if name in SECRETS and not others:
                yield Place(key_path(*path), f"file {directory / file}", _mode(directory / file))
            case dict():
                yield from _secrets_in(value, path, directory)


def _mode(path: Path) -> str | None:
    try:
        return f"{stat.S_IMODE(path.stat().st_mode):04o}"
    except OSError:
        return None


def _versions() -> dict[str, str]:
    return {
        **{name: version(name) for name in LIBRARIES},
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
    }


def _unsafe_login(settings: Settings) -> Iterator[str]:
    http = settings.http
    if http is not None and http.login is not None and http.login.insecure and http.tls is None:
        yield f"http.login.insecure: passwords come to {http.listen} unencrypted, from wherever it can be reached"


def _unsafe(doors: list[Door], secrets: list[Place], path: Path) -> Iterator[str]:
    for door in doors:
        if door.public and not door.tls:
            yield f"{door.what}: what is sent to {door.address} crosses the network unencrypted"
        if door.public and door.known_by.startswith("nothing"):
            yield f"{door.what}: whoever reaches {door.address} can make events"
        if door.public and door.known_by.startswith(f"{ADDRESS}, one of"):
            networks = door.known_by.partition(" of ")[2]
            yield f"{door.what}: whoever reaches {door.address} from {networks} can make events"
    for secret in secrets:
        if secret.place == "the configuration itself":
            yield f"{secret.key}: the secret stands in the configuration"
            if (mode := _mode(path)) is not None and int(mode, 8) & 0o044:
                yield f"{path}: holds a secret, and others can read it (mode {mode})"
