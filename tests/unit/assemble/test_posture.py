"""What an auditor asks is told as it is, and no secret with it."""

from __future__ import annotations

from pathlib import Path

import msgspec
from tests.rig.certificates import Authority
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.posture import Host, posture

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "https://erp.example.com"
api_key = { env = "KEY" }
api_secret = { file = "secret" }

[sources.gate]
type = "lines"
listen = "tcp:7001"
public = true
rate = "30/min"

[sources.near]
type = "lines"
listen = "tcp:7002:interface=127.0.0.1"

[sources.web]
type = "http"

[sources.items]
type = "frappe"
doctype = "Item"
unsigned = true

[routes.checkin]
doctype = "Employee Checkin"
document = { employee = "{{ employee }}" }

[http]
listen = "tcp:8080"

[live]
jwt_key = "a-literal-key-of-at-least-32-characters"
"""


class Told(SynchronousTestCase):
    """Of one configuration with a bit of everything."""

    def setUp(self) -> None:
        Path("lineside.toml").write_text(CONFIGURATION)
        Path("lineside.toml").chmod(0o644)
        Path("secret").write_text("hush-hush")
        Path("secret").chmod(0o600)
        self.told = posture(load(Path("lineside.toml"), {"KEY": "the-key"}))

    def test_ways_in(self) -> None:
        """Who can reach each, and how it is known who sends."""
        doors = {door.what: (door.public, door.tls, door.known_by) for door in self.told.doors}
        self.assertEqual(
            doors,
            {
                "journal.control": (False, False, "the file's mode"),
                "sources.gate": (True, False, "nothing: public = true"),
                "sources.near": (False, False, "its address"),
                "http": (True, False, "API tokens"),
                "sources.web": (True, False, "API tokens"),
                "sources.items": (True, False, "nothing: unsigned = true"),
                "live": (True, False, "API tokens, JSON Web Tokens"),
            },
        )
        self.assertTrue(
            all(door.limits for door in self.told.doors if door.what in {"sources.gate", "http", "live"})
        )

    def test_who_may_come_to_a_source(self) -> None:
        """Whoever shows a certificate, or comes from some networks; and how fast, where that is said."""
        ca = Authority(Path.cwd())
        gateway = ca.sign("gateway.plant", begins=-1, ends=365)
        shown = f'[tls.plant]\ncertificate = "{gateway.certificate}"\nkey = "{gateway.key}"\n'
        asked = f'tls = "plant"\nca = "{ca.path}"'
        for said, tls, known_by, finding in (
            (
                'allow = ["10.20.0.0/16"]',
                False,
                "its address, one of 10.20.0.0/16",
                "tcp:7001 from 10.20.0.0/16 can",
            ),
            (
                'allow = ["10.20.0.0/16"]\ntls = "plant"',
                True,
                "its address, one of 10.20.0.0/16",
                "from 10.20.0.0/16",
            ),
            (asked, True, "its certificate", None),
            (f'{asked}\nallow = ["10.20.0.0/16"]', True, "its certificate, from 10.20.0.0/16", None),
            ('public = true\ntls = "plant"', True, "nothing: public = true", "whoever reaches tcp:7001 can"),
        ):
            Path("lineside.toml").write_text(CONFIGURATION.replace("public = true", said, 1) + shown)
            told = posture(load(Path("lineside.toml"), {"KEY": "the-key"}))
            [gate] = [door for door in told.doors if door.what == "sources.gate"]
            self.assertEqual((tls, known_by), (gate.tls, gate.known_by))
            self.assertEqual(0.5, gate.limits["lines_per_second_of_one_connection"])
            found = "\n".join(each for each in told.unsafe if "can make events" in each and "gate" in each)
            self.assertIn(finding or "", found)
            self.assertEqual(finding is None, not found)

    def test_rates_of_requests(self) -> None:
        """Those that are in force, and no others."""
        [http] = [door for door in self.told.doors if door.what == "http"]
        self.assertNotIn("requests_per_second_of_one_address", http.limits)
        Path("lineside.toml").write_text(f'{CONFIGURATION}[limits]\nrequests = "600/min"\n')
        told = posture(load(Path("lineside.toml"), {"KEY": "the-key"}))
        [http] = [door for door in told.doors if door.what == "http"]
        self.assertEqual(10.0, http.limits["requests_per_second_of_one_address"])

    def test_places_of_secrets(self) -> None:
        """And the mode of a file; the secrets themselves are not told."""
        places = {each.key: (each.place, each.mode) for each in self.told.secrets}
        self.assertEqual(
            places,
            {
                "targets.erp.api_key": ("env KEY", None),
                "targets.erp.api_secret": (f"file {Path('secret').absolute()}", "0600"),
                "live.jwt_key": ("the configuration itself", None),
            },
        )
        text = msgspec.json.encode(self.told).decode()
        for secret in ("the-key", "hush-hush", "a-literal-key"):
            self.assertNotIn(secret, text)

    def test_findings(self) -> None:
        """What an auditor would mark: what crosses the network open, who needs no name, secrets in the open."""
        found = "\n".join(self.told.unsafe)
        self.assertIn("sources.gate: whoever reaches tcp:7001 can make events", found)
        self.assertIn("sources.items: whoever reaches tcp:8080 POST /hooks/items can make events", found)
        self.assertIn("http: what is sent to tcp:8080 crosses the network unencrypted", found)
        self.assertIn("live.jwt_key: the secret stands in the configuration", found)
        self.assertIn("holds a secret, and others can read it (mode 0644)", found)
        self.assertNotIn("sources.near", found)

    def test_people(self) -> None:
        """That they log in is told, and found where their passwords can be read on the way."""
        with_login = CONFIGURATION.replace(
            "[live]", '[http.login]\ninsecure = true\n[http.login.roles]\nviewer = ["Stock User"]\n[live]'
        )
        Path("lineside.toml").write_text(with_login)
        told = posture(load(Path("lineside.toml"), {"KEY": "the-key"}))
        [http] = [door for door in told.doors if door.what == "http"]
        self.assertEqual(http.known_by, "API tokens, people's passwords in the ERP")
        self.assertIn("http.login.insecure: passwords come to tcp:8080 unencrypted", "\n".join(told.unsafe))

    def test_versions(self) -> None:
        """Of what the connections and the store rest on."""
        self.assertLessEqual({"lineside", "python", "openssl", "sqlite", "twisted"}, self.told.versions.keys())

    def test_hosts_that_are_gone_to(self) -> None:
        """As whom, by what each knows the other; and that weak algorithms may be agreed on."""
        source = (
            '[sources.scale]\ntype = "ssh-command"\nconnect = "tcp:10.20.0.9:22"\n'
            'user = "lineside"\nlegacy = true\n'
            'password = { env = "KEY" }\nhost_key = "SHA256:7F8QbYpWIKvXr9q1Wl3n3yvWkLZkqZ9m0lXJx0n4sXo"\n'
            'follow = "/var/log/scale.log"\n'
        )
        Path("lineside.toml").write_text(CONFIGURATION + source)
        told = posture(load(Path("lineside.toml"), {"KEY": "the-key"}))
        self.assertEqual([Host("sources.scale", "10.20.0.9:22", "lineside", "a password", "host_key")], told.hosts)
        found = "\n".join(told.unsafe)
        self.assertIn("sources.scale.legacy: who can alter the connection to 10.20.0.9 has a chance", found)
        self.assertEqual([], self.told.hosts)
