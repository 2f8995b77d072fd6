"""``[ssh]``: who comes in by SSH, to operate the gateway or to leave files."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from lineside.assemble.endpoints import parse_listener
from lineside.assemble.table import Table
from lineside.assemble.values import (
    Duration,
    Listener,
    RelativePath,
    Secret,
    SecretText,
    Shape,
    Surroundings,
)
from lineside.model.wording import did_you_mean, key_path

LEAST_RSA = 2048
"""Bits of a user's RSA key."""
_USER = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_HASHED = re.compile(r"\$argon2id\$v=19\$m=\d{1,7},t=\d{1,2},p=\d{1,2}\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}")
_KINDS = ("ssh-ed25519", "ssh-rsa")


def authorized_keys(text: str) -> tuple[bytes, ...]:
    """Return the public keys of lines as in ``authorized_keys`` (sshd(8)), in the form of RFC 4253.

    Raises:
        ValueError: a line is no key, or has options, which would be promised and not kept.

    """
    return tuple(
        _key(line.strip(), number)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    )


def _key(line: str, number: int) -> bytes:
    kind, _, rest = line.partition(" ")
    encoded = rest.strip().partition(" ")[0]
    if kind not in _KINDS:
        if any(f" {each} " in f" {line} " for each in _KINDS):
            raise ValueError(
                f"line {number}: options such as from= are not honoured here; leave them out, and say networks"
            )
        raise ValueError(f"line {number}: expected a key of ssh-ed25519 or ssh-rsa, as in authorized_keys")
    try:
        blob = b64decode(encoded, validate=True)
        key = load_ssh_public_key(f"{kind} {encoded}".encode())
    except (ValueError, UnsupportedAlgorithm) as wrong:
        raise ValueError(f"line {number}: it is no whole public key") from wrong
    if isinstance(key, RSAPublicKey) and key.key_size < LEAST_RSA:
        raise ValueError(f"line {number}: an RSA key of {key.key_size} bits; {LEAST_RSA} is the least")
    if not isinstance(key, RSAPublicKey | Ed25519PublicKey):
        raise ValueError(f"line {number}: expected a key of ssh-ed25519 or ssh-rsa")
    return blob


def _keys(value: object, info: ValidationInfo) -> object:
    around = info.context
    assert isinstance(around, Surroundings)
    if isinstance(value, dict):
        match value:
            case {"file": str(name), **others} if not others and name:
                pass
            case _:
                raise ValueError('expected an array of public keys, or { file = "NAME.pub" }')
        if not around.secrets:
            return ()
        path = around.directory / Path(name)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as wrong:
            raise ValueError(f"cannot read {path}: {getattr(wrong, 'strerror', 'it is not UTF-8')}") from wrong
        try:
            return authorized_keys(text)
        except ValueError as wrong:
            raise ValueError(f"{path}, {wrong}") from wrong
    if value == ():
        return value
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise ValueError('expected an array of public keys, or { file = "NAME.pub" }')
    return tuple(_key(line.strip(), number) for number, line in enumerate(value, 1))


def _networks(value: object) -> object:
    if not isinstance(value, list):
        return value
    networks = []
    for each in value:
        try:
            networks.append(ip_network(each))
        except (ValueError, TypeError) as wrong:
            raise ValueError(f'"{each}" is no network such as "10.1.0.0/16"') from wrong
    return tuple(networks)


class SshUserSettings(Table):
    """``[ssh.users.NAME]``: somebody who may log in."""

    role: Literal["viewer", "operator", "admin"] | None = Field(
        default=None,
        description="What they may as an operator. A user has this or `source`. Default: none, for a partner.",
    )
    source: str | None = Field(
        default=None,
        description="The source whose drop box they have, by SFTP alone. Default: none, for an operator.",
    )
    keys: Annotated[
        tuple[bytes, ...],
        BeforeValidator(_keys),
        Shape('array of public keys, or table `{ file = "NAME.pub" }`'),
    ] = Field(
        default=(),
        description=(
            "Their public keys, each as a line of `authorized_keys` without options: ssh-ed25519, or ssh-rsa with "
            "2048 bits at least."
        ),
    )
    password: SecretText | None = Field(
        default=None,
        description=(
            "The argon2id string of their password, which `lineside ssh password` makes, for a partner who has no "
            "key. Default: none, they log in by a key alone."
        ),
    )
    networks: Annotated[
        tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks), Shape("array of networks")
    ] = Field(
        default=(),
        description='The only networks from which they may come, such as `["10.1.0.0/16"]`. Default: all.',
    )

    @field_validator("password")
    @classmethod
    def _hashed(cls, password: Secret | None, info: ValidationInfo) -> Secret | None:
        around = info.context
        assert isinstance(around, Surroundings)
        if password is not None and around.secrets and not _HASHED.fullmatch(password.reveal()):
            raise ValueError("it is no argon2id string; `lineside ssh password` makes one from a password")
        return password


_Users = Annotated[dict[str, SshUserSettings], Shape("tables, by name")]


class SshSettings(Table):
    """``[ssh]``: the SSH server."""

    listen: Listener = Field(
        default="tcp:2222:interface=127.0.0.1",
        description="Where it listens: a Twisted endpoint string, as of a source.",
    )
    host_keys: RelativePath = Field(
        default=Path("ssh"),
        description=(
            "The folder of the keys by which clients know the gateway, named as OpenSSH's. Those that are missing "
            "are made at the start; none is ever overwritten."
        ),
    )
    max_connections: int = Field(
        default=64, ge=1, le=4096, description="Connections at a time; further ones are closed."
    )
    login_timeout: Duration = Field(default=30.0, gt=0, description="How long a client may take to log in.")
    users: _Users = Field(default={}, description="Who may log in, as tables `[ssh.users.NAME]`. See below.")

    @field_validator("listen")
    @classmethod
    def _no_datagrams(cls, listen: str) -> str:
        parsed = parse_listener(listen)
        if parsed.datagrams:
            raise ValueError("SSH needs connections; use tcp")
        if parsed.kind == "ssl":
            raise ValueError("SSH has its own encryption; use tcp")
        return listen


def check_ssh(raw: Mapping[str, Any], sources: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with who may log in; the tables are as in the file."""
    ssh = raw.get("ssh")
    users = ssh.get("users") if isinstance(ssh, dict) else None
    if not isinstance(users, dict):
        return
    for name, user in users.items():
        where = key_path("ssh", "users", name)
        if not _USER.fullmatch(name):
            yield f"{where}: a user's name has up to 32 lower-case letters, digits, dots, - and _"
        if not isinstance(user, dict):
            continue
        if ("role" in user) == ("source" in user):
            yield f"{where}: a user has either a role, to operate the gateway, or a source, to leave files"
        if not user.get("keys") and "password" not in user:
            yield f"{where}.keys: is missing; nobody could log in"
        if "role" in user and "password" in user:
            yield f"{where}.password: operators log in by keys alone"
        source = user.get("source")
        if isinstance(source, str):
            table = sources.get(source)
            if table is None:
                yield f'{where}.source: there is no source "{source}"{did_you_mean(source, sources)}'
            elif isinstance(table, dict) and table.get("type") != "sftp":
                yield f'{where}.source: "{source}" is of type {table.get("type")}; a drop box is of type sftp'
