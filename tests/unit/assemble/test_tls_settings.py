"""What a configuration may say of certificates, and of listeners that show them and ask for others."""

from __future__ import annotations

from pathlib import Path

from tests.rig.certificates import Authority
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
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

[sources.gate]
type = "lines"
GATE

[tls.plant]
certificate = "CERTIFICATE"
KEY
"""


class Tls(SynchronousTestCase):
    """Read from a file."""

    def setUp(self) -> None:
        self.ca = Authority(Path.cwd())
        self.shown = self.ca.sign("gateway.plant")

    def read(self, gate: str, *, key: str | None = None, more: str = "", secrets: bool = True) -> Settings:
        key = str(self.shown.key) if key is None else key
        text = AROUND.replace("GATE", gate).replace("CERTIFICATE", str(self.shown.certificate))
        text = text.replace("KEY\n", f'key = "{key}"\n' if key else "\n").replace("CA_PATH", str(self.ca.path))
        Path("lineside.toml").write_text(text + more, encoding="utf-8")
        return load(Path("lineside.toml"), {"KEY": "k", "SECRET": "s"}, secrets=secrets)

    def problems(self, gate: str, *, key: str | None = None, more: str = "") -> list[str]:
        with self.assertRaises(ConfigurationError) as caught:
            self.read(gate, key=key, more=more)
        return [each.removeprefix("lineside.toml: ") for each in caught.exception.problems]

    def test_a_listener_names_what_it_shows(self) -> None:
        """One or several, the first by default; and the same for HTTP."""
        more = f'[http]\ntls = ["office", "plant"]\n[tls.office]\ncertificate = "{self.office()}"\n'
        settings = self.read('listen = "tcp:7443"\npublic = true\ntls = "plant"', more=more)
        assert settings.http is not None
        self.assertEqual((("plant",), ("office", "plant")), (settings.lines["gate"].tls, settings.http.tls))
        self.assertEqual(([], 2), (settings.warnings, settings.secured))
        self.assertEqual(self.shown.key, settings.tls["plant"].key)
        self.assertIsNone(settings.tls["office"].key)

    def office(self) -> Path:
        whole = self.ca.sign("gateway.office")
        whole.key.write_bytes(whole.key.read_bytes() + whole.certificate.read_bytes())
        return whole.key

    def test_names_that_are_none(self) -> None:
        """A certificate that there is not, or twice the same."""
        self.assertEqual(
            ['sources.gate.tls: there is no certificate [tls.plan]; did you mean "plant"?'],
            self.problems('listen = "tcp:7443"\npublic = true\ntls = "plan"'),
        )
        self.assertEqual(
            ["http.tls: there is no certificate [tls.x]"],
            self.problems('listen = "tcp:7443"\npublic = true\ntls = "plant"', more='[http]\ntls = "x"\n'),
        )
        [twice] = self.problems('listen = "tcp:7443"\npublic = true\ntls = ["plant", "plant"]')
        self.assertEqual('sources.gate.tls: "plant" stands here twice', twice)

    def test_one_that_is_not_shown(self) -> None:
        """Is worth a warning."""
        self.assertEqual(
            ["tls.plant: no listener shows it"], self.read('listen = "tcp:7001"\npublic = true').warnings
        )

    def test_files_are_looked_at(self) -> None:
        """What is wrong with them is told by `lineside check` already; who needs no secrets does not look."""
        gate = 'listen = "tcp:7443"\npublic = true\ntls = "plant"'
        [problem] = self.problems(gate, key="missing.key")
        self.assertEqual(f"tls.plant: cannot read {Path.cwd() / 'missing.key'}: No such file or directory", problem)
        other = self.ca.sign("other")
        [problem] = self.problems(gate, key=str(other.key))
        self.assertEqual(
            f"tls.plant: the key in {other.key} is not that of the certificate in {self.shown.certificate}", problem
        )
        self.read(gate, key="missing.key", secrets=False)

    def test_where_tls_is_meant_otherwise(self) -> None:
        """Who dials, takes datagrams, or puts it into the endpoint's string is told what to write."""
        self.assertEqual(
            ['sources.gate.tls: the source dials; connect to "tls:HOST:PORT", and remove it'],
            self.problems('connect = "tcp:10.0.0.5:4001"\ntls = "plant"'),
        )
        self.assertEqual(
            ["sources.gate.tls: datagrams have no TLS; remove it"],
            self.problems('listen = "udp:5140"\npublic = true\ntls = "plant"'),
        )
        for kind in ("ssl:7443:privateKey=a.pem", "tls:certs:port=7443"):
            [problem] = self.problems(f'listen = "{kind}"')
            self.assertIn('listen on "tcp:PORT" and set tls to a [tls.NAME]', problem)

    def test_devices_with_certificates(self) -> None:
        """They are asked for one where there is a CA; what belongs to that does nothing without."""
        self.ca.revoke().rename("ca.crl")
        asked = self.read(
            'listen = "tcp:7443"\npublic = true\ntls = "plant"\nca = "CA_PATH"\ncrl = "ca.crl"\n'
            'device = "id"\nown_device_only = true'
        ).lines["gate"]
        self.assertEqual((1, Path.cwd() / "ca.crl", True), (len(asked.ca or ()), asked.crl, asked.own_device_only))
        self.assertEqual(
            [f"sources.gate.crl: cannot read {Path.cwd() / 'none.crl'}: No such file or directory"],
            self.problems('listen = "tcp:7443"\npublic = true\ntls = "plant"\nca = "CA_PATH"\ncrl = "none.crl"'),
        )
        self.assertEqual(
            ["sources.gate.crl: devices are asked for no certificate; set tls and ca"],
            self.problems('listen = "tcp:7443"\npublic = true\ntls = "plant"\ncrl = "ca.crl"'),
        )
        self.assertEqual(
            ["sources.gate.own_device_only: devices show no certificate; set tls and ca"],
            self.problems(
                'listen = "tcp:7443"\npublic = true\ntls = "plant"\ndevice = "id"\nown_device_only = true'
            ),
        )
        self.assertEqual(
            ["sources.gate.own_device_only: no line names one; set device, or remove it"],
            self.problems(
                'listen = "tcp:7443"\npublic = true\ntls = "plant"\nca = "CA_PATH"\nown_device_only = true'
            ),
        )
