"""The values of the configuration that TOML has no types for: durations, secrets, paths, endpoints."""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from cryptography import x509
from msgspec import Struct
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from lineside.assemble.authorities import read_authorities
from lineside.assemble.clientendpoints import check_service, parse_client
from lineside.assemble.endpoints import parse_listener

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|m|h|d)", re.ASCII)
CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""The variable that names the directory of a service's secrets (systemd.exec(5), section Credentials)."""
_PART = r'[^.{}\s"]+'


class Shape(Struct, frozen=True):
    """How the reference describes a type."""

    text: str


class Surroundings(Struct, frozen=True):
    """What reading values needs to know; passed to pydantic as its context."""

    directory: Path
    """The configuration file's; relative paths start here."""
    environ: Mapping[str, str]
    secrets: bool
    """Whether secrets, and what else only a connection to a target needs, are looked up at all."""
    literal_secrets: list[str]
    """Filled with the name of each field whose secret stands in the file."""
    formats: Mapping[str, object] = msgspec.field(default_factory=dict)
    """The tables ``[formats.NAME]``, as far as they could be read."""


def seconds_of(value: object) -> float:
    """Return the seconds of a duration as the file has it; raises `ValueError` where it is none."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match:
            return float(match[1]) * _UNITS[match[2]]
        if value.strip() != "0":
            raise ValueError(f'"{value}" is no duration such as "250ms", "10s", "5m", "12h" or "7d"')
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError('expected a duration such as "10s", or seconds')
    return float(value)


def duration_text(seconds: float) -> str:
    """Return a duration as one would write it: ``300.0`` as ``5m``."""
    for unit, length in sorted(_UNITS.items(), key=lambda item: -item[1]):
        if seconds and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:g}s" if seconds else "0"


Duration = Annotated[float, BeforeValidator(seconds_of), Shape("duration")]
"""Seconds."""


class Secret:
    """A password or key, hidden from logs and error messages; `reveal` gives it away."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def _secret(value: object, info: ValidationInfo) -> object:
    around = _surroundings(info)
    if isinstance(value, str):
        if value:
            around.literal_secrets.append(info.field_name or "")
        return _not_empty(value, "the secret")
    match value:
        case {"env": str(name), **others} if not others:
            find = _secret_in_environment
        case {"file": str(name), **others} if not others:
            find = _secret_in_file
        case {"credential": str(name), **others} if not others:
            if not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or name in {".", ".."}:
                raise ValueError("a credential has a name of letters, digits, -, _ and dots")
            find = _secret_in_credentials
        case _:
            raise ValueError('expected { env = "NAME" }, { file = "path" }, { credential = "NAME" } or text')
    return find(name, around) if around.secrets else Secret("")


def _secret_in_environment(name: str, around: Surroundings) -> Secret:
    if name not in around.environ:
        raise ValueError(f"the environment variable {name} is not set")
    return _not_empty(around.environ[name], f"the environment variable {name}")


def _secret_in_file(name: str, around: Surroundings) -> Secret:
    path = around.directory / name
    _check_mode(path)
    return _secret_of(path)


def _secret_of(path: Path) -> Secret:
    try:
        return _not_empty(path.read_text(encoding="utf-8").strip(), str(path))
    except (OSError, UnicodeDecodeError) as wrong:
        reason = wrong.strerror if isinstance(wrong, OSError) else "it is not UTF-8"
        raise ValueError(f"cannot read {path}: {reason}") from wrong


def _check_mode(path: Path) -> None:
    """Refuse a secret that others on this machine know, or may have chosen.

    Raises:
        ValueError: anybody may read the file, or others may write it.

    """
    try:
        mode = path.stat().st_mode
    except OSError:
        # Reading it says what is wrong.
        return
    if stat.S_ISREG(mode) and mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        what = "read" if mode & stat.S_IROTH else "write"
        raise ValueError(
            f"others may {what} {path} (mode {stat.S_IMODE(mode):04o}); chmod 600 it, and change the secret"
        )


def _secret_in_credentials(name: str, around: Surroundings) -> Secret:
    directory = around.environ.get(CREDENTIALS)
    if not directory:
        raise ValueError(f"there are no credentials: {CREDENTIALS} is not set; systemd does it for LoadCredential=")
    # Whoever hands credentials out sees to it that nobody else reads them.
    return _secret_of(around.directory / directory / name)


def _not_empty(secret: str, what: str) -> Secret:
    if not secret:
        raise ValueError(f"{what} is empty")
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ValueError(f"{what} holds characters that no key has")
    return Secret(secret)


SecretText = Annotated[Secret, BeforeValidator(_secret), Shape("secret")]


def _deliver_policy(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < 2**53:
            return value
        raise ValueError("a sequence is a whole number from 0 on")
    if value in ("all", "new"):
        return value
    raise ValueError('expected "all", "new" or a sequence')


DeliverPolicy = Annotated[
    Literal["all", "new"] | int, BeforeValidator(_deliver_policy), Shape('`"all"`, `"new"` or a sequence')
]


def _relative_path(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError("expected the path of a file")
    return _surroundings(info).directory / value


RelativePath = Annotated[Path, BeforeValidator(_relative_path), Shape("path, relative to this file")]
"""Absolute, once read."""


def _authorities(value: object, info: ValidationInfo) -> object:
    path = _relative_path(value, info)
    assert isinstance(path, Path)
    if not _surroundings(info).secrets:
        return ()
    try:
        pem = path.read_bytes()
    except OSError as wrong:
        raise ValueError(f"cannot read {path}: {wrong.strerror}") from wrong
    try:
        return read_authorities(pem, datetime.now(UTC))
    except ValueError as wrong:
        raise ValueError(f"{path} {wrong}") from wrong


Authorities = Annotated[
    tuple[x509.Certificate, ...],
    BeforeValidator(_authorities),
    Shape("path of a PEM file, relative to this file"),
]
"""The CA certificates in the file; none, so that nobody is trusted, where secrets are not looked up."""


def _surroundings(info: ValidationInfo) -> Surroundings:
    assert isinstance(info.context, Surroundings)
    return info.context


def _site_url(value: str) -> str:
    try:
        url = urlsplit(value)
        host, port = url.hostname, url.port
    except ValueError as wrong:
        raise ValueError(f"it is no address: {wrong}") from wrong
    if url.username is not None or url.password is not None:
        raise ValueError("it must hold no credentials; they belong into api_key and api_secret")
    if url.scheme in {"srv+http", "srv+https"}:
        _service(host or "")
        if port is not None:
            raise ValueError("a service's records tell the port; remove it here")
    elif url.scheme not in {"http", "https"} or not host or port == 0:
        raise ValueError('expected an address such as "https://erp.example.com"')
    if not value.isascii() or any(c <= " " for c in value):
        raise ValueError("it must have no spaces, and other letters than ASCII in their encoded form")
    if url.query or url.fragment:
        raise ValueError("it must end with the host, its port or a path")
    return value.rstrip("/")


SiteUrl = Annotated[str, AfterValidator(_site_url), Shape("http or https address")]
"""Or ``srv+http://`` or ``srv+https://`` and the name of a service."""


def _service(name: str) -> None:
    try:
        check_service(name)
    except ValueError as wrong:
        raise ValueError(f'{wrong}, as in "srv+https://_erp._tcp.plant.example"') from None


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as wrong:
        raise ValueError(f'unknown time zone "{value}"{_similar_zone(value)}') from wrong
    return value


def _similar_zone(value: str) -> str:
    zones = available_timezones()
    wanted = value.replace(" ", "_").casefold()
    # "Kolkata" is far from "Asia/Kolkata" for difflib, yet what people write.
    cities = {zone.rpartition("/")[2].casefold(): zone for zone in sorted(zones, key=len)}
    close = get_close_matches(value, zones, n=1) or [cities[c] for c in get_close_matches(wanted, cities, n=1)]
    return f'; did you mean "{close[0]}"?' if close else ""


TimeZone = Annotated[str, AfterValidator(_time_zone), Shape('time zone such as "Asia/Kolkata"')]


def _listener(value: str) -> str:
    parse_listener(value)
    return value


Listener = Annotated[str, AfterValidator(_listener), Shape("endpoint")]
"""A Twisted server endpoint string, or ``udp:PORT``."""


def _client(value: str) -> str:
    parse_client(value)
    return value


ClientEndpoint = Annotated[str, AfterValidator(_client), Shape("client endpoint")]
"""A Twisted client endpoint string, or ``serial:DEVICE:baudrate=NUMBER``."""


def _byte_text(value: object) -> object:
    if not isinstance(value, str) or not value:
        raise ValueError("expected text that is not empty")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError as wrong:
        raise ValueError(
            f"{value[wrong.start]!r} is no byte: a character stands for the byte of its number"
        ) from wrong


ByteText = Annotated[bytes, BeforeValidator(_byte_text), Shape("text")]
"""Bytes, each written as the character of its number, U+0000 to U+00FF."""


def _field_path(value: str) -> str:
    if not re.fullmatch(rf"{_PART}(\.{_PART})*", value):
        raise ValueError(f'"{value}" is no field path such as "employee" or "order.items.0.code", without braces')
    return value


FieldPath = Annotated[str, AfterValidator(_field_path), Shape("field path")]
"""For `lineside.model.fields.lookup`."""


def in_tuple(value: Any) -> Any:
    """Return an array as the tuple that a setting holds."""
    return tuple(value) if isinstance(value, list) else value


Durations = Annotated[
    tuple[Duration, ...], BeforeValidator(in_tuple), Field(min_length=1), Shape("array of durations")
]


def distinct(values: Iterable[str]) -> Iterable[str]:
    """Return values that are all different; raises `ValueError` where two are the same."""
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f'"{value}" stands here twice')
        seen.add(value)
    return values


Names = Annotated[
    tuple[str, ...],
    BeforeValidator(in_tuple),
    Field(min_length=1),
    AfterValidator(distinct),
    Shape("array of names"),
]


def _payload(value: object) -> object:
    if not isinstance(value, str | dict):
        raise ValueError("expected a line as text, or a table")
    return _json(value)


Payload = Annotated[str | dict[str, Any], BeforeValidator(_payload), Shape("text or table")]
"""A line as a device sends it, or the table that stands for it."""


def _expectations(value: object) -> object:
    if not isinstance(value, dict) or not value:
        raise ValueError('expected a table with a document or "skipped" for each route')
    for route, document in value.items():
        if not isinstance(document, dict) and document != "skipped":
            raise ValueError(f'for route "{route}" expected a document or "skipped"')
    return _json(value)


Expectations = Annotated[
    dict[str, dict[str, Any] | Literal["skipped"]], BeforeValidator(_expectations), Shape("table, by route")
]
"""What becomes of a payload, by route."""


def _json(value: Any) -> Any:
    match value:
        case dict():
            for item in value.values():
                _json(item)
        case list():
            for item in value:
                _json(item)
        case datetime() | date() | time():
            raise ValueError("JSON has no dates and times; put them in quotes")
        case float() if not math.isfinite(value):
            raise ValueError(f"JSON has no {value}")
    return value
