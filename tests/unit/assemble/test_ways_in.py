"""What a configuration may say of devices that are dialled, polled, or send datagrams."""

from __future__ import annotations

from pathlib import Path

from tests.rig.certificates import Authority
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.linessettings import LinesSourceSettings
from lineside.assemble.settings import Settings
from lineside.model.errors import ConfigurationError

AROUND = """
[targets.erp]
type = "frappe"
url = "https://erp.example.com"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }

[routes.weight]
doctype = "Weight"
document = { kg = "{{ kg }}" }
"""


def read(*sources: str) -> Settings:
    """Read a configuration with these tables as the sources one, two, ..."""
    names = ("one", "two")
    tables = [f'[sources.{name}]\ntype = "lines"\n{text}\n' for name, text in zip(names, sources, strict=False)]
    path = Path("lineside.toml")
    path.write_text(AROUND + "\n".join(tables), encoding="utf-8")
    return load(path, {"KEY": "k", "SECRET": "s"})


class Taken(SynchronousTestCase):
    """What is right."""

    def source(self, text: str) -> LinesSourceSettings:
        settings = read(text)
        self.assertEqual([], settings.warnings)
        return settings.lines["one"]

    def test_a_dialled_device_has_defaults_of_its_own(self) -> None:
        """It is not answered, and its silence is no reason to hang up, unless it is asked."""
        scale = self.source('connect = "tcp:10.0.0.5:4001"')
        self.assertEqual((False, 0.0, None), (scale.ack, scale.idle_timeout, scale.poll))
        asked = self.source('connect = "tcp:10.0.0.5:4001"\npoll = { send = "S\\r\\n", every = 1.0 }')
        self.assertEqual((False, 300.0), (asked.ack, asked.idle_timeout))
        said = self.source('connect = "tcp:10.0.0.5:4001"\nack = true\nidle_timeout = "1m"')
        self.assertEqual((True, 60.0), (said.ack, said.idle_timeout))

    def test_one_that_dials_in_keeps_its_own(self) -> None:
        """As ever."""
        gate = self.source('listen = "tcp:7001"\npublic = true')
        self.assertEqual((True, 300.0, None), (gate.ack, gate.idle_timeout, gate.dial))

    def test_a_poll_is_bytes(self) -> None:
        """The escapes are TOML's; each character is the byte of its number."""
        scale = self.source(
            'connect = "tcp:10.0.0.5:4001"\npoll = { send = "\\u0002S\\u00ff\\r\\n", every = "1s" }'
        )
        assert scale.poll is not None
        self.assertEqual((b"\x02S\xff\r\n", 1.0, 5.0), (scale.poll.send, scale.poll.every, scale.poll.timeout))

    def test_datagrams_are_not_answered(self) -> None:
        """Whichever way the address is written."""
        for text in ("udp:5140:interface=127.0.0.1", "udp:127.0.0.1:5140", "udp:interface=127.0.0.1:port=5140"):
            sensors = self.source(f'listen = "{text}"')
            self.assertEqual((True, False), (sensors.datagrams, sensors.ack))


class Refused(SynchronousTestCase):
    """What is wrong, told in one line each, with its place."""

    def assertProblems(self, sources: tuple[str, ...], *problems: str) -> None:
        with self.assertRaises(ConfigurationError) as caught:
            read(*sources)
        self.assertEqual([f"lineside.toml: sources.{problem}" for problem in problems], caught.exception.problems)

    def test_a_source_listens_or_dials(self) -> None:
        """One of both."""
        self.assertProblems(("",), "one.listen: is missing; or set connect, where the gateway is to dial")
        self.assertProblems(
            ('listen = "tcp:7001"\npublic = true\nconnect = "tcp:10.0.0.5:4001"',),
            "one.connect: a source either listens or dials; make two of it",
        )

    def test_endpoints_are_checked(self) -> None:
        """With the likely intention."""
        self.assertProblems(
            ('connect = "10.0.0.5:4001"',),
            'one.connect: unknown kind of endpoint "10.0.0.5"; did you mean "tcp:10.0.0.5:4001"?',
        )
        for listen, problem in (
            ("udp:", '"udp" needs a port'),
            ("udp:http", 'port "http" is no number'),
            ("udp:5140:interface=eth0", 'interface "eth0" is no IP address'),
            ("udp:5140:backlog=5", '"udp" has no option "backlog"'),
            ("upd:5140", 'unknown kind of endpoint "upd"'),
        ):
            self.assertProblems((f'listen = "{listen}"',), f"one.listen: {problem}")

    def test_only_a_dialled_device_is_asked(self) -> None:
        """And only what is text for bytes can be asked, in a time of its own."""
        poll = 'poll = { send = "S", every = "1s" }'
        self.assertProblems(
            (f'listen = "tcp:7001"\npublic = true\n{poll}',),
            "one.poll: only a device that is dialled can be asked; set connect, or remove it",
        )
        self.assertProblems(
            ('connect = "tcp:10.0.0.5:4001"\npoll = { send = "€", every = 0, evry = 1 }',),
            "one.poll.send: '€' is no byte: a character stands for the byte of its number",
            "one.poll.every: must be more than 0",
            'one.poll.evry: unknown key; did you mean "every"?',
        )

    def test_an_authority_is_for_tls(self) -> None:
        """One that would vouch for nobody is an error."""
        ca = Authority(Path.cwd()).path
        for way in ('listen = "tcp:7001"\npublic = true', 'connect = "tcp:10.0.0.5:4001"'):
            self.assertProblems(
                (f'{way}\nca = "{ca}"',),
                "one.ca: without TLS nobody shows a certificate; set tls where devices connect, or connect to "
                '"tls:HOST:PORT"',
            )

    def test_datagrams_have_neither_answers_nor_connections(self) -> None:
        """What would do nothing is an error."""
        self.assertProblems(
            ('listen = "udp:5140"\npublic = true\nack = true\nmax_connections = 5\nidle_timeout = "1m"',),
            "one.ack: datagrams are never answered; remove it",
            "one.max_connections: datagrams have no connection; remove it",
            "one.idle_timeout: datagrams have no connection; remove it",
        )

    def test_one_device_is_one_connection(self) -> None:
        """A dialled source has no others, and two sources cannot share a serial port."""
        self.assertProblems(
            ('connect = "tcp:10.0.0.5:4001"\nmax_connections = 5',),
            "one.max_connections: one device is dialled; remove it",
        )
        port = 'connect = "serial:/dev/ttyUSB0:baudrate=9600"'
        self.assertProblems((port, port), "two.connect: the source one has this port already")

    def test_two_sources_cannot_share_a_udp_port(self) -> None:
        """TCP and UDP ports are different things."""
        self.assertProblems(
            ('listen = "udp:5140"\npublic = true', 'listen = "udp:127.0.0.1:5140"'),
            "two.listen: the source one listens there already",
        )
        read('listen = "udp:5140"\npublic = true', 'listen = "tcp:5140"\npublic = true')

    def test_who_may_come_is_said(self) -> None:
        """Who can be reached from other machines names their networks, asks for certificates, or means all."""
        for listen in (
            "tcp:7001",
            "tcp:7001:interface=10.0.0.2",
            "tcp6:7001",
            "udp:5140",
            "systemd:domain=INET:index=0",
        ):
            self.assertProblems(
                (f'listen = "{listen}"',),
                f"one.listen: other machines can reach {listen}, and whoever does can make events; set allow = "
                '["10.20.0.0/16"] to the networks of your devices, or tls and ca to demand certificates, or '
                "public = true if that is meant",
            )
            read(f'listen = "{listen}"\npublic = true')
            read(f'listen = "{listen}"\nallow = ["10.0.0.0/8", "fd00::/8"]')
        for listen in ("tcp:7001:interface=127.0.0.1", "tcp6:7001:interface=\\\\:\\\\:1", "unix:/run/gate.sock"):
            read(f'listen = "{listen}"')

    def test_networks_are_networks(self) -> None:
        """And there is at least one, of a source that anybody can come to by an address."""
        self.assertProblems(
            ('listen = "tcp:7001"\nallow = ["10.0.0.1/8"]',),
            'one.allow: "10.0.0.1/8" is no network such as "10.0.0.0/8": 10.0.0.1/8 has host bits set',
        )
        self.assertProblems(
            ('listen = "unix:/run/gate.sock"\nallow = ["10.0.0.0/8"]',),
            "one.allow: who comes over a Unix socket has no address; use its mode",
        )
        self.assertProblems(
            ('connect = "tcp:10.0.0.5:4001"\nallow = ["10.0.0.0/8"]\npublic = true',),
            "one.allow: the source dials, nobody comes to it; remove it",
            "one.public: the source dials, nobody comes to it; remove it",
        )

    def test_a_rate_needs_somebody_who_can_wait(self) -> None:
        """A serial port goes on without us."""
        self.assertProblems(
            ('connect = "serial:/dev/ttyUSB0:baudrate=9600"\nrate = "10/s"',),
            "one.rate: a serial port cannot be told to wait, and would lose lines",
        )
        self.assertProblems(
            ('connect = "tcp:10.0.0.5:4001"\nrate = "fast"',),
            'one.rate: expected a rate such as "500/s", "30/min" or "1000/h", or "unbound"',
        )
        read('connect = "tcp:10.0.0.5:4001"\nrate = "10/s"')
