"""A server that stores nothing and answers at once: it shows how fast the generator itself can be.

``python sink.py`` prints its port, and serves until it is killed.
"""

from __future__ import annotations

import selectors
import socket


def serve() -> None:
    """Answer each line end with one ``OK 1``."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1_024)
    print(listening.getsockname()[1], flush=True)
    selector = selectors.DefaultSelector()
    selector.register(listening, selectors.EVENT_READ)
    buffer = bytearray(262_144)
    while True:
        for key, _ in selector.select():
            readable = key.fileobj
            assert isinstance(readable, socket.socket)
            if readable is listening:
                connection, _ = listening.accept()
                selector.register(connection, selectors.EVENT_READ)
                continue
            if size := readable.recv_into(buffer):
                readable.sendall(b"OK 1\n" * buffer.count(b"\n", 0, size))
            else:
                selector.unregister(readable)
                readable.close()


if __name__ == "__main__":
    serve()
