"""What sources have in common that go to a host by SSH: where it is, by what it is known, and who we are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from msgspec import Struct
from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from lineside.assemble.clientendpoints import parse_client
from lineside.assemble.table import Table
from lineside.assemble.values import RelativePath, SecretText, Shape, Surroundings


class SshAddress(Struct, frozen=True):
    """Where a host is."""

    host: str
    port: int
    timeout: float


def address_of(connect: str) -> SshAddress:
    """Return what ``tcp:HOST:PORT`` says.

    Raises:
        ValueError: it says something else.

    """
    dial = parse_client(connect)
    if dial.kind != "tcp":
        raise ValueError('expected "tcp:HOST:PORT", as in "tcp:sftp.partner.example:22"')
    return SshAddress(dial.arguments["host"], int(dial.arguments["port"]), dial.timeout)


def _address(connect: str) -> str:
    address_of(connect)
    return connect


class HostKeys(Table):
    """The keys of a table for a host."""

    connect: Annotated[str, AfterValidator(_address), Shape("client endpoint")] = Field(
        description="Where the host's SSH server is: `tcp:sftp.partner.example:22`."
    )
    user: Annotated[str, Field(min_length=1, max_length=255)] = Field(description="Our user there.")
    key: RelativePath | None = Field(
        default=None,
        description=(
            "The file of our private key, of OpenSSH's form or PEM, which only the gateway's user may read. "
            "Default: none, then `password` is needed."
        ),
    )
    passphrase: SecretText | None = Field(
        default=None,
        description="The passphrase with which the key's file is encrypted. Default: none, it is not encrypted.",
    )
    password: SecretText | None = Field(
        default=None,
        description=(
            "Our password there; with `key` it is used where the host does not take the key. Default: none, then "
            "`key` is needed."
        ),
    )
    known_hosts: RelativePath | None = Field(
        default=None,
        description=(
            "The file that says by which keys the host is known, as OpenSSH has it; `ssh-keyscan` makes such "
            "lines, whose fingerprint is to be compared with the owner's. It is read anew each time. It, or "
            "`host_key`, is needed: a host that nobody vouched for gets nothing. Default: "
            "none, then `host_key` is needed."
        ),
    )
    host_key: Annotated[str, Field(min_length=1, max_length=8_192), Shape("fingerprint or key")] | None = Field(
        default=None,
        description=(
            "The one key by which the host is known: its fingerprint, `SHA256:...`, or the key, "
            "`ssh-ed25519 AAAA...`. Default: none, `known_hosts` says it."
        ),
    )
    legacy: bool = Field(
        default=False,
        description=(
            "Whether algorithms may be agreed on that only old hosts need: diffie-hellman-group14-sha1, ssh-rsa, "
            "AES in CBC mode and HMAC-SHA-1. They are weak against who can alter the connection; there is a "
            "warning at each start."
        ),
    )

    @property
    def address(self) -> SshAddress:
        """Where the host is."""
        return address_of(self.connect)

    @model_validator(mode="after")
    def _known(self, info: ValidationInfo) -> Self:
        if self.key is None and self.password is None:
            raise ValueError("key is missing: by it, or by password, the host knows us")
        if self.passphrase is not None and self.key is None:
            raise ValueError("passphrase: there is no key that it could open; remove it, or set key")
        if (self.known_hosts is None) == (self.host_key is None):
            raise ValueError("known_hosts is missing: by it, or by host_key, the host is known; set one of them")
        around: Any = info.context
        if not isinstance(around, Surroundings) or not around.secrets:
            return self
        # All that SSH needs is imported only for who has such a host.
        from lineside.assemble.hosts import visit_of  # noqa: PLC0415
        from lineside.edges.ssh.client.failures import NotReached  # noqa: PLC0415

        try:
            visit_of(self)
        except NotReached as wrong:
            raise ValueError(f"{wrong}; {wrong.remedy}") from wrong
        return self


def read(path: Path, key: str) -> bytes:
    """Return a file's bytes.

    Raises:
        OSError: it cannot be read; the text names the key.

    """
    try:
        return path.read_bytes()
    except OSError as failed:
        raise OSError(f"{key}: cannot read {path}: {failed.strerror}") from failed
