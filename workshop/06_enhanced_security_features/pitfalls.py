"""What goes wrong with certificates, in a few lines each: ``python pitfalls.py`` shows it."""

from datetime import UTC, datetime

from certificates import Authority, key_pem, pem
from cryptography.x509.oid import ExtendedKeyUsageOID
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.logger import globalLogBeginner
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test.iosim import connectedServerAndClient
from zope.interface import implementer


def unchecked(ca):
    """Wrong: it encrypts, and asks nobody who they are. verify=False is the same in other libraries."""
    return CertificateOptions()


def half_checked(ca):
    """Wrong: any server of our CA will do, whatever its name: the canteen's too."""
    return CertificateOptions(trustRoot=ca)


def checked(ca):
    """Right: a server of our CA, and this very name in its certificate."""
    return optionsForClientTLS("erp.example", trustRoot=ca)


@implementer(IHandshakeListener)
class Certain(Protocol):
    """Right with any CA: once the handshake is done it looks at the name itself, and tells nothing before."""

    def handshakeCompleted(self):
        try:
            verify_hostname(self.transport.getHandle(), "erp.example")
        except (CertificateError, VerificationError):  # it names no host; it names others
            self.transport.abortConnection()
        else:
            self.transport.write(b"token key:secret")


class Hasty(Protocol):
    """Wrong: connectionMade comes before the handshake, and nobody has shown a certificate yet."""

    def connectionMade(self):
        print(f"in connectionMade the certificate is {self.transport.getPeerCertificate()}")


def days_left(certificate):
    """Return how long a certificate is still good: put it where somebody looks every day."""
    return (certificate.not_valid_after_utc - datetime.now(UTC)).days


class Telling(Protocol):
    """A client that tells its secret as soon as TLS lets it."""

    def connectionMade(self):
        self.transport.write(b"token key:secret")


class Hearing(Protocol):
    """A server that hears it."""

    def __init__(self, heard):
        self.heard = heard

    def dataReceived(self, data):
        self.heard.append(data)


def in_memory(server_options, server, client_options, client):
    """Connect two protocols by TLS, without a network, and let them talk until they have no more to say."""
    clock = Clock()
    servers = TLSMemoryBIOFactory(server_options, False, Factory.forProtocol(server), clock)
    clients = TLSMemoryBIOFactory(client_options, True, Factory.forProtocol(client), clock)
    _client, _server, pump = connectedServerAndClient(
        lambda: servers.buildProtocol(None), lambda: clients.buildProtocol(None), clock=clock
    )
    pump.flush()


def errors(logged):
    """Return the kinds of errors that were logged."""
    return sorted({event["log_failure"].type.__name__ for event in logged if event.get("log_failure")})


def told(shown, client_options, client):
    """Return what a server that shows this certificate hears from a client."""
    heard = []
    in_memory(shown, lambda: Hearing(heard), client_options, client)
    return b"".join(heard)


def main():
    logged = []
    globalLogBeginner.beginLoggingTo([logged.append], redirectStandardIO=False)
    ours, foreign = Authority("Workshop CA"), Authority("Somebody else's CA")
    ca = Certificate.loadPEM(pem(ours.certificate))
    servers = {
        "the ERP": ours.server("erp.example"),
        "the canteen": ours.server("canteen.example"),
        "an impostor": foreign.server("erp.example"),
        "nobody": ours.issue("erp.example", ExtendedKeyUsageOID.SERVER_AUTH, days=30, names=[]),
    }
    shown = {
        who: PrivateCertificate.loadPEM(pem(certificate) + key_pem(key)).options()
        for who, (certificate, key) in servers.items()
    }
    for check in unchecked, half_checked, checked:
        hearing = [who for who, options in shown.items() if who != "nobody" and told(options, check(ca), Telling)]
        print(f"{check.__name__:<12} tells its API key to {', '.join(hearing)}")
    in_memory(shown["the ERP"], Hasty, checked(ca), Telling)
    logged.clear()
    careless, careful = (told(shown["nobody"], checked(ca), client) or b"nothing" for client in (Telling, Certain))
    print("a server of our CA whose certificate names no host:")
    print(f"  checked tells it {careless.decode()}; logged: {errors(logged)}")
    print(
        f"  certain tells it {careful.decode()}, and tells the ERP {told(shown['the ERP'], checked(ca), Certain).decode()}"
    )
    print(f"the ERP's certificate ends in {days_left(servers['the ERP'][0])} days")


if __name__ == "__main__":
    main()
