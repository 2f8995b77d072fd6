"""What a string says that tells where to dial, before there is a reactor to make the endpoint."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import HostnameEndpoint, clientFromString, quoteStringArgument
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble import clientendpoints
from lineside.assemble.clientendpoints import parse_client
from lineside.assemble.dialling import client_endpoint
from lineside.edges.lines.secured import SecuredEndpoint
from lineside.edges.lines.serialport import SerialEndpoint


class Parsing(SynchronousTestCase):
    """Client endpoint strings."""

    def test_arguments_by_name_or_by_place(self) -> None:
        """The same endpoint, with its time-out."""
        for text, arguments, timeout in (
            ("tcp:10.0.0.5:4001", {"host": "10.0.0.5", "port": "4001"}, 10.0),
            ("tcp:host=scale.local:port=4001:timeout=3", {"host": "scale.local", "port": "4001"}, 3.0),
            ("tcp:fe80\\:\\:5:4001", {"host": "fe80::5", "port": "4001"}, 10.0),
            ("tls:scale.local:4001:timeout=20", {"host": "scale.local", "port": "4001"}, 20.0),
            ("unix:/run/scale.sock", {"path": "/run/scale.sock"}, 10.0),
            ("serial:/dev/ttyUSB0:9600", {"device": "/dev/ttyUSB0", "baudrate": "9600"}, 10.0),
        ):
            dial = parse_client(text)
            found = {name: value for name, value in dial.arguments.items() if name != "timeout"}
            self.assertEqual((arguments, timeout), (found, dial.timeout), text)

    @given(path=st.text(min_size=1).filter(lambda text: "\0" not in text))
    def test_reads_what_twisted_quotes(self, path: str) -> None:
        """A device path with a colon, as under /dev/serial/by-path, comes back as it was."""
        dial = parse_client(f"serial:device={quoteStringArgument('/' + path)}:baudrate=9600")
        self.assertEqual("/" + path, dial.arguments["device"])

    def test_takes_what_twisted_takes(self) -> None:
        """A Unix socket's endpoint is Twisted's own, and means the same."""
        reactor: Any = MemoryReactorClock()
        for made in (
            client_endpoint(reactor, "unix:/run/s.sock:timeout=4", parse_client("unix:/run/s.sock:timeout=4")),
            clientFromString(reactor, "unix:/run/s.sock:timeout=4"),
        ):
            made.connect(Factory())
        (mine, _, *my_rest), (its, _, *its_rest) = reactor.unixClients
        self.assertEqual((mine, my_rest), (its, its_rest))

    def test_each_kind_becomes_its_endpoint(self) -> None:
        """TCP by name or number, of either IP version; a serial port with every option."""
        reactor: Any = MemoryReactorClock()
        for text, kind in (
            ("tcp:scale.local:4001", HostnameEndpoint),
            ("tls:scale.local:4001", SecuredEndpoint),
            ("serial:/dev/ttyS0:1200:bytesize=7:parity=E:stopbits=1.5:rtscts=1:xonxoff=0", SerialEndpoint),
        ):
            self.assertIsInstance(client_endpoint(reactor, text, parse_client(text)), kind)

    def test_says_what_is_wrong(self) -> None:
        """In one line, with the likely intention."""
        for text, problem in (
            ("10.0.0.5", '"10.0.0.5" is no endpoint such as "tcp:10.0.0.5:4001"'),
            ("10.0.0.5:4001", 'unknown kind of endpoint "10.0.0.5"; did you mean "tcp:10.0.0.5:4001"?'),
            (
                "/dev/ttyUSB0",
                (
                    '"/dev/ttyUSB0" is no endpoint such as "tcp:10.0.0.5:4001"; '
                    'did you mean "serial:/dev/ttyUSB0:baudrate=9600"?'
                ),
            ),
            ("tpc:10.0.0.5:4001", 'unknown kind of endpoint "tpc"; did you mean "tcp"?'),
            ("seriel:/dev/ttyS0:9600", 'unknown kind of endpoint "seriel"; did you mean "serial"?'),
            ("tcp:10.0.0.5", '"tcp" needs a port, as in "tcp:10.0.0.5:4001"'),
            (
                "tcp:7001",
                '"tcp" needs a port, as in "tcp:10.0.0.5:4001"; a source that is dialled by its devices has listen',
            ),
            ("tcp:10.0.0.5:http", 'port "http" is no number'),
            ("tcp:10.0.0.5:0", "port 0 is not between 1 and 65535"),
            ("tcp:10.0.0.5:4001:timeout=soon", 'timeout "soon" is no number'),
            ("tcp:10.0.0.5:4001:timeout=0", "timeout 0 is below 1"),
            ("tcp:10.0.0.5:4001:timout=5", '"tcp" has no option "timout"; did you mean "timeout"?'),
            (
                "tcp:fe80::5:4001",
                (
                    'too many parts: "tcp" takes host, port and further ones by their names; '
                    'write a colon inside one as "\\:"'
                ),
            ),
            (
                "ssl:10.0.0.5:4001",
                '"ssl" does not look whose certificate it is shown; write "tls:HOST:PORT"',
            ),
            ("tls:scale:4001:trustRoots=/ca", '"tls" has no option "trustRoots"'),
            ("tls:scale:4001:certificate=our.pem", 'certificate "our.pem" is no whole path of a PEM file'),
            ("tls:scale:4001:privateKey=/our.key", "privateKey is that of a certificate, which is missing"),
            ("serial:/dev/ttyS0", '"serial" needs a baudrate, as in "serial:/dev/ttyUSB0:baudrate=9600"'),
            ("serial:COM1:9600", '"COM1" is no path of a device, as in "serial:/dev/ttyUSB0:baudrate=9600"'),
            ("serial:/dev/ttyS0:96OO", 'baudrate "96OO" is no number'),
            ("serial:/dev/ttyS0:10", "baudrate 10 is not between 50 and 4000000"),
            ("serial:/dev/ttyS0:9600:parity=even", 'parity "even" is none of N, E, O, M, S'),
            ("serial:/dev/ttyS0:9600:bytsize=7", '"serial" has no option "bytsize"; did you mean "bytesize"?'),
        ):
            with self.assertRaises(ValueError) as caught:
                parse_client(text)
            self.assertEqual(problem, str(caught.exception))

    def test_a_serial_port_needs_its_extra(self) -> None:
        """Without pyserial the error says what to install."""
        self.patch(clientendpoints, "find_spec", lambda name: None)
        with self.assertRaises(ValueError) as caught:
            parse_client("serial:/dev/ttyUSB0:baudrate=9600")
        self.assertEqual(
            "serial ports need the extra serial: pip install 'lineside[serial]'", str(caught.exception)
        )
        parse_client("tcp:10.0.0.5:4001")
