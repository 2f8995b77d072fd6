"""Solution of exercise 1: who is there?"""

from cryptography.x509.oid import NameOID
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.ssl import Certificate, CertificateOptions, TLSVersion, trustRootFromCertificates
from twisted.protocols.basic import LineReceiver
from zope.interface import implementer


def devices_of(ca):
    """Return a trust root: what a CA has signed is believed, and nothing else is."""
    return trustRootFromCertificates([Certificate(X509.from_cryptography(ca))])


def tls(certificate, key, ca):
    """Return what SSL4ServerEndpoint needs to know."""
    return CertificateOptions(
        privateKey=key,
        certificate=certificate,
        # With a trustRoot a certificate is asked for, must be there, and must be signed by it: three in one.
        trustRoot=devices_of(ca),
        # Unlike the other arguments for versions this one can only make things safer.
        raiseMinimumTo=TLSVersion.TLSv1_2,
    )


def name_of(certificate):
    """Return the name in a certificate of `cryptography`."""
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


@implementer(IHandshakeListener)
class Gate(LineReceiver):
    """One scanner's connection."""

    delimiter = b"\n"
    device = None

    def handshakeCompleted(self):
        certificate = self.transport.getPeerCertificate().to_cryptography()
        self.device = name_of(certificate)
        self.sendLine(f"HELLO {self.device}".encode())

    def lineReceived(self, line):
        self.sendLine(f"OK {self.device}".encode())
