"""TLS to a server: who is trusted, that its certificate is for the host, and what failed in a person's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreContext, X509StoreContextError
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from lineside.security.keypairs import KeyPair

CHECK_CLOCKS = "check the clocks"

MAX_NAMES = 200
"""Characters shown of the names in a certificate."""

NOT_YET_VALID, EXPIRED = 9, 10
UNTRUSTED = frozenset({2, 18, 19, 20, 21, 27})
"""OpenSSL's codes for a chain that ends at no CA which is trusted (``X509_V_ERR_*``)."""

PLAIN = (
    "wrong version number",
    "http request",
    "packet length too long",
    "bad record type",
    "record layer failure",
)
"""What OpenSSL says of bytes that are no TLS."""
OLD = ("protocol version", "unsupported protocol")
"""What it says of a server without TLS 1.2."""


class HandshakeFailed(SSL.Error):
    """No TLS connection came about, so that no byte of a request went out.

    ``remedy`` is None where it may pass by itself.
    """

    def __init__(self, reason: str, remedy: str | None = None) -> None:
        # In the shape of OpenSSL's own errors, into which Twisted looks.
        super().__init__([("lineside", "", reason)])
        self.reason = reason
        self.remedy = remedy


class Remedies(Struct, frozen=True):
    """What to do about a server, in the words of what the reader configures."""

    server: str
    """What it is: ``the site``."""
    address: str
    """Where its address stands."""
    ca: str
    """Where the CA that signed its certificate is given."""
    old: str
    """What to do where it speaks only what is no longer safe."""


class Trust:
    """TLS 1.2 or later, to servers whose certificate is for the host and signed by a trusted authority.

    Nothing turns this off. All that fails before the connection is made is raised as `HandshakeFailed`.

    Args:
        authorities: the only ones to trust; None for the platform's.
        remedies: for what is raised.
        identity: what is shown to a server that asks who we are.

    """

    def __init__(
        self,
        authorities: Sequence[x509.Certificate] | None,
        remedies: Remedies,
        identity: KeyPair | None = None,
    ) -> None:
        self._own = authorities is not None
        self._trust = None
        self._remedies = remedies
        self._shown = {} if identity is None else identity.options
        if authorities is not None:
            pems = [each.public_bytes(Encoding.PEM) for each in authorities]
            self._trust = trustRootFromCertificates([Certificate.loadPEM(pem) for pem in pems])

    def creator(self, host: str, port: int) -> IOpenSSLClientConnectionCreator:
        """Return what makes the connections to one server."""
        # Twisted's least is TLS 1.2.
        options = optionsForClientTLS(host, trustRoot=self._trust, extraCertificateOptions=self._shown)
        return _Creator(options, host, port, self._remedies, own=self._own)


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    def __init__(
        self, options: IOpenSSLClientConnectionCreator, host: str, port: int, remedies: Remedies, *, own: bool
    ) -> None:
        self._options = options
        self._remedies = remedies
        self._host = host
        self._port = port
        self._own = own

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = self._options.clientConnectionForTLS(tlsProtocol)
        # Twisted's own callback lets a certificate pass that names no host at all. OpenSSL's check of the chain
        # stays, and `_Telling` checks the name.
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _as_openssl_says)
        return cast(SSL.Connection, _Telling(connection, self._host, self._port, self._remedies, own=self._own))


def _as_openssl_says(_connection: SSL.Connection, _shown: X509, _code: int, _depth: int, right: int) -> bool:
    # Without a function OpenSSL would go on to call Twisted's, which pyOpenSSL has let go of by then.
    return bool(right)


class _Telling:
    """A connection of OpenSSL of which nobody gets hold before the host's name was found in its certificate."""

    def __init__(self, connection: SSL.Connection, host: str, port: int, remedies: Remedies, *, own: bool) -> None:
        self._connection = connection
        self._remedies = remedies
        self._host = host
        self._port = port
        self._own = own
        self._made = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def do_handshake(self) -> None:
        try:
            self._connection.do_handshake()
        except (SSL.WantReadError, SSL.WantWriteError):
            raise
        except SSL.Error as error:
            raise self._explained(error) from error
        if not self._made:
            self._check_name()
            self._made = True

    def recv(self, size: int) -> bytes:
        try:
            return self._connection.recv(size)
        except (SSL.WantReadError, SSL.WantWriteError):
            raise
        except SSL.Error as error:
            if self._made:
                raise
            raise HandshakeFailed(f"{self._host} closed the connection before TLS was agreed") from error

    def _check_name(self) -> None:
        verify = verify_ip_address if _is_address(self._host) else verify_hostname
        try:
            verify(self._connection, self._host)
        except VerificationError as error:
            names = _names(self._connection.get_peer_certificate())
            reason = f"the certificate of {self._host} is for {names or 'another host'}"
            raise HandshakeFailed(reason, f"check {self._remedies.address}") from error
        except CertificateError as error:
            reason = f"the certificate of {self._host} names no host in its subjectAltName"
            raise HandshakeFailed(reason, f"give {self._remedies.server} one that does") from error

    def _explained(self, error: SSL.Error) -> HandshakeFailed:
        told = words(error)
        if "certificate verify failed" in told:
            return self._distrusted()
        if any(each in told for each in PLAIN):
            reason = f"{self._host} does not speak TLS on port {self._port}"
            return HandshakeFailed(reason, f"check {self._remedies.address}")
        if any(each in told for each in OLD):
            return HandshakeFailed(f"{self._host} speaks no TLS 1.2 or later", self._remedies.old)
        return HandshakeFailed(f"TLS with {self._host} failed: {told or 'the connection was cut'}")

    def _distrusted(self) -> HandshakeFailed:
        """Ask OpenSSL again what is wrong with the chain that was shown: the handshake does not tell."""
        shown = self._connection.get_peer_cert_chain()
        trusted = self._connection.get_context().get_cert_store()
        ca = self._remedies.ca
        remedy = f"give {ca} the CA which signed it" if self._own else f"set {ca}"
        whose = f"the certificate of {self._host}"
        if not shown or trusted is None:
            return HandshakeFailed(f"{whose} was rejected", remedy)
        try:
            X509StoreContext(trusted, shown[0], shown[1:]).verify_certificate()
        except X509StoreContextError as wrong:
            code, depth, told = wrong.errors
            certificate = wrong.certificate.to_cryptography()
            if depth > 0:
                whose = f"a CA behind {whose}"
            if code == EXPIRED:
                return HandshakeFailed(
                    f"{whose} expired on {certificate.not_valid_after_utc:%Y-%m-%d}",
                    f"renew it at {self._remedies.server}",
                )
            if code == NOT_YET_VALID:
                since = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
                return HandshakeFailed(f"{whose} is not valid before {since}", CHECK_CLOCKS)
            if code in UNTRUSTED:
                known = f"the CA in {ca}" if self._own else "a CA that we trust"
                return HandshakeFailed(f"{whose} is not signed by {known}", remedy)
            return HandshakeFailed(f"{whose} was rejected: {told}", remedy)
        # The chain is right, and yet it is none of a web server.
        return HandshakeFailed(f"{whose} is not one of a server", f"give {self._remedies.server} one that is")


def _is_address(host: str) -> bool:
    return isIPAddress(host) or isIPv6Address(host)


def words(error: SSL.Error) -> str:
    """Return what OpenSSL says, for a person; empty where it says nothing."""
    queue = error.args[0] if error.args else None
    return ", ".join(str(entry[-1]) for entry in queue) if isinstance(queue, list) else ""


def _names(certificate: X509 | None) -> str:
    """Return the hosts that a certificate is for, as text for a person; empty where it cannot be told."""
    if certificate is None:
        return ""
    try:
        extensions = certificate.to_cryptography().extensions
        named = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return ""
    hosts = [*named.get_values_for_type(x509.DNSName), *map(str, named.get_values_for_type(x509.IPAddress))]
    text = ", ".join(hosts)
    return text[:MAX_NAMES] if text.isprintable() else ""
