"""``[tls.NAME]``: certificates that listeners show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from lineside.assemble.endpoints import parse_listener
from lineside.assemble.table import Table
from lineside.assemble.values import RelativePath, Shape, distinct
from lineside.model.errors import LinesideError
from lineside.model.wording import did_you_mean, key_path


def _names(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, str) else value


Shown = Annotated[
    tuple[str, ...],
    BeforeValidator(_names),
    Field(min_length=1),
    AfterValidator(distinct),
    Shape("name or array of names"),
]
"""Names of ``[tls.NAME]``."""


class TlsSettings(Table):
    """``[tls.NAME]``: a certificate that listeners show, and its key."""

    certificate: RelativePath = Field(
        description=(
            "The PEM file of the certificate, followed by those of the CAs that signed it, each after the one that "
            "it signed; the root may be left out."
        )
    )
    key: RelativePath | None = Field(
        default=None,
        description=(
            "The PEM file of its key, without a password; not everybody on the machine may be able to read it. "
            "Default: the key stands in the certificate's file."
        ),
    )


def check_tls(raw: Mapping[str, Any], tls: Mapping[str, TlsSettings | None], *, read: bool) -> Iterator[str]:
    """Yield what is wrong with certificates, and with listeners that show them; the tables are as in the file.

    Args:
        raw: the whole file.
        tls: its certificates, as far as they could be read.
        read: whether the certificates' files are looked at.

    """
    for name, table in tls.items() if read else ():
        if table is not None and (problem := _unfit(table)):
            yield f"{key_path('tls', name)}: {problem}"
    sources = raw.get("sources")
    listeners: list[tuple[tuple[str, ...], Any]] = [(("http",), raw.get("http"))]
    listeners += [
        (("sources", name), each) for name, each in (sources if isinstance(sources, dict) else {}).items()
    ]
    for place, listener in listeners:
        shown = listener.get("tls") if isinstance(listener, dict) else None
        for name in [shown] if isinstance(shown, str) else shown if isinstance(shown, list) else ():
            if isinstance(name, str) and name not in tls:
                yield f"{key_path(*place, 'tls')}: there is no certificate [tls.{name}]{did_you_mean(name, tls)}"


def check_guests(name: str, source: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a source of lines that shows certificates, or asks devices for theirs."""
    secured = "tls" in source
    if secured and "connect" in source:
        yield f'{key_path("sources", name, "tls")}: the source dials; connect to "tls:HOST:PORT", and remove it'
    elif secured and _datagrams(source):
        yield f"{key_path('sources', name, 'tls')}: datagrams have no TLS; remove it"
    if "ca" in source and not secured and not str(source.get("connect", "")).startswith("tls:"):
        yield (
            f"{key_path('sources', name, 'ca')}: without TLS nobody shows a certificate; set tls where devices "
            'connect, or connect to "tls:HOST:PORT"'
        )
    asked = secured and "ca" in source
    if "crl" in source and not asked:
        yield f"{key_path('sources', name, 'crl')}: devices are asked for no certificate; set tls and ca"
    if source.get("own_device_only") is True:
        if not asked:
            yield f"{key_path('sources', name, 'own_device_only')}: devices show no certificate; set tls and ca"
        elif "device" not in source:
            yield f"{key_path('sources', name, 'own_device_only')}: no line names one; set device, or remove it"


def _datagrams(source: Mapping[str, Any]) -> bool:
    try:
        return parse_listener(str(source.get("listen", ""))).datagrams
    except ValueError:
        return False


def _unfit(table: TlsSettings) -> str | None:
    # Only who has such a table waits for OpenSSL.
    from lineside.assemble.certificates import key_files  # noqa: PLC0415
    from lineside.security.renewal import read_shown  # noqa: PLC0415

    try:
        read_shown(key_files(table), datetime.now(UTC))
    except LinesideError as wrong:
        return str(wrong)
    return None
