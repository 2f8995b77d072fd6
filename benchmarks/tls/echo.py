"""What Twisted alone does with TLS: an echo behind a bare ``SSL4ServerEndpoint``.

``python echo.py CERTIFICATE KEY`` prints its port, and serves until it is killed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet import reactor  # noqa: TID251 (this is the program)
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.wire import Echo

from lineside.security.keypairs import read_key_pair


def serve(certificate: str, key: str) -> None:
    """Send back what comes."""
    shown = CertificateOptions(**read_key_pair(Path(certificate), Path(key)).options)
    endpoint = SSL4ServerEndpoint(reactor, 0, shown, interface="127.0.0.1", backlog=1_024)
    listening = endpoint.listen(Factory.forProtocol(Echo))
    listening.addCallback(lambda port: print(port.getHost().port, flush=True))
    reactor.run()


if __name__ == "__main__":
    serve(*sys.argv[1:])
