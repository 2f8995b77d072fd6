"""What an endpoint string says, before there is a reactor to make the endpoint."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.endpoints import parse_server


class Parsing(SynchronousTestCase):
    """Server endpoint strings."""

    @given(path=st.text(min_size=1).filter(lambda text: "\0" not in text))
    def test_reads_what_twisted_quotes(self, path: str) -> None:
        """A quoted argument comes back as it was."""
        listen = parse_server(f"unix:address={quoteStringArgument(path)}")
        self.assertEqual((("address", path),), listen.arguments)

    def test_takes_what_twisted_takes(self) -> None:
        """Arguments by name or by place, in any order: the same endpoint as Twisted makes of it."""
        for text in (
            "tcp:7001",
            "tcp:7001:127.0.0.1:10",
            "tcp:port=7001:interface=127.0.0.1",
            "tcp:7001:backlog=10:interface=localhost",
            "tcp6:7001:interface=\\:\\:1",
            "unix:/run/gate.sock:mode=660:lockfile=1",
        ):
            listen = parse_server(text)
            reactor: Any = MemoryReactor()
            self.successResultOf(serverFromString(reactor, text).listen(Factory()))
            made = (reactor.tcpServers or reactor.unixServers)[0]
            arguments = dict(listen.arguments)
            self.assertEqual(str(made[0]), arguments.get("port") or arguments["address"])
            if reactor.tcpServers:
                self.assertEqual(str(made[3]), arguments.get("interface", ""))

    def test_takes_other_kinds_that_are_installed(self) -> None:
        """A plug-in checks its own arguments."""
        self.assertEqual("systemd", parse_server("systemd:domain=INET:name=gate").kind)

    def test_says_what_is_wrong(self) -> None:
        """In one line, with the likely intention."""
        for text, problem in (
            ("7001", '"7001" is no endpoint such as "tcp:7001:interface=127.0.0.1"; did you mean "tcp:7001"?'),
            ("", '"" is no endpoint such as "tcp:7001:interface=127.0.0.1"'),
            ("tpc:7001", 'unknown kind of endpoint "tpc"; did you mean "tcp"?'),
            ("tcp:http", 'port "http" is no number'),
            ("tcp:65536", "port 65536 is not between 0 and 65535"),
            ("tcp:-1", 'port "-1" is no number'),
            ("tcp:", '"tcp" needs a port'),
            ("tcp:interface=127.0.0.1", '"tcp" needs a port'),
            ("tcp:7001:interfce=127.0.0.1", '"tcp" has no option "interfce"; did you mean "interface"?'),
            ("tcp:7001:port=7001", "port is given twice"),
            (
                "tcp6:7001:::1:50",
                'too many parts: "tcp6" takes port, interface, backlog; write a colon inside one as "\\:"',
            ),
            ("tcp:7001:backlog=x", 'backlog "x" is no number'),
            ("unix:/x:mode=rw", 'mode "rw" is no file mode such as 660'),
        ):
            with self.assertRaises(ValueError) as caught:
                parse_server(text)
            self.assertEqual(problem, str(caught.exception))


class Conflicts(SynchronousTestCase):
    """Which two endpoints cannot both be listened on."""

    def test_the_same_address(self) -> None:
        """However it is written, and also as part of every address."""
        for one, other, conflict in (
            ("tcp:7001", "tcp:7001:interface=127.0.0.1", True),
            ("tcp:07001:interface=10.0.0.1", "tcp:7001:10.0.0.1:backlog=5", True),
            ("tcp:7001:interface=10.0.0.1", "tcp:7001:interface=10.0.0.2", False),
            ("tcp:7001", "tcp:7002", False),
            ("tcp:0", "tcp:0", False),
            ("unix:/a:mode=600", "unix:/a", True),
            ("unix:/a", "unix:/b", False),
            ("tcp:7001:interface=127.0.0.1", "tcp6:7001:interface=\\:\\:1", False),
        ):
            self.assertEqual(conflict, parse_server(one).conflicts(parse_server(other)), (one, other))
            self.assertEqual(conflict, parse_server(other).conflicts(parse_server(one)), (other, one))
