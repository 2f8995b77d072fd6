"""Many datagrams in one call of the kernel: recvmmsg(2) and sendmmsg(2), which Python's socket module lacks.

A call for each datagram, and an address made a string and back, cost more than the answer. Here a datagram stays
where the kernel put it, its answer is written over it, and its address is looked at only for who it is.
"""

from __future__ import annotations

import ctypes
import errno
import socket
from typing import Any

COUNT = 64
"""Datagrams of one call."""
ROOM = 2_048
"""Bytes for each: no question is longer, nor an answer, and the rest of one that is would not be whole."""
MSG_DONTWAIT = getattr(socket, "MSG_DONTWAIT", 0x40)
_NOTHING = frozenset({errno.EAGAIN, errno.EINTR})


class _Piece(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Head(ctypes.Structure):
    """``struct msghdr``, as Linux has it."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("pieces", ctypes.c_void_p),
        ("piece_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """``struct mmsghdr``."""

    _fields_ = (("head", _Head), ("length", ctypes.c_uint32))


_WORDS = ctypes.sizeof(_Message) // 4
_LENGTH = _Message.length.offset // 4
_PLACES = {socket.AF_INET: (16, 4, 4), socket.AF_INET6: (28, 8, 16)}
"""By family: bytes of a socket's address, where the IP address is in it, and its bytes."""


class Batch:
    """Room for `COUNT` datagrams, and the calls that fill and empty it.

    Args:
        handle: a socket for datagrams, of IPv4 or IPv6.

    Raises:
        OSError: this system has no such calls.

    """

    def __init__(self, handle: socket.socket) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._recvmmsg, self._sendmmsg = libc.recvmmsg, libc.sendmmsg
        except AttributeError:
            raise OSError(errno.ENOSYS, "recvmmsg") from None
        self._descriptor = handle.fileno()
        size, self.at, length = _PLACES[handle.family]
        self.stride, self.end = size, self.at + length
        self.content: Any = ctypes.create_string_buffer(ROOM * COUNT)
        """The datagrams, `ROOM` bytes from one to the next; slices of it are bytes."""
        self.view = memoryview(self.content).cast("B")
        """The same, to be written to."""
        self.addresses: Any = ctypes.create_string_buffer(size * COUNT)
        """Their addresses, `stride` bytes from one to the next, the IP address from `at` to `end`."""
        self._pieces = (_Piece * COUNT)()
        self._messages = (_Message * COUNT)()
        for index in range(COUNT):
            self._pieces[index].base = ctypes.addressof(self.content) + ROOM * index
            self._pieces[index].length = ROOM
            head = self._messages[index].head
            head.name = ctypes.addressof(self.addresses) + size * index
            head.name_length = size
            head.pieces = ctypes.addressof(self._pieces[index])
            head.piece_count = 1
        self._first = ctypes.c_void_p(ctypes.addressof(self._messages))
        self._words = memoryview(self._messages).cast("B").cast("I")
        self.sizes = memoryview(self._pieces).cast("B").cast("Q")[1::2]
        """How long each is that goes out."""
        self._room = memoryview((ctypes.c_size_t * COUNT)(*[ROOM] * COUNT)).cast("B").cast("Q")

    def receive(self) -> list[int]:
        """Return the lengths of the datagrams that came, none where none waits.

        An error that an answer before met is told here by the system, and is nobody's: it counts as nothing.
        """
        count = self._recvmmsg(self._descriptor, self._first, COUNT, MSG_DONTWAIT, None)
        if count <= 0:
            return []
        lengths: list[int] = self._words[_LENGTH : _WORDS * count : _WORDS].tolist()
        return lengths

    def send(self, count: int, silent: list[int]) -> int:
        """Send the first ``count``, without those that are ``silent``; make room again.

        Returns how many the system did not take.
        """
        unsent, begin = 0, 0
        for end in (*silent, count):
            while begin < end:
                sent = self._sent(begin, end - begin)
                if sent <= 0:
                    # This one is lost: the network is full, or it has no such place. The others may have.
                    unsent, sent = unsent + 1, 1
                begin += sent
            begin = end + 1
        self.sizes[:count] = self._room[:count]
        return unsent

    def _sent(self, begin: int, count: int) -> int:
        first: Any = ctypes.byref(self._messages, ctypes.sizeof(_Message) * begin)
        sent: int = self._sendmmsg(self._descriptor, first, count, MSG_DONTWAIT)
        return sent
