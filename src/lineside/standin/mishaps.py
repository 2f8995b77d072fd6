"""Answers that go wrong on their way: cut off, byte by byte, or under a wrong name."""

from __future__ import annotations

import msgspec
from twisted.internet import task
from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from lineside.standin import envelope
from lineside.standin.envelope import Answer
from lineside.standin.exchange import begin


def misnamed(answer: Answer) -> Answer:
    """Return the answer with the content type of a page."""
    return msgspec.structs.replace(answer, content_type=envelope.HTML)


def send_cut(request: Request, answer: Answer) -> None:
    """Send the headers and half of the body, and hang up."""
    begin(request, answer)
    request.write(answer.body[: len(answer.body) // 2])
    request.loseConnection()


async def send_slowly(
    reactor: IReactorTime, request: Request, answer: Answer, pause: float, gone: list[object]
) -> None:
    """Send the body byte by byte, ``pause`` seconds between any two, until the client is gone."""
    begin(request, answer)
    for place in range(len(answer.body)):
        if place:
            await task.deferLater(reactor, pause)
        if gone:
            return
        request.write(answer.body[place : place + 1])
    request.finish()
