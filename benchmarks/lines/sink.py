"""A server that stores nothing and answers at once: it shows how fast the generator itself can be.

``python sink.py`` prints its port, and serves until it is killed. With the files of a certificate and of its key it
speaks TLS.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import sys


def serve(certificate: str | None = None, key: str | None = None) -> None:
    """Answer each line end with one ``OK 1``."""
    shown = None
    if certificate is not None:
        shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        shown.load_cert_chain(certificate, key)
    listening = socket.create_server(("127.0.0.1", 0), backlog=1_024)
    print(listening.getsockname()[1], flush=True)
    selector = selectors.DefaultSelector()
    selector.register(listening, selectors.EVENT_READ)
    buffer = bytearray(262_144)
    while True:
        for ready, _ in selector.select():
            readable = ready.fileobj
            assert isinstance(readable, socket.socket)
            if readable is listening:
                connection, _ = listening.accept()
                if shown is not None:
                    connection = shown.wrap_socket(connection, server_side=True)
                selector.register(connection, selectors.EVENT_READ)
                continue
            if size := readable.recv_into(buffer):
                readable.sendall(b"OK 1\n" * buffer.count(b"\n", 0, size))
            else:
                selector.unregister(readable)
                readable.close()


if __name__ == "__main__":
    serve(*sys.argv[1:])
