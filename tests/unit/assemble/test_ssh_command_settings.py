"""What the configuration can say of commands on hosts."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rig.sshd import make_key
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.rehearsal import Rehearsal
from lineside.assemble.settings import Settings
from lineside.cli.simulate import place_of_source
from lineside.model.errors import ConfigurationError

SOURCE = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "KEY" }
api_secret = { env = "KEY" }

[routes.note]
doctype = "ToDo"
document = { description = "{{ kg }}" }

[sources.scale]
type = "ssh-command"
connect = "tcp:10.20.0.9:22"
user = "lineside"
key = "client"
known_hosts = "known_hosts"
"""
RIGHT = "command = 'tail -n 0 -F /var/log/scale.log'"
WRONG = {
    "": "command is missing: what is run there?",
    f"{RIGHT}\nfollow = '/var/log/scale.log'": "set one of them",
    f"{RIGHT}\nevery = '2s'": "every is only for a source with follow",
    "follow = '/var/log/scale.log'\nack = true": "ack is only for a source with command",
    "follow = '/var/log/scale.log'\npoll = { send = 'S', every = '1s' }": "poll is only for",
    "follow = '/var/log/scale.log'\nframing = 'length'": 'framing is "lf", "crlf" or "cr"',
    "follow = 'scale.log'": "follow: expected the whole path of a file there",
    "follow = '/var/log/'": "follow: expected the whole path of a file there",
    "follow = '/var/log/scale.log'\nrotated = 'scale.log.1'": "rotated: expected the whole path",
    "command = ' '": "command: expected a command as the host's shell reads it",
    'command = "a\\u0000b"': "command: expected a command as the host's shell reads it",
    f"{RIGHT}\nlisten = 'tcp:7001'": "listen: unknown key",
    f"{RIGHT}\nmax_connections = 3": "max_connections: unknown key",
    f"{RIGHT}\nframming = 'lf'": 'unknown key; did you mean "framing"?',
    f"{RIGHT}\nframing = 'crl'": "did you mean",
    f"{RIGHT}\nformat = {{ type = 'csv', columns = ['kg'] }}\ndedupe = 'n'": "dedupe: ",
    f"{RIGHT}\npoll = {{ send = 'S' }}": "poll.every: is missing",
}


class CommandSettings(SynchronousTestCase):
    """One source."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path
        make_key(tmp_path / "client")
        (tmp_path / "known_hosts").write_text(f"10.20.0.9 {make_key(tmp_path / 'host')}\n")

    def load(self, changed: str) -> Settings:
        path = self.directory / "lineside.toml"
        path.write_text(f"{SOURCE}{changed}\n")
        return load(path, environ={"KEY": "key"})

    def test_what_is_wrong_is_said_with_its_key(self) -> None:
        """All of it before anything starts."""
        for changed, told in WRONG.items():
            wrong = self.assertRaises(ConfigurationError, self.load, changed)
            self.assertTrue(
                any("sources.scale" in line and told in line for line in wrong.problems), wrong.problems
            )

    def test_it_has_what_sources_of_lines_have(self) -> None:
        """And answers nothing, since a command rarely reads."""
        settings = self.load(f"{RIGHT}\nformat = 'keyvalue'\ndedupe = 'n'")
        source = settings.ssh_commands["scale"]
        self.assertEqual((False, 0.0, "n"), (source.ack, source.idle_timeout, source.dedupe))
        self.assertEqual("ssh://lineside@10.20.0.9:22", source.place)
        [told] = Rehearsal(settings, "scale", lambda: 1).lines([b"n=7;kg=1.5\n"])
        self.assertEqual(("7", b'{"n":"7","kg":"1.5"}'), (told.event.key, told.event.body))

    def test_it_is_played_by_another_command(self) -> None:
        """No device connects to it; the message says which."""
        self.load(RIGHT)
        wrong = self.assertRaises(
            ConfigurationError,
            place_of_source,
            self.directory / "lineside.toml",
            "scale",
            None,
            None,
            endless=False,
        )
        self.assertIn("play one with `lineside simulate legacy-host`", wrong.problems[0])
