"""Where a source's devices are to be played, and whether they can."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.linessettings import LinesSourceSettings
from lineside.assemble.simulated import Reach, datagram_place, played, reach
from lineside.model.errors import ConfigurationError, LinesideError

AROUND = """
[journal]
control = "/run/lineside.sock"
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"
[routes.note]
doctype = "ToDo"
document = { description = "{{ payload }}" }
[sources.one]
type = "lines"
"""


class Simulated(SynchronousTestCase):
    """From the settings of a source to its devices."""

    def source(self, text: str) -> LinesSourceSettings:
        path = Path(self.mktemp())
        path.write_text(AROUND + ("public = true\n" if "listen" in text else "") + text)
        return load(path, {}, secrets=False).lines["one"]

    def test_reach(self) -> None:
        """A source that listens everywhere is found on this machine, over the IP that it speaks."""
        for listen, expected in (
            ("tcp:7001", Reach(stream="tcp:127.0.0.1:7001")),
            ("tcp:7001:interface=10.0.0.2", Reach(stream="tcp:10.0.0.2:7001")),
            ("tcp6:7001", Reach(stream=r"tcp:\:\:1:7001")),
            ("unix:/run/gate.sock", Reach(stream="unix:/run/gate.sock")),
            ("udp:5140", Reach(datagrams=("127.0.0.1", 5140))),
        ):
            self.assertEqual(expected, reach("one", self.source(f"listen = '{listen}'")), listen)

    def test_out_of_reach(self) -> None:
        """Where nobody can know the place, or the gateway is the one who calls, it says what to do."""
        for text, advice in (
            ("listen = 'tcp:0'", "give --connect tcp:HOST:PORT"),
            ("listen = 'systemd:domain=INET:index=0'", "give --connect tcp:HOST:PORT"),
            ("connect = 'tcp:10.0.0.5:4001'", "`lineside try one`"),
            (
                "listen = 'tcp:7001'\ntls = 'gateway'\n[tls.gateway]\ncertificate = 'gateway.pem'",
                "`openssl s_client`",
            ),
        ):
            with self.assertRaises(ConfigurationError) as caught:
                reach("one", self.source(text))
            self.assertIn(advice, str(caught.exception))

    def test_datagrams_need_an_address(self) -> None:
        """Of either IP, with a port."""
        self.assertEqual(("10.0.0.2", 5140), datagram_place("udp:10.0.0.2:5140"))
        self.assertEqual(("::1", 5140), datagram_place("udp:[::1]:5140"))
        for wrong in ("tcp:10.0.0.2:5140", "udp:5140", "udp:gate:5140", "udp:10.0.0.2:0", "udp:10.0.0.2:port"):
            with self.assertRaises(ValueError):
                datagram_place(wrong)

    def test_what_cannot_be_made_up(self) -> None:
        """It says to give a file; an empty one, and one that is not there, are told too."""
        source = self.source("listen = 'tcp:7001'\nformat = { type = 'regex', pattern = '(?P<kg>[0-9.]+)kg' }")
        missing, empty = Path(self.mktemp()), Path(self.mktemp())
        empty.write_text("\n")
        for sample, problem in (
            (None, "give --from FILE"),
            (missing, "No such file or directory"),
            (empty, "has no messages"),
        ):
            with self.assertRaises(LinesideError) as caught:
                played("one", source, sample, endless=False)
            self.assertIn(problem, str(caught.exception))
