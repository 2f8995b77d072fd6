"""What Twisted alone does with TLS: an echo behind a bare ``SSL4ServerEndpoint``.

``python echo.py CERTIFICATE KEY`` prints its port, and serves until it is killed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import PrivateCertificate
from twisted.protocols.wire import Echo


def serve(certificate: str, key: str) -> None:
    """Send back what comes."""
    shown = PrivateCertificate.loadPEM(Path(certificate).read_bytes() + Path(key).read_bytes())
    endpoint = SSL4ServerEndpoint(reactor, 0, shown.options(), interface="127.0.0.1", backlog=1_024)
    listening = endpoint.listen(Factory.forProtocol(Echo))
    listening.addCallback(lambda port: print(port.getHost().port, flush=True))
    reactor.run()  # type: ignore[attr-defined] # (the reactor's type is chosen at its import)


if __name__ == "__main__":
    serve(*sys.argv[1:])
