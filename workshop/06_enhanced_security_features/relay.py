"""Somebody in between: passes on what it gets, and prints every byte of it. ``python relay.py --to PORT``.

Whoever is in the same wifi, or owns a switch on the way, can do this.
"""

import argparse
import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react
from twisted.protocols.portforward import ProxyClient, ProxyClientFactory, ProxyFactory, ProxyServer


def show(whose, data):
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
    print(f"{whose} {text[:60]}{f' … {len(data)} bytes' if len(data) > 60 else ''}", flush=True)


class FromServer(ProxyClient):
    def dataReceived(self, data):
        show("<-", data)
        super().dataReceived(data)


class FromServerFactory(ProxyClientFactory):
    protocol = FromServer


class FromScanner(ProxyServer):
    clientProtocolFactory = FromServerFactory

    def dataReceived(self, data):
        show("->", data)
        super().dataReceived(data)


async def main(reactor, *arguments):
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--to", type=int, required=True, metavar="PORT")
    factory = ProxyFactory("127.0.0.1", options.parse_args(arguments).to)
    factory.protocol = FromScanner
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
    print(f"in between: listening on 127.0.0.1:{port.getHost().port}", flush=True)
    await Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
