"""A private Redis."""

from __future__ import annotations

import shutil

from redis import Redis
from redis.exceptions import RedisError
from tests.rig.daemon import Daemon, lacking


class RedisServer:
    """One server on a Unix socket, which keeps nothing."""

    def __init__(self) -> None:
        if shutil.which("redis-server") is None:
            lacking("Redis is not installed")
        self._daemon = Daemon(("redis", "nobody"))
        self._socket = self._daemon.directory / "redis.sock"
        # A directory of the server's own is no business of others; the tests are root or its owner.
        self.url = f"unix://{self._socket}"

    def start(self) -> None:
        """Start it, or start it again."""
        options = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no"]
        self._daemon.start(["redis-server", *options], self._answers)

    def publish(self, channel: str, data: bytes) -> int:
        """Publish as Frappe does; returns how many follow."""
        with Redis.from_url(self.url) as redis:
            followers: int = redis.publish(channel, data)
            return followers

    def kill(self) -> None:
        """End it as a power cut would."""
        self._daemon.kill()

    def remove(self) -> None:
        """End it, and leave nothing behind."""
        self._daemon.remove()

    def _answers(self) -> bool:
        try:
            with Redis.from_url(self.url) as redis:
                return bool(redis.ping())
        except RedisError:
            return False
