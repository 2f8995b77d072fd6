"""What a configuration may say of names: served ones, and those of services."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.posture import posture
from lineside.assemble.settings import Settings
from lineside.model.errors import ConfigurationError
from lineside.operations.results import SourceStatus

AROUND = """
[targets.erp]
type = "frappe"
url = "URL"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }
TARGET

[sources.gate]
type = "lines"
SOURCE

[routes.weight]
doctype = "Weight"
document = { kg = "{{ kg }}" }

"""
ZONE = '[dns]\nzone = "plant.example"\n'


class Dns(SynchronousTestCase):
    """Read from a file."""

    def read(
        self,
        dns: str = "",
        *,
        url: str = "https://erp.example.com",
        target: str = "",
        source: str = 'listen = "tcp:7001:interface=127.0.0.1"',
    ) -> Settings:
        text = AROUND.replace("URL", url).replace("TARGET", target).replace("SOURCE", source)
        Path("lineside.toml").write_text(text + dns, encoding="utf-8")
        return load(Path("lineside.toml"), {"KEY": "k", "SECRET": "s"})

    def problems(self, dns: str = "", **more: str) -> list[str]:
        with self.assertRaises(ConfigurationError) as caught:
            self.read(dns, **more)
        return [each.removeprefix("lineside.toml: ") for each in caught.exception.problems]

    def record(self, *lines: str) -> str:
        return "[[dns.records]]\n" + "\n".join(lines) + "\n"

    def test_each_record_has_its_error_at_its_place(self) -> None:
        """All at once: names, values by their type, and conditions with what was meant."""
        dns = ZONE + "".join(
            (
                self.record('name = "a b"', 'type = "A"', 'value = "10.0.0.1"'),
                self.record('name = "a"', 'type = "A"', 'value = ["10.0.0.1", "fd00::1"]'),
                self.record('name = "b"', 'type = "A"', 'value = "10.0.0.1"', 'when = { source = "gat" }'),
                self.record('name = "c"', 'type = "MX"', 'value = "x"'),
                self.record('name = "d"', 'type = "A"', 'value = "10.0.0.1"', "when = { }"),
                self.record('name = "e"', 'type = "A"', 'value = "10.0.0.1"', 'when = { check = "udp:1" }'),
                self.record('name = "f"', 'type = "A"', 'valu = "10.0.0.1"'),
            )
        )
        said = "\n".join(self.problems(dns))
        for wanted in (
            'dns.records[0].name: "a b" is no name',
            'dns.records[1].value[1]: "fd00::1" is no IPv4 address; that is an IPv6 address, of type AAAA',
            'dns.records[2].when.source: unknown source "gat"; did you mean "gate"?',
            "dns.records[3].type:",
            "dns.records[4].when: expected one of source, target and check",
            "dns.records[5].when.check:",
            'dns.records[6].valu: unknown key; did you mean "value"?',
        ):
            self.assertIn(wanted, said)

    def test_records_beside_each_other(self) -> None:
        """An alias stands alone, leads somewhere, and everything is inside a zone that is served."""
        alias = self.record('name = "a"', 'type = "CNAME"', 'value = "b"')
        back = self.record('name = "b"', 'type = "CNAME"', 'value = "a"')
        address = self.record('name = "a"', 'type = "A"', 'value = "10.0.0.1"')
        away = self.record('name = "host.other.example."', 'type = "A"', 'value = "10.0.0.1"')
        self.assertIn("dns.records[0].name: a CNAME stands alone", self.problems(ZONE + alias + address)[0])
        self.assertIn("lead back to it", self.problems(ZONE + alias + back)[0])
        self.assertEqual(self.problems(ZONE + away), ["dns.records[0].name: the name is in none of the zones"])
        self.assertIn("there is no zone for them", self.problems("[dns]\n" + address)[0])

    def test_where_it_listens(self) -> None:
        """One string stands for UDP and TCP, with an address of its own family."""
        for listen, said in (
            ("udp:53", 'DNS needs TCP as well as UDP; write "tcp:53"'),
            ("unix:/run/dns", "expected an address such as"),
            ("tcp:53:interface=fd00\\\\:\\\\:1", 'needs "tcp6:"'),
            ("tcp:53:interface=here", "is no IP address"),
            ("tcp:70000", "not between 0 and 65535"),
        ):
            [problem] = self.problems(ZONE + f'listen = "{listen}"\n')
            self.assertTrue(problem.startswith("dns.listen: "), problem)
            self.assertIn(said, problem)

    def test_networks_and_servers(self) -> None:
        """What is none is said, with what one looks like; a reverse zone ends where a label does."""
        self.assertIn("10.0.0.1/24", self.problems(ZONE + 'networks = ["10.0.0.1/24"]')[0])
        self.assertIn("/8, /16 or /24", self.problems(ZONE + 'reverse = ["10.0.0.0/20"]')[0])
        self.assertIn("is inside", self.problems(ZONE + 'reverse = ["10.0.0.0/8", "10.1.0.0/16"]')[0])
        self.assertIn("is no address of a server", self.problems('[dns]\nservers = ["ns.example"]')[0])
        servers = (
            self.read('[dns]\nservers = ["10.0.0.1", "10.0.0.1:5353", "[fd00::1]:53"]').sites["erp"].name_servers
        )
        self.assertEqual(len(servers), 3)

    def test_what_had_better_be_otherwise(self) -> None:
        """A name server without an address, and answers that may leave from another address."""
        self.assertEqual(self.read(ZONE).warnings, [])
        warnings = self.read(ZONE + 'listen = "tcp:53"\n').warnings
        self.assertTrue(any(each.startswith("dns.nameservers: ns.plant.example.") for each in warnings), warnings)
        self.assertTrue(any(each.startswith("dns.listen: ") for each in warnings), warnings)

    def test_an_auditor_sees_the_door(self) -> None:
        """Where it is, who may ask, and what bounds it."""
        [door] = [each for each in posture(self.read(ZONE)).doors if each.what == "dns"]
        self.assertEqual((door.public, door.limits), (False, {"rate_limit": 2_000}))

    def test_the_erp_as_a_service(self) -> None:
        """Its site is the service's domain or `host`; a port or a name that is no service is an error."""
        erp = self.read(url="srv+https://_erp._tcp.plant.example/sub").sites["erp"]
        self.assertEqual((erp.service, erp.address), ("_erp._tcp.plant.example", "https://plant.example/sub"))
        erp = self.read(url="srv+https://_erp._tcp.plant.example", target='host = "erp.example"').sites["erp"]
        self.assertEqual(erp.address, "https://erp.example")
        self.assertIn("tell the port", self.problems(url="srv+https://_erp._tcp.plant.example:443")[0])
        self.assertIn("is no service such as", self.problems(url="srv+https://erp.plant.example")[0])
        self.assertIn("targets.erp.host: ", self.problems(target='host = "erp.example"')[0])
        [warning] = self.read(url="srv+http://_erp._tcp.plant.example").warnings
        self.assertIn("the API key crosses the network unencrypted", warning)

    def test_a_device_as_a_service(self) -> None:
        """Its name is checked."""
        dial = self.read(source='connect = "srv:_scale._tcp.plant.example"').lines["gate"].dial
        assert dial is not None
        self.assertEqual((dial.kind, dial.arguments), ("srv", {"service": "_scale._tcp.plant.example"}))
        self.assertIn("is no service such as", self.problems(source='connect = "srv:scale.plant.example"')[0])


class Troubles(SynchronousTestCase):
    """What makes a source useless to who looks for it."""

    def test_of_a_source(self) -> None:
        """A pause, a full disk and a device that is away; not what was lost once."""
        from lineside.assemble.troubles import source_trouble  # noqa: PLC0415

        def status(problem: str | None = None, *, paused: bool = False) -> SourceStatus:
            return SourceStatus("gate", "", 0, 0, 0, problem=problem, paused=paused)

        self.assertIsNone(source_trouble(status(), []))
        self.assertIsNone(source_trouble(status("3 datagrams dropped since the start"), []))
        self.assertEqual(source_trouble(status(paused=True), []), "paused")
        self.assertEqual(source_trouble(status(), ["the disk is full"]), "the disk is full")
        self.assertEqual(source_trouble(status("dialling for 9 s"), []), "dialling for 9 s")
