"""What goes wrong with certificates, in a few lines each: ``python pitfalls.py`` shows it."""

from datetime import UTC, datetime

from certificates import Authority, key_pem, pem
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test.iosim import connectedServerAndClient


def unchecked(ca):
    """Wrong: it encrypts, and asks nobody who they are. verify=False is the same in other libraries."""
    return CertificateOptions()


def half_checked(ca):
    """Wrong: any server of our CA will do, whatever its name: the canteen's too."""
    return CertificateOptions(trustRoot=ca)


def checked(ca):
    """Right: a server of our CA, and this very name in its certificate."""
    return optionsForClientTLS("erp.example", trustRoot=ca)


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


def main():
    ours, foreign = Authority("Workshop CA"), Authority("Somebody else's CA")
    ca = Certificate.loadPEM(pem(ours.certificate))
    servers = {
        "the ERP": ours.server("erp.example"),
        "the canteen": ours.server("canteen.example"),
        "an impostor": foreign.server("erp.example"),
    }
    shown = {
        who: PrivateCertificate.loadPEM(pem(certificate) + key_pem(key)).options()
        for who, (certificate, key) in servers.items()
    }
    for check in unchecked, half_checked, checked:
        told = []
        for who, options in shown.items():
            heard = []
            in_memory(options, lambda heard=heard: Hearing(heard), check(ca), Telling)
            told += [who] if heard else []
        print(f"{check.__name__:<12} tells its API key to {', '.join(told)}")
    in_memory(shown["the ERP"], Hasty, checked(ca), Telling)
    print(f"the ERP's certificate ends in {days_left(servers['the ERP'][0])} days")


if __name__ == "__main__":
    main()
