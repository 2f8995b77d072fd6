"""The scanners' line behind mutual TLS: who may book is known by certificate, and stands in the document.

    python certificates.py certs
    FRAPPE_KEY=… FRAPPE_SECRET=… python example.py --frappe http://127.0.0.1:8000 \
        --ca certs/ca.pem --certificate certs/server.pem --key certs/server.key
"""

import argparse
import json
import os
import sys
import warnings
from io import BytesIO
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from cryptography.x509.oid import NameOID
from OpenSSL.crypto import X509
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, CertificateOptions, TLSVersion, trustRootFromCertificates
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, readBody
from twisted.web.http_headers import Headers
from zope.interface import implementer

warnings.filterwarnings("ignore", "Using readBody")  # Agent's own connections cause it; it does no harm


class FrappeError(Exception):
    """Frappe did not do what it was asked."""


class Frappe:
    """Frappe's REST API, spoken with Twisted's own HTTP client."""

    def __init__(self, reactor, url):
        self.agent = Agent(reactor, connectTimeout=5, pool=HTTPConnectionPool(reactor))
        self.reactor, self.url = reactor, url
        token = f"token {os.environ['FRAPPE_KEY']}:{os.environ['FRAPPE_SECRET']}"
        self.headers = Headers({"Authorization": [token], "Content-Type": ["application/json"]})

    def call(self, method, path, document=None):
        """Return a Deferred of what Frappe answers; it fails when Frappe refuses, or after ten seconds."""
        asked = Deferred.fromCoroutine(self._call(method, path, document))
        return asked.addTimeout(10, self.reactor)

    async def _call(self, method, path, document):
        body = None if document is None else FileBodyProducer(BytesIO(json.dumps(document).encode()))
        url = (self.url + path).encode("ascii")
        answer = await self.agent.request(method, url, self.headers, body)
        content = await readBody(answer)
        try:
            told = json.loads(content)  # Frappe's proxy, alone, answers in HTML
        except ValueError:
            told = {}
        if answer.code != 200 or "data" not in told:
            raise FrappeError(f"Frappe answers {answer.code} {told.get('exc_type', 'and gives no reason')}")
        return told["data"]


def parsed(line):
    """Return a scan's item and quantity; ValueError where the line is no scan."""
    item, quantity = line.decode("ascii").split()
    if not 0 < int(quantity) <= 10_000:
        raise ValueError(quantity)
    return item, int(quantity)


@implementer(IHandshakeListener)
class Scanner(LineReceiver, TimeoutMixin):
    """One scanner's connection: nothing is taken from it before it has shown who it is."""

    delimiter = b"\n"
    MAX_LENGTH = 200
    device = refusal = None

    def __init__(self, frappe, revoked):
        self.frappe, self.revoked = frappe, revoked
        self.turn = DeferredLock()  # answers go out in the order of the lines
        self.waiting = 0

    def connectionMade(self):
        self.setTimeout(10)  # there is a TCP connection, and no more: the handshake begins now

    def handshakeCompleted(self):
        self.setTimeout(None)
        certificate = self.transport.getPeerCertificate().to_cryptography()  # our CA's, and not expired
        name = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        if certificate.fingerprint(SHA256()).hex(":").upper() in self.revoked:
            self.refusal = f"the certificate of {name} is revoked"
            self.sendLine(f"ERR {self.refusal}".encode())
            self.transport.loseConnection()
        else:
            self.device = name

    def connectionLost(self, reason):
        self.setTimeout(None)
        if self.device is None:
            print(f"refused {self.transport.getPeer().host}: {self.refusal or reason.value}", flush=True)

    def lineReceived(self, line):
        if self.device is None:
            return  # it came along with the handshake of one whom we are about to cut off
        self.waiting += 1
        if self.waiting == 50:
            self.pauseProducing()  # enough for now: TCP itself slows the scanner down
        self.turn.run(self.book, line.rstrip(b"\r"))

    async def book(self, line):
        try:
            answer = "OK " + await self.receive(*parsed(line))
        except ValueError:
            answer = "ERR a scan is an item and a number, such as BOLT-M8 5"
        except Exception as error:  # one scan's trouble must not end the connection
            answer = f"ERR {error or type(error).__name__}"
        self.sendLine(answer.encode("ascii", "replace"))
        self.waiting -= 1
        if self.waiting == 25:
            self.resumeProducing()

    async def receive(self, item, quantity):
        row = {"item_code": item, "qty": quantity, "t_warehouse": "Stores - SW"}
        entry = {"stock_entry_type": "Material Receipt", "company": "Stand-in Works", "items": [row]}
        entry |= {"docstatus": 1, "remarks": f"scanned by {self.device}"}
        stored = await self.frappe.call(b"POST", "/api/resource/Stock%20Entry", entry)
        return stored["name"]


def tls(ca, certificate, key):
    """Return what our side shows, a certificate and proof of its key, and whom it lets in: devices of that CA."""
    if key.stat().st_mode & 0o077:
        sys.exit(f"{key} may be read by others: chmod 600 {key}")
    own, *chain = load_pem_x509_certificates(certificate.read_bytes())
    authorities = [
        Certificate(X509.from_cryptography(each)) for each in load_pem_x509_certificates(ca.read_bytes())
    ]
    return CertificateOptions(
        privateKey=load_pem_private_key(key.read_bytes(), password=None),
        certificate=own,
        extraCertChain=chain,
        trustRoot=trustRootFromCertificates(authorities),  # this also makes a certificate a must
        raiseMinimumTo=TLSVersion.TLSv1_2,
    )


async def main(reactor, *arguments):
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frappe", required=True, metavar="URL")
    options.add_argument("--port", type=int, default=0)
    for file in "--ca", "--certificate", "--key":
        options.add_argument(file, type=Path, required=True, metavar="FILE")
    options.add_argument("--revoked", nargs="*", default=[], metavar="SHA256")  # openssl x509 -fingerprint -sha256
    given = options.parse_args(arguments)
    frappe, context = Frappe(reactor, given.frappe), tls(given.ca, given.certificate, given.key)
    endpoint = SSL4ServerEndpoint(reactor, given.port, context, interface="127.0.0.1")
    port = await endpoint.listen(Factory.forProtocol(lambda: Scanner(frappe, given.revoked)))
    print(f"scanners with a certificate: listening on 127.0.0.1:{port.getHost().port}", flush=True)
    await Deferred()  # for ever: the reactor stops us


if __name__ == "__main__":
    react(main, sys.argv[1:])
