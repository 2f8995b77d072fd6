"""What Frappe publishes in Redis, into live channels.

redis-py's subscription blocks, so that it has a thread of its own, with a bounded queue between it and the reactor.
Frappe publishes at most once and keeps nothing: what is published while Redis is away is lost, there as here.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import Any, Protocol

from redis import Redis
from redis.exceptions import RedisError
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from lineside.edges.frappe.rooms import CHANNEL, live

log = Logger()

LOOK = 0.5
"""Seconds after which the thread looks whether it is to end."""
AGAIN = (0.5, 1.0, 2.0, 5.0)
"""Seconds until the next attempt to connect; the last for all further ones."""
MOST_WAITING = 10_000
"""Publications that wait for the reactor; the oldest are dropped for more."""

Publish = Callable[[str, bytes], None]
"""Publishes JSON in a channel, on the reactor's thread."""


class Subscription(Protocol):
    """A blocking subscription, as redis-py's ``PubSub``."""

    def get_message(self, *, ignore_subscribe_messages: bool, timeout: float) -> Any:
        """Return the next message, or None after ``timeout`` seconds."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class RealtimeBridge:
    """The `Part` that follows one site's realtime.

    Args:
        reactor: its thread publishes.
        url: of the Redis that Frappe calls ``redis_queue`` (v15) or ``redis_socketio`` (v14).
        site: the site's name; None for a bench with a single one.
        publish: into live channels.
        subscribe: opens a subscription on the thread; redis-py's by default.

    """

    name = "frappe realtime"

    def __init__(
        self,
        reactor: Any,
        url: str,
        site: str | None,
        publish: Publish,
        *,
        subscribe: Callable[[str], Subscription] | None = None,
    ) -> None:
        self._reactor = reactor
        self._url = url
        self._site = site
        self._publish = publish
        self._subscribe = subscribe or subscription
        self._ends = threading.Event()
        self._waiting: deque[bytes] = deque(maxlen=MOST_WAITING)
        self._called = False
        self._pool = ThreadPool(0, 1, "frappe-realtime")
        self._following: Any = None

    async def start(self) -> None:
        """Begin to follow; where Redis is away it is tried again for ever."""
        self._pool.start()
        self._following = deferToThreadPool(self._reactor, self._pool, self._follow)
        self._following.addErrback(lambda failure: log.failure("realtime.failed", failure=failure))

    async def stop(self) -> None:
        """End the thread; returns when it has ended, which takes half a second at most."""
        self._ends.set()
        if self._following is not None:
            await self._following
            self._pool.stop()

    def _follow(self) -> None:
        failures = 0
        while not self._ends.is_set():
            try:
                with closing(self._subscribe(self._url)) as source:
                    self._tell(log.info, "realtime.following", site=self._site)
                    failures = 0
                    while not self._ends.is_set():
                        self._take(source.get_message(ignore_subscribe_messages=True, timeout=LOOK))
            except (RedisError, OSError) as lost:
                if not failures:
                    self._tell(
                        log.warn,
                        "realtime.lost",
                        reason=str(lost),
                        remedy="see whether the ERP's Redis runs, and the address in [live.frappe] redis",
                    )
            except Exception:  # noqa: BLE001 (what answers need be no Redis, and must not end this for good)
                if not failures:
                    self._tell(log.failure, "realtime.failed", failure=Failure())
            self._ends.wait(AGAIN[min(failures, len(AGAIN) - 1)])
            failures += 1

    def _take(self, message: Any) -> None:
        if message is None or not isinstance(message.get("data"), bytes):
            return
        self._waiting.append(message["data"])
        if not self._called:
            self._called = True
            self._reactor.callFromThread(self._publish_waiting)

    def _publish_waiting(self) -> None:
        # The flag falls first: what is appended from now on calls again.
        self._called = False
        for _ in range(len(self._waiting)):
            told = live(self._waiting.popleft(), self._site)
            if told is not None:
                self._publish(*told)

    def _tell(self, say: Callable[..., None], event: str, **facts: Any) -> None:
        self._reactor.callFromThread(say, event, **facts)


def subscription(url: str) -> Subscription:
    """Open a subscription to what Frappe publishes."""
    followed = Redis.from_url(url, socket_connect_timeout=5, health_check_interval=15).pubsub()
    followed.subscribe(CHANNEL)
    found: Subscription = followed
    return found
