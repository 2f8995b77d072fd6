"""The scanners' line behind mutual TLS: who may book is known by certificate, and stands in the document."""

import argparse
import json
import os
import re
import warnings
from io import BytesIO
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from twisted.internet import defer, endpoints, interfaces, protocol, task
from twisted.internet.ssl import Certificate, CertificateOptions, TLSVersion
from twisted.protocols.basic import LineReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, readBody
from twisted.web.http_headers import Headers
from zope.interface import implementer

warnings.filterwarnings("ignore", "Using readBody")  # Agent's own connections cause it; it does no harm
SCAN = re.compile(rb"([!-~]+)[ \t]+([1-9][0-9]{0,3})\s*")  # an item, and a quantity up to 9999


@implementer(interfaces.IHandshakeListener)
class Scanner(LineReceiver, TimeoutMixin):
    """One scanner's connection: nothing is taken from it before it has shown who it is."""

    delimiter, MAX_LENGTH = b"\n", 200
    device = refusal = None

    def connectionMade(self):
        self.setTimeout(10)  # there is a TCP connection, and no more: the handshake begins now

    def handshakeCompleted(self):
        self.setTimeout(None)
        shown = self.transport.getPeerCertificate().to_cryptography()  # OpenSSL has checked its CA and its dates
        name = shown.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
        if shown in self.factory.revoked:
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
        if self.device is not None:  # lines can come along with the handshake of one who is being cut off
            self.pauseProducing()  # one at a time: a scanner that is faster is slowed down by TCP itself
            defer.Deferred.fromCoroutine(self.book(line))

    async def book(self, line):
        scan = SCAN.fullmatch(line)
        try:
            answer = await self.factory.store(*scan.groups(), self.device) if scan else "ERR no scan: ITEM QUANTITY"
        except Exception as error:  # one scan's trouble must not end the connection
            answer = f"ERR {str(error) or type(error).__name__}"
        self.sendLine(answer.encode("ascii", "replace"))
        self.resumeProducing()


class Gate(protocol.Factory):
    """What all scanners share: the way to the ERP, and who is shut out."""

    def __init__(self, reactor, frappe, revoked):
        self.protocol, self.reactor = Scanner, reactor
        self.revoked = {x509.load_pem_x509_certificate(Path(file).read_bytes()) for file in revoked}
        self.url = frappe.encode("ascii") + b"/api/resource/Stock%20Entry"
        self.agent = Agent(reactor, connectTimeout=5, pool=HTTPConnectionPool(reactor))
        token = f"token {os.environ['FRAPPE_KEY']}:{os.environ['FRAPPE_SECRET']}"
        self.headers = Headers({"Authorization": [token], "Content-Type": ["application/json"]})

    async def store(self, item, quantity, device):
        row = {"item_code": item.decode(), "qty": int(quantity), "t_warehouse": "Stores - SW"}
        doc = {"stock_entry_type": "Material Receipt", "company": "Stand-in Works", "items": [row], "docstatus": 1}
        body = FileBodyProducer(BytesIO(json.dumps(doc | {"remarks": f"scanned by {device}"}).encode()))
        answer = await self.agent.request(b"POST", self.url, self.headers, body).addTimeout(10, self.reactor)
        content = await readBody(answer).addTimeout(10, self.reactor)
        told = json.loads(content) if content.startswith(b"{") else {}  # Frappe's proxy, alone, answers in HTML
        if answer.code != 200:
            raise RuntimeError(f"Frappe answers {answer.code} {told.get('exc_type', 'and gives no reason')}")
        return f"OK {told['data']['name']}"


def tls(ca, certificate, key):
    """Return what our side shows, a certificate and proof of its key, and whom it lets in: devices of that CA."""
    if Path(key).stat().st_mode & 0o077:
        raise SystemExit(f"{key} may be read by others: chmod 600 {key}")
    own, *chain = x509.load_pem_x509_certificates(Path(certificate).read_bytes())
    options = CertificateOptions(
        privateKey=load_pem_private_key(Path(key).read_bytes(), password=None),
        certificate=own,
        extraCertChain=chain,
        trustRoot=Certificate.loadPEM(Path(ca).read_bytes()),  # this also makes it a must to show a certificate
        raiseMinimumTo=TLSVersion.TLSv1_2,
    )
    options.getContext()  # a key of another certificate is found out now, and not by the first scanner
    return options


async def main(reactor):
    options = argparse.ArgumentParser(description=__doc__)
    for name in "--frappe", "--ca", "--certificate", "--key":
        options.add_argument(name, required=True)
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--revoked", nargs="*", default=[], metavar="FILE", help="certificates that are shut out")
    given = options.parse_args()
    context = tls(given.ca, given.certificate, given.key)
    endpoint = endpoints.SSL4ServerEndpoint(reactor, given.port, context, interface="127.0.0.1")
    port = await endpoint.listen(Gate(reactor, given.frappe, given.revoked))
    print(f"scanners with a certificate: listening on 127.0.0.1:{port.getHost().port}", flush=True)
    await defer.Deferred()  # for ever: the reactor stops us


if __name__ == "__main__":
    task.react(main)
