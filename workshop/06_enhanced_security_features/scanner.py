"""A scanner that speaks TLS: it shows its certificate, and makes sure that it talks to the gateway and nobody else.

    python scanner.py --port PORT --ca certs/ca.pem --certificate certs/scanner-7.pem --key certs/scanner-7.key BOLT-M8 5

It prints the answer to its scan, or why there is none.
"""

import argparse
import sys
from pathlib import Path

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver
from zope.interface import implementer


@implementer(IHandshakeListener)
class Scan(LineReceiver):
    """Sends one line and waits for its answer."""

    delimiter = b"\n"

    def __init__(self, line):
        self.line = line
        self.answered = Deferred()

    def handshakeCompleted(self):
        server = self.transport.getPeerCertificate().to_cryptography().subject.rfc4514_string()
        print(f"the handshake is done; over there is {server}")
        self.sendLine(self.line)

    def lineReceived(self, line):
        self.transport.loseConnection()
        if not self.answered.called:
            self.answered.callback(line.decode("ascii", "replace"))

    def connectionLost(self, reason):
        if not self.answered.called:
            self.answered.errback(reason)


def told(error):
    """Return in a few words why a connection came to nothing."""
    if isinstance(error, VerificationError):
        return "its certificate is not for this name"
    if isinstance(error, SSL.Error) and error.args and error.args[0]:
        return error.args[0][-1][-1]  # OpenSSL's reason: the last part of the last of its errors
    return str(error)


async def main(reactor, *arguments):
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--name", default="localhost", help="whom the certificate over there must be for")
    options.add_argument("--ca", type=Path, required=True, metavar="FILE")
    options.add_argument("--certificate", type=Path, metavar="FILE")
    options.add_argument("--key", type=Path, metavar="FILE")
    options.add_argument("scan", nargs="+")
    given = options.parse_args(arguments)
    own = None
    if given.certificate:
        own = PrivateCertificate.loadPEM(given.certificate.read_bytes() + given.key.read_bytes())
    checks = optionsForClientTLS(given.name, Certificate.loadPEM(given.ca.read_bytes()), own)
    endpoint = wrapClientTLS(checks, TCP4ClientEndpoint(reactor, "127.0.0.1", given.port, timeout=5))
    scan = await endpoint.connect(Factory.forProtocol(lambda: Scan(" ".join(given.scan).encode())))
    try:
        print(await scan.answered.addTimeout(15, reactor))
    except Exception as error:
        sys.exit(f"no answer: {told(error)}")


if __name__ == "__main__":
    react(main, sys.argv[1:])
