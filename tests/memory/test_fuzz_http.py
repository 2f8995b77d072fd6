"""Whatever comes over a connection of HTTP is no fault of the gateway's, and costs the client beside it nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.memory.test_http_site import MAX_BODY, SiteCase
from tests.rig.hostile import REQUESTS, fuzzed
from tests.rig.http_client import get

PIECES = st.lists(st.integers(1, 400), min_size=1, max_size=4)


class FuzzedHttp(SiteCase):
    """A site, one connection with anything on it, and another one."""

    max_connections = 1000

    @fuzzed
    @given(st.lists(REQUESTS, min_size=1, max_size=3).map(b"".join), PIECES)
    def test_no_bytes_are_too_strange(self, data: bytes, sizes: list[int]) -> None:
        """Cut anywhere: no error is logged, nothing stays behind, and a good request is answered beside it."""
        connection, transport = self.connect()
        number = 0
        while data and not transport.disconnecting:
            size = sizes[number % len(sizes)]
            connection.dataReceived(data[:size])
            data = data[size:]
            number += 1
        self.assertEqual(200, self.ask(get("/plain"))[0][0])
        self.leave(connection)
        self.clock.advance(600)
        self.assertEqual([], self.flushLoggedErrors())
        self.assertLessEqual(max((len(call.body) for call in self.calls), default=0), MAX_BODY)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.calls.clear()
