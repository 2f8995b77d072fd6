"""A server that answers every request at once and stores nothing: it shows how fast the generator itself can be.

``python sink.py STATUS`` prints its port, and serves until it is killed. What it reads at once is one request.
"""

from __future__ import annotations

import selectors
import socket
import sys


def serve(status: str) -> None:
    """Answer with this status and fifteen bytes."""
    answer = b"HTTP/1.1 %s Fine\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n" % status.encode()
    answer += b'{"status":"ok"}'
    listening = socket.create_server(("127.0.0.1", 0), backlog=1_024)
    print(listening.getsockname()[1], flush=True)
    selector = selectors.DefaultSelector()
    selector.register(listening, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            readable = key.fileobj
            assert isinstance(readable, socket.socket)
            if readable is listening:
                connection, _ = listening.accept()
                selector.register(connection, selectors.EVENT_READ)
                continue
            if readable.recv(65_536):
                readable.sendall(answer)
            else:
                selector.unregister(readable)
                readable.close()


if __name__ == "__main__":
    serve(sys.argv[1])
