"""From the settings for a host to what its connection needs. The files are read each time."""

from __future__ import annotations

import stat
from collections.abc import Awaitable, Callable
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
from twisted.conch.ssh.keys import Key
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.threads import deferToThreadPool

from lineside.assemble.hostsettings import HostKeys, read
from lineside.edges.ssh.client.algorithms import LEGACY, MODERN
from lineside.edges.ssh.client.failures import NotReached
from lineside.edges.ssh.client.hosts import LEARN, known_host, pinned
from lineside.edges.ssh.client.transport import Visit

LEAST_RSA = 2048
"""Bits of our key."""
MAKE = "make one with ssh-keygen -t ed25519 -N ''"


def host_endpoint(reactor: Any, settings: HostKeys) -> IStreamClientEndpoint:
    """Return the endpoint of a host."""
    address = settings.address
    return HostnameEndpoint(reactor, address.host, address.port, address.timeout)


def visiting(reactor: Any, settings: HostKeys) -> Callable[[], Awaitable[Visit]]:
    """Return what reads, in a thread, who we are and by what the host is known."""
    return lambda: deferToThreadPool(reactor, reactor.getThreadPool(), visit_of, settings)


def visit_of(settings: HostKeys) -> Visit:
    """Return to whom we go, and as whom. It reads files.

    Raises:
        NotReached: a file is not there, or does not hold what it is to; the reason begins with the key.

    """
    address = settings.address
    if settings.host_key is not None:
        try:
            host = pinned(f"{address.host}:{address.port}", settings.host_key)
        except ValueError as wrong:
            raise NotReached(f"host_key: {wrong}", "copy it from ssh-keyscan, and compare it") from wrong
    else:
        assert settings.known_hosts is not None
        try:
            text = read(settings.known_hosts, "known_hosts").decode("utf-8", "replace")
        except OSError as failed:
            raise NotReached(str(failed), LEARN) from failed
        host = known_host(text, address.host, address.port)
        if not host.blobs:
            raise NotReached(f"known_hosts: {settings.known_hosts} has no key of {host.name}", LEARN)
    return Visit(
        host,
        settings.user,
        LEGACY if settings.legacy else MODERN,
        None if settings.key is None else _own_key(settings),
        None if settings.password is None else settings.password.reveal(),
    )


def _own_key(settings: HostKeys) -> Key:
    path = settings.key
    assert path is not None
    try:
        content = read(path, "key")
        mode = path.stat().st_mode
    except OSError as failed:
        raise NotReached(str(failed), MAKE) from failed
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise NotReached(f"key: others can read {path}", f"chmod 600 {path}")
    phrase = None if settings.passphrase is None else settings.passphrase.reveal().encode()
    load = load_ssh_private_key if b"OPENSSH" in content[:60] else load_pem_private_key
    try:
        loaded = load(content, phrase)
        key = Key(loaded)
        key.sshType()
    except (ValueError, TypeError, UnsupportedAlgorithm, RuntimeError) as wrong:
        if phrase is None:
            reason = f"key: {path} holds no private key without a passphrase"
            raise NotReached(reason, f"set passphrase, or {MAKE}") from wrong
        raise NotReached(
            f"key: {path} holds no private key that the passphrase opens", "see whether passphrase is its own"
        ) from wrong
    if key.type() == "DSA" or (isinstance(loaded, RSAPrivateKey) and loaded.key_size < LEAST_RSA):
        raise NotReached(f"key: {path} is too weak", MAKE)
    return key
