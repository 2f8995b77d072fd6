"""An operator's SSH server in front of Frappe: a key in place of a password, four words in place of a shell.

FRAPPE_KEY=… FRAPPE_SECRET=… python example.py --frappe http://127.0.0.1:8000 --authorized-keys FILE
ssh -p PORT ops@127.0.0.1 stock BOLT-M8
"""

import argparse
import json
import sys
from urllib.parse import quote

from frappe_api import Frappe
from ssh_server import Channel, add_options, listen
from twisted.conch.avatar import ConchUser
from twisted.conch.interfaces import ISession
from twisted.conch.ssh.session import SSHSession, wrapProtocol
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.error import ProcessTerminated
from twisted.internet.protocol import Protocol
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer


async def told(frappe, line):
    """Return what a command has to tell; ValueError where there is no such command."""
    match line.decode("utf-8", "replace").split():
        case ["stock", item]:
            filters = quote(json.dumps({"item_code": item, "warehouse": "Stores - SW"}))
            bins = await frappe.call(b"GET", f'/api/resource/Bin?fields=["actual_qty"]&filters={filters}')
            return f"{item} {bins[0]['actual_qty']:g}" if bins else f"no {item} in the warehouse"
        case ["orders"]:
            orders = await frappe.call(b"GET", '/api/resource/Sales%20Order?fields=["name","customer"]')
            return "\n".join(f"{order['name']} {order['customer']}" for order in orders) or "no orders"
        case ["help"]:
            return "stock ITEM, orders, help, exit"
    raise ValueError("no such command; help tells what there is")


async def execute(frappe, client, line):
    """Carry out a command. As a program would, write to standard output or error, and return an exit code."""
    try:
        client.outReceived((await told(frappe, line)).encode() + b"\n")
    except Exception as error:  # one command's trouble must not end the connection
        client.errReceived(f"{str(error) or type(error).__name__}\n".encode())
        return 1
    return 0


class Shell(LineReceiver):
    """An operator's shell: a line is a command, and they are answered one after the other."""

    delimiter = b"\n"
    MAX_LENGTH = 200

    def __init__(self, frappe):
        self.frappe = frappe
        self.turn = DeferredLock()

    def lineReceived(self, line):
        if len(self.turn.waiting) == 50:  # nobody types so fast
            self.transport.loseConnection()
        elif line.strip() == b"exit":
            self.turn.run(end, 0, self.transport)
        else:
            self.turn.run(execute, self.frappe, self.transport, line)


class Commands(Channel):
    """A channel for one command, or for a shell of them. Nothing here starts a program."""

    request_exec, request_shell = SSHSession.request_exec, SSHSession.request_shell

    def eofReceived(self):
        self.client.transport.write(b"exit\n")  # after what was typed before


@implementer(ISession)
class Operator(ConchUser):
    """Who logged in. What is not named here is refused: files, forwarding of ports, of X11, of an agent."""

    def __init__(self, frappe):
        super().__init__()
        self.frappe = frappe
        self.channelLookup = {b"session": Commands}

    def execCommand(self, client, line):
        connect(Protocol(), client)  # takes what comes on standard input, and drops it
        Deferred.fromCoroutine(execute(self.frappe, client, line)).addCallback(end, client)

    def openShell(self, client):
        connect(Shell(self.frappe), client)

    def closed(self): ...  # one channel has ended; this operator may have others


def connect(protocol, client):
    client.disconnecting = False  # LineReceiver asks every transport for it, and conch's has none
    protocol.makeConnection(client)
    client.makeConnection(wrapProtocol(protocol))


def end(code, client):
    client.processEnded(Failure(ProcessTerminated(code)))


async def main(reactor, *arguments):
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frappe", required=True, metavar="URL")
    add_options(options)
    given = options.parse_args(arguments)
    frappe = Frappe(reactor, given.frappe)
    port = await listen(reactor, given, b"ops", lambda: Operator(frappe))
    print(f"operators: listening on 127.0.0.1:{port}", flush=True)
    await Deferred()  # for ever: the reactor stops us


if __name__ == "__main__":
    react(main, sys.argv[1:])
