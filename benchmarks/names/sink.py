"""Answers every question at once with one record that is always the same: what the generator can do."""

from __future__ import annotations

import select
import socket
import sys
import time

from asking import question
from packets import ROOM, Packets

COUNT = 512
PAUSE = 0.0005
"""Seconds."""
RECORD = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x01\x00\x01"
HEAD = ((2, 0x81), (3, 0x80), (7, 1))
"""Where an answer's header differs from its question's."""


def main(port: int) -> None:
    """Serve for ever."""
    handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    handle.bind(("127.0.0.1", port))
    size = len(question(0, 0))
    came = Packets(COUNT, addressed=True)
    going = Packets(COUNT, addressed=True, shared=came, length=size + len(RECORD))
    for index in range(COUNT):
        at = ROOM * index + size
        came.view[at : at + len(RECORD)] = RECORD
    poll = select.epoll()
    poll.register(handle, select.EPOLLIN)
    with socket.create_server(("127.0.0.1", port)):
        while True:
            poll.poll()
            # A busy server takes many at a time; one that answered each at once would keep the generator from that.
            time.sleep(PAUSE)
            count = came.receive(handle)
            for at, value in HEAD:
                came.view[at : ROOM * count : ROOM] = bytes((value,)) * count
            sent = 0
            while sent < count:
                sent += going.send(handle, count - sent, sent)


if __name__ == "__main__":
    main(int(sys.argv[1]))
