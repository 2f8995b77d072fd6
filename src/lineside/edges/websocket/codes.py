"""What clients are told when something does not go: errors, ends of connections, ends of subscriptions. Pure.

Numbers and texts are those of Centrifugo's client protocol: by them its SDKs decide whether to try again.
"""

from __future__ import annotations

from typing import NamedTuple

from lineside.model.errors import LinesideError


class ErrorCode(NamedTuple):
    """A reply to a command that could not be carried out."""

    code: int
    message: str
    temporary: bool = False
    """The client is to try again."""


INTERNAL = ErrorCode(100, "internal server error", True)
UNAUTHORIZED = ErrorCode(101, "unauthorized")
UNKNOWN_CHANNEL = ErrorCode(102, "unknown channel")
PERMISSION_DENIED = ErrorCode(103, "permission denied")
METHOD_NOT_FOUND = ErrorCode(104, "method not found")
ALREADY_SUBSCRIBED = ErrorCode(105, "already subscribed")
LIMIT_EXCEEDED = ErrorCode(106, "limit exceeded")
BAD_REQUEST = ErrorCode(107, "bad request")
NOT_AVAILABLE = ErrorCode(108, "not available")
TOKEN_EXPIRED = ErrorCode(109, "token expired")
TOO_MANY_REQUESTS = ErrorCode(111, "too many requests", True)
UNRECOVERABLE_POSITION = ErrorCode(112, "unrecoverable position")
FAILED = 400
"""An operation that was understood and did not go, with the text that a person may read."""


class Disconnect(NamedTuple):
    """The code and the reason of a close frame.

    From 3500 on, and from 4500 on, clients stay away; the others come back by themselves. A reason is never empty
    and never JSON: the JavaScript SDK would take it for something else.
    """

    code: int
    reason: str


SHUTDOWN = Disconnect(3001, "shutdown")
SERVER_ERROR = Disconnect(3004, "internal server error")
EXPIRED = Disconnect(3005, "connection expired")
SLOW = Disconnect(3008, "slow")
NO_PONG = Disconnect(3012, "no pong")
TOO_FAST = Disconnect(3013, "too many requests")
INVALID_TOKEN = Disconnect(3500, "invalid token")
BAD_COMMAND = Disconnect(3501, "bad request")
STALE = Disconnect(3502, "stale")
INAPPROPRIATE_PROTOCOL = Disconnect(3506, "inappropriate protocol")
SEND_NOT_AVAILABLE = Disconnect(3508, "not available")


class Unsubscribe(NamedTuple):
    """The code and the reason with which a subscription is ended; from 2500 on the client subscribes again."""

    code: int
    reason: str


SHUT_OUT = Unsubscribe(2000, "permission denied")
SUBSCRIPTION_EXPIRED = Unsubscribe(2501, "subscription expired")


class Refused(LinesideError):
    """A command is answered with an error."""

    def __init__(self, error: ErrorCode) -> None:
        super().__init__(error.message)
        self.error = error


class Ended(LinesideError):
    """The connection ends."""

    def __init__(self, disconnect: Disconnect) -> None:
        super().__init__(disconnect.reason)
        self.disconnect = disconnect
