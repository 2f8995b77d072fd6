"""Exercise 1 (guided): who is there?

A gate for scanners behind TLS. As it stands it lets everybody in and speaks TLS 1.0, because somebody once had an old
scanner. Mend it:

- only devices with a certificate of our CA come in;
- TLS 1.2 and 1.3 are spoken, and nothing older;
- as soon as a device is known, the gate greets it by the name in its certificate: ``HELLO scanner-7``;
- then each line is answered with that name: ``OK scanner-7``.

The arguments of `tls` are `cryptography`'s objects: a certificate and its private key, and the CA's certificate. See
what you have: ``lineside workshop check 6``.
"""

from cryptography.x509.oid import NameOID
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IHandshakeListener  # noqa: F401 (you will need it)
from twisted.internet.ssl import Certificate, CertificateOptions, TLSVersion, trustRootFromCertificates
from twisted.protocols.basic import LineReceiver
from zope.interface import implementer  # noqa: F401 (this, too)


def devices_of(ca):
    """Return a trust root: what a CA has signed is believed, and nothing else is."""
    return trustRootFromCertificates([Certificate(X509.from_cryptography(ca))])


def tls(certificate, key, ca):
    """Return what SSL4ServerEndpoint needs to know."""
    # TODO 1: nobody asks a scanner for its certificate. Say whose devices come in: devices_of(ca) is what to trust.
    # TODO 2: TLS 1.0 and 1.1 are broken. Twisted's own minimum is TLS 1.2; say it in so many words.
    return CertificateOptions(
        privateKey=key,
        certificate=certificate,
        insecurelyLowerMinimumTo=TLSVersion.TLSv1_0,
    )


def name_of(certificate):
    """Return the name in a certificate of `cryptography`."""
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


# TODO 3: Twisted tells of a completed handshake only those who say that they listen: @implementer(…).
class Gate(LineReceiver):
    """One scanner's connection."""

    delimiter = b"\n"
    device = None

    def connectionMade(self):
        # TODO 4: here it is too early: nobody has shown a certificate yet. Which method is called when they have?
        certificate = self.transport.getPeerCertificate().to_cryptography()
        self.device = name_of(certificate)
        self.sendLine(f"HELLO {self.device}".encode())

    def lineReceived(self, line):
        self.sendLine(f"OK {self.device}".encode())
