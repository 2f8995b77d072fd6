"""What the SSH servers of this chapter share: a host key, public keys and nothing else, today's algorithms.

A server made here can do nothing yet. What somebody may do once they are in is their avatar's affair: see example.py
and example_files.py.
"""

import argparse
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker, readAuthorizedKeyFile
from twisted.conch.interfaces import IConchUser

# userauth imports the reactor at its top, and that installs the default one. react() takes the same, so here it does
# no harm; a program that wants another reactor has to install it before this line is reached.
from twisted.conch.ssh import connection, factory, keys, session, transport, userauth
from twisted.cred.portal import IRealm, Portal
from twisted.internet.endpoints import TCP4ServerEndpoint
from zope.interface import implementer


def host_key(path):
    """Return the server's key. It is made at the first start and kept, for it is what clients know us by."""
    if not Path(path).exists():
        made = keys.Key(Ed25519PrivateKey.generate()).toString("openssh")
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(made)
    return keys.Key.fromFile(path)


class Encrypted(transport.SSHServerTransport):
    """The transport, without the algorithms that conch still offers for the sake of old clients."""

    # Those with Curve25519: alone, or together with ML-KEM where OpenSSL has it.
    supportedKeyExchanges = tuple(
        name for name in transport.SSHServerTransport.supportedKeyExchanges if b"25519" in name
    )
    supportedCiphers = (b"aes256-ctr", b"aes128-ctr")
    supportedMACs = (b"hmac-sha2-512", b"hmac-sha2-256")


class Login(userauth.SSHUserAuthServer):
    """The login, with less patience than conch's ten hours and twenty attempts."""

    loginTimeout = 60
    attemptsBeforeDisconnect = 6


class Server(factory.SSHFactory):
    protocol = Encrypted

    def __init__(self, portal, key):
        self.portal = portal
        self.services = {b"ssh-userauth": Login, b"ssh-connection": connection.SSHConnection}
        self.privateKeys = {key.sshType(): key}
        self.publicKeys = {key.sshType(): key.public()}


@implementer(IRealm)
class Realm:
    """Gives whoever proved who they are their avatar: an object that holds what they may do."""

    def __init__(self, avatar):
        self.avatar = avatar

    def requestAvatar(self, name, mind, *interfaces):
        return IConchUser, self.avatar(), lambda: None


class Channel(session.SSHSession):
    """A session's channel on which everything is refused that an avatar does not open again."""

    def refused(self, data):
        return False

    request_pty_req = request_shell = request_exec = request_subsystem = refused


def authorized_keys(path):
    """Return the public keys in a file such as ssh's own authorized_keys."""
    try:
        return list(readAuthorizedKeyFile(Path(path).read_bytes().splitlines()))
    except OSError as error:
        raise argparse.ArgumentTypeError(error) from error


def add_options(options):
    options.add_argument("--authorized-keys", required=True, type=authorized_keys, metavar="FILE")
    options.add_argument("--host-key", default="host_key", metavar="FILE")
    options.add_argument("--port", type=int, default=0)


async def listen(reactor, given, user, avatar):
    """Listen for a user's SSH connections; returns the port number."""
    known = InMemorySSHKeyDB({user: given.authorized_keys})
    portal = Portal(Realm(avatar), [SSHPublicKeyChecker(known)])  # nothing here checks passwords, so there are none
    key = host_key(given.host_key)
    endpoint = TCP4ServerEndpoint(reactor, given.port, interface="127.0.0.1")
    port = await endpoint.listen(Server(portal, key))
    print(f"host key: {key.public().toString('openssh').decode()}", flush=True)
    return port.getHost().port
