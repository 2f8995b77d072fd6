"""TLS for those who connect to us: what is offered, which certificate is shown, and whose is asked for.

TLS 1.2 and 1.3, ephemeral keys and authenticated encryption (RFC 9325, section 4.2), no compression, no
renegotiation. Sessions are not resumed, by tickets or otherwise: a resumed one skips the check of the certificate,
so that a revoked device would stay, and a ticket's key that leaks opens what was recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable
from weakref import WeakSet

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import (
    AcceptableCiphers,
    Certificate,
    CertificateOptions,
    TLSVersion,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from lineside.model.errors import LinesideError
from lineside.security.arrivals import Arrival
from lineside.security.certificates import hosts, subject
from lineside.security.handshakes import words
from lineside.security.keypairs import KeyPair

CIPHERS = AcceptableCiphers.fromOpenSSLCipherString("ECDHE+AESGCM:ECDHE+CHACHA20")
"""Those of TLS 1.2; all of TLS 1.3 that OpenSSL offers are of this kind."""
HTTP = (b"http/1.1",)
"""What HTTP's listener speaks, as ALPN has it (RFC 7301)."""
REASONS = {
    3: "cannot be checked: there is no list of revoked ones of its CA",
    9: "is not valid yet",
    10: "has expired",
    12: "cannot be checked: the list of revoked ones has expired",
    18: "is signed by itself",
    19: "is signed by another CA",
    20: "is signed by another CA",
    21: "is signed by another CA",
    23: "is revoked",
    26: "is not one of a client",
    79: "is not one of a client",
}
"""OpenSSL's codes (``X509_V_ERR_*``), in words."""


class Guests(Struct, frozen=True):
    """Whose certificates open the door; everybody else is refused in the handshake."""

    authorities: tuple[x509.Certificate, ...]
    """The only ones that are trusted."""
    revoked: tuple[x509.CertificateRevocationList, ...] | None
    """Lists of theirs; None where there are none, and nothing can be revoked."""
    admits: Callable[[x509.Certificate], str | None]
    """Returns why the owner of a certificate that is right may not come in here; None if it may."""


class Setting(Struct, frozen=True):
    """What a listener is to show and to ask for."""

    pairs: tuple[KeyPair, ...]
    """At least one; the first is shown to who asks for none by its name, or for one that there is not."""
    guests: Guests | None = None
    """None where nobody is asked for a certificate."""
    protocols: tuple[bytes, ...] = ()
    """What is spoken here, where that is agreed on in the handshake; none where it is not."""


@runtime_checkable
class Guest(Protocol):
    """The protocol of a connection that wants to say something before it is turned out."""

    def expel(self, reason: str) -> None:
        """Take nothing more, and end the connection within seconds."""
        ...


@implementer(IOpenSSLServerConnectionCreator)
class ServerSide:
    """Makes the server's side of connections, by what is set at the time.

    Connections that were made keep what they were made with, but for those of certificates that are revoked; see
    `turn_out_revoked`.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._doors = _Doors(setting)
        self._open: WeakSet[TLSMemoryBIOProtocol] = WeakSet()
        """The connections of guests."""

    def set(self, setting: Setting) -> None:
        """Make further connections by this.

        Raises:
            LinesideError: OpenSSL takes one of the certificates not; what was set before stays.

        """
        self._doors = _Doors(setting)
        self._setting = setting

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return a new connection."""
        if self._setting.guests is not None:
            self._open.add(protocol)
        return self._doors.connection(protocol)

    def turn_out_revoked(self) -> Iterator[tuple[x509.Certificate, str]]:
        """End the connections whose certificates the lists name that are set now; yield whose, and from where.

        A handshake that is under way was begun with the lists before. It is cut; who is good calls again.
        """
        guests = self._setting.guests
        if guests is None or guests.revoked is None:
            return
        revoked = {(each.issuer, entry.serial_number) for each in guests.revoked for entry in each}
        for connection in [each for each in self._open if each.connected]:
            protocol = connection.wrappedProtocol
            if isinstance(protocol, Arrival):
                protocol.give_up("the list of revoked certificates changed during the handshake")
                continue
            shown = connection.getPeerCertificate().to_cryptography()
            if (shown.issuer, shown.serial_number) not in revoked:
                continue
            yield shown, str(getattr(connection.getPeer(), "host", ""))
            if isinstance(protocol, Guest):
                protocol.expel("its certificate is revoked")
            else:
                connection.abortConnection()


class _Doors:
    """What one setting comes to: a context for each certificate, and which of them is whose."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        contexts = [self._context(pair) for pair in setting.pairs]
        self._first = contexts[0]
        self._by_name: dict[str, SSL.Context] = {}
        for pair, context in zip(setting.pairs, contexts, strict=True):
            for name in hosts(pair.certificate):
                self._by_name.setdefault(name, context)

    def connection(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._first)
        guests, arrival = self._setting.guests, protocol.wrappedProtocol
        if guests is not None:
            assert isinstance(arrival, Arrival)
            connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _inspection(guests, arrival))
        return connection

    def _context(self, pair: KeyPair) -> SSL.Context:
        guests = self._setting.guests
        trusted = None
        if guests is not None:
            pems = [each.public_bytes(Encoding.PEM) for each in guests.authorities]
            trusted = trustRootFromCertificates([Certificate.loadPEM(pem) for pem in pems])
        # Sessions and tickets are off by Twisted's own default; it is said here for who reads this.
        options = CertificateOptions(
            **pair.options,
            raiseMinimumTo=TLSVersion.TLSv1_2,
            acceptableCiphers=CIPHERS,
            enableSessions=False,
            enableSessionTickets=False,
            trustRoot=trusted,
            # With one there is nothing to choose.
            contextForServerName=self._for_name if len(self._setting.pairs) > 1 else None,
        )
        try:
            context = options.getContext()
        except SSL.Error as wrong:
            raise LinesideError(
                f"OpenSSL does not take the certificate of {subject(pair.certificate)}: {words(wrong)}"
            ) from wrong
        context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
        context.set_alpn_select_callback(self._agree)
        if guests is not None:
            for authority in guests.authorities:
                context.add_client_ca(authority)
            if guests.revoked is not None:
                store = context.get_cert_store()
                assert store is not None
                for each in guests.revoked:
                    store.add_crl(each)
                store.set_flags(X509StoreFlags.CRL_CHECK)
        return context

    def _for_name(self, asked: bytes | None) -> SSL.Context | None:
        name = (asked or b"").decode("ascii", "replace").lower().rstrip(".")
        found = self._by_name.get(name)
        # A wildcard stands for one label (RFC 9525, section 6.3).
        return found or self._by_name.get(f"*.{name.partition('.')[2]}")

    def _agree(self, _: SSL.Connection, offered: Sequence[bytes]) -> bytes:
        for protocol in self._setting.protocols:
            if protocol in offered:
                return protocol
        if self._setting.protocols:
            # RFC 7301, section 3.2: OpenSSL says so to the other end.
            raise SSL.Error([("lineside", "", f"it speaks only {_text(offered)}")])
        # pyOpenSSL's mark for this is of a type of its own.
        return SSL.NO_OVERLAPPING_PROTOCOLS  # type: ignore[return-value]


def _inspection(guests: Guests, arrival: Arrival) -> Callable[[SSL.Connection, X509, int, int, int], bool]:
    def inspect(_: SSL.Connection, shown: X509, code: int, depth: int, right: int) -> bool:
        try:
            certificate = shown.to_cryptography()
            if not right:
                whose = "the certificate of" if depth == 0 else "the CA's certificate,"
                why = REASONS.get(code, f"is not right (OpenSSL's code {code})")
                arrival.refusal = f"{whose} {subject(certificate)} {why}"
            elif depth == 0:
                arrival.refusal = guests.admits(certificate)
        except Exception:  # noqa: BLE001 (anybody may send one, made to break whoever reads it)
            arrival.refusal = "the certificate cannot be read"
        return arrival.refusal is None

    return inspect


def try_out(pair: KeyPair) -> None:
    """Raise unless OpenSSL would show this pair.

    Raises:
        LinesideError: one line.

    """
    _Doors(Setting((pair,)))


def _text(offered: Sequence[bytes]) -> str:
    return ", ".join(each.decode("ascii", "backslashreplace") for each in offered)[:100]
