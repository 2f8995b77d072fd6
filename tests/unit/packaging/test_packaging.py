"""What is packaged fits the program: its exit codes, its commands, its configuration, its patience."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from node_wheel import PACKAGE
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.cli import COMMANDS
from lineside.delivery import courier
from lineside.edges.lines import intake

ROOT = Path(__file__).parents[3]
PACKAGING = ROOT / "packaging"
GUIDE = ROOT / "docs" / "guides" / "install-debian.md"
BUILT = "src/lineside/edges/http/dashboard"
yaml: Any = import_module("yaml")
"""It has no types."""


def unit() -> dict[str, list[str]]:
    """Return the unit's settings, each with all its values."""
    settings: dict[str, list[str]] = {}
    for line in (PACKAGING / "systemd" / "lineside.service").read_text().splitlines():
        if line and line[0] not in "#[":
            name, value = line.split("=", 1)
            settings.setdefault(name, []).append(value)
    return settings


def seconds(text: str) -> int:
    """Return a duration of systemd.time(7), as far as the unit uses it."""
    number, name = re.fullmatch(r"(\d+)(min)?", text).groups()  # type: ignore[union-attr]
    return int(number) * (60 if name else 1)


def parses(words: list[str]) -> None:
    """Let the command line take a command with its options; raises what it would complain of."""
    assert words[0] in COMMANDS, words
    command = import_module(f"lineside.cli.{words[0]}").command
    with click.Context(command) as context:
        command.make_parser(context).parse_args(words[1:])


class Unit(SynchronousTestCase):
    """packaging/systemd/lineside.service."""

    def setUp(self) -> None:
        self.unit = unit()

    def one(self, name: str) -> str:
        (value,) = self.unit[name]
        return value

    def test_runs_a_command_that_exists(self) -> None:
        """What it starts is what the guide installs, with options that `lineside run` has."""
        program, *words = self.one("ExecStart").split()
        self.assertEqual("/opt/lineside/bin/lineside", program)
        parses(words)

    def test_waits_for_ready_and_listens_to_signs_of_life(self) -> None:
        """The gateway tells both; nothing else of the service may."""
        self.assertEqual(("notify", "main"), (self.one("Type"), self.one("NotifyAccess")))
        self.assertIn("AF_UNIX", self.one("RestrictAddressFamilies").split())

    def test_a_wrong_configuration_is_not_tried_again(self) -> None:
        """Exit code 2 is final, and only it; everything else is tried again for ever."""
        self.assertEqual("2", self.one("RestartPreventExitStatus"))
        self.assertEqual(("on-failure", "0"), (self.one("Restart"), self.one("StartLimitIntervalSec")))

    def test_has_the_patience_that_stopping_takes(self) -> None:
        """Devices are answered, then routes finish together; twice that is left for the disk."""
        self.assertGreaterEqual(seconds(self.one("TimeoutStopSec")), 2 * (intake.DRAIN + courier.DRAIN))

    def test_takes_no_slow_disk_for_a_dead_gateway(self) -> None:
        """The kernel gives a disk six times 30 seconds (SD_TIMEOUT, SD_MAX_RETRIES of Linux)."""
        self.assertGreaterEqual(seconds(self.one("WatchdogSec")), 6 * 30)

    def test_leaves_no_payload_in_a_core(self) -> None:
        """The watchdog ends a process by SIGABRT; its memory holds secrets."""
        self.assertEqual("0", self.one("LimitCORE"))

    def test_lets_tls_work(self) -> None:
        """Callbacks of pyOpenSSL need memory that is written, then run: this restriction breaks every handshake."""
        self.assertNotIn("MemoryDenyWriteExecute", self.unit)

    def test_gives_what_the_guide_configures(self) -> None:
        """The credentials, the directory of the state and that of the configuration are those of the guide."""
        guide = GUIDE.read_text()
        for credential in self.unit["LoadCredential"]:
            name, path = credential.split(":")
            self.assertIn(f'{{ credential = "{name}" }}', guide)
            self.assertEqual(f"/etc/lineside/credentials/{name}", path)
        self.assertIn(f'path = "/var/lib/{self.one("StateDirectory")}/journal.db"', guide)
        self.assertEqual("strict", self.one("ProtectSystem"))

    def test_systemd_understands_it(self) -> None:
        """No setting is unknown or has a value that systemd would ignore, where there is a systemd to ask."""
        program = shutil.which("systemd-analyze")
        if program is None:
            self.skipTest("there is no systemd-analyze")
        copy = Path("lineside.service").absolute()
        text = (PACKAGING / "systemd" / "lineside.service").read_text()
        copy.write_text(re.sub("^ExecStart=.*", "ExecStart=/bin/true", text, flags=re.MULTILINE))
        done = subprocess.run(
            [program, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False, timeout=60
        )
        complaints = [line for line in done.stderr.splitlines() if "lineside.service" in line]
        self.assertEqual((0, []), (done.returncode, complaints))


class Image(SynchronousTestCase):
    """packaging/docker/Dockerfile."""

    def setUp(self) -> None:
        text = (PACKAGING / "docker" / "Dockerfile").read_text()
        joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
        self.steps = [tuple(line.split(" ", 1)) for line in joined.splitlines() if line]
        self.last = self.steps[max(i for i, step in enumerate(self.steps) if step[0] == "FROM") :]

    def step(self, name: str) -> str:
        (value,) = [step[1] for step in self.last if step[0] == name]
        return value

    def test_runs_the_gateway_and_asks_it(self) -> None:
        """What it starts, and what it asks after its health, are commands with options that exist."""
        self.assertEqual(["lineside"], json.loads(self.step("ENTRYPOINT")))
        parses(json.loads(self.step("CMD")))
        program, *words = json.loads(self.step("HEALTHCHECK").split("CMD ")[1])
        self.assertEqual("lineside", program)
        parses(words)
        self.assertIn("--running", words)

    def test_runs_as_nobody_in_particular(self) -> None:
        """Not as root, stopped by the signal that lets it finish, with a journal that outlives the container."""
        self.assertEqual(
            ("lineside", "SIGTERM", "/var/lib/lineside"),
            (self.step("USER"), self.step("STOPSIGNAL"), self.step("VOLUME")),
        )

    def test_is_made_of_what_is_locked(self) -> None:
        """The project pins its uv, which installs nothing but what uv.lock says."""
        fetched = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["setup"]
        (pinned,) = [requirement for requirement in fetched if requirement.startswith("uv==")]
        runs = [value for name, value in self.steps if name == "RUN"]
        self.assertIn(pinned, " ".join(runs).split())
        syncs = [run for run in runs if run.startswith("uv sync")]
        self.assertEqual([True, True], ["--locked --no-dev" in run for run in syncs])

    def test_copies_what_exists_and_is_sent(self) -> None:
        """Each file of the checkout that a step copies is there, and is not kept from the builder."""
        sent = (PACKAGING / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
        for name, value in self.steps:
            if name == "COPY" and not value.startswith("--from"):
                for path in value.split()[:-1]:
                    self.assertTrue((ROOT / path).exists(), path)
                    self.assertIn(f"!{path.split('/')[0]}", sent)

    def test_builds_the_dashboard_of_what_is_locked(self) -> None:
        """As tools/dashboard.py does, by the Node.js of the same line; the wheel is built with the result."""
        fetched = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["setup"]
        (pinned,) = [requirement for requirement in fetched if requirement.startswith(f"{PACKAGE}==")]
        (node,) = [value.split("=")[1] for name, value in self.steps if name == "ARG" and value.startswith("NODE=")]
        self.assertEqual(pinned.split("==")[1].split(".")[0], node)
        first, second = [n for n, (name, _) in enumerate(self.steps) if name == "FROM"][:2]
        self.assertEqual("node:${NODE}-bookworm-slim AS dashboard", self.steps[first][1])
        runs = [value for name, value in self.steps[first:second] if name == "RUN"]
        self.assertEqual(
            ["npm ci --ignore-scripts --no-audit --no-fund", "node node_modules/vite/bin/vite.js build"], runs
        )
        (taken,) = [n for n, step in enumerate(self.steps) if step[1].startswith("--from=dashboard")]
        self.assertEqual(f"--from=dashboard /source/{BUILT} {BUILT}", self.steps[taken][1])
        self.assertLess(self.steps.index(("COPY", "src src")), taken)
        wheel = max(n for n, (name, value) in enumerate(self.steps) if value.startswith("uv sync"))
        self.assertLess(taken, wheel)

    def test_takes_no_dashboard_from_the_checkout(self) -> None:
        """What was built or installed there, by whatever Node.js and perhaps long ago, is kept from the builder."""
        sent = (PACKAGING / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
        for path, within in ((BUILT, "!src"), ("frontend/node_modules", "!frontend")):
            # The last line that fits decides.
            self.assertLess(sent.index(within), sent.index(path))
        vite = (ROOT / "frontend" / "vite.config.ts").read_text()
        self.assertIn(f'outDir: "../{BUILT}"', vite)


class Compose(SynchronousTestCase):
    """packaging/docker/compose.yaml and its configuration."""

    def setUp(self) -> None:
        self.compose = yaml.safe_load((PACKAGING / "docker" / "compose.yaml").read_text())
        self.gateway = self.compose["services"]["gateway"]

    def test_joins_the_network_of_erpnext(self) -> None:
        """The network is one that exists already, and there is no default for it to miss."""
        self.assertEqual(["erpnext"], self.gateway["networks"])
        network = self.compose["networks"]["erpnext"]
        self.assertTrue(network["external"])
        self.assertTrue(network["name"].startswith("${ERPNEXT_NETWORK:?"))

    def test_builds_from_the_checkout(self) -> None:
        """The paths lead where they should."""
        build = self.gateway["build"]
        context = (PACKAGING / "docker" / build["context"]).resolve()
        self.assertEqual((ROOT.resolve(), True), (context, (context / build["dockerfile"]).exists()))

    def test_keeps_the_journal_and_waits_for_the_end(self) -> None:
        """The journal is on a volume; stopping has the same patience as under systemd."""
        self.assertIn("journal:/var/lib/lineside", self.gateway["volumes"])
        self.assertIn("journal", self.compose["volumes"])
        self.assertEqual(f"{unit()['TimeoutStopSec'][0]}s", self.gateway["stop_grace_period"])

    def test_the_configuration_is_right(self) -> None:
        """It reads with the secrets that the compose file mounts, on the port and the volume of it."""
        Path("secrets").mkdir()
        for name in self.gateway["secrets"]:
            Path("secrets", name).write_text("x\n")
            self.assertEqual(f"./secrets/{name}", self.compose["secrets"][name]["file"])
        settings = load(
            PACKAGING / "docker" / "lineside.toml", {"CREDENTIALS_DIRECTORY": str(Path("secrets").absolute())}
        )
        # Its way is the bridge within one machine; the file says so.
        self.assertEqual(
            ["targets.erp.url: the API key crosses the network unencrypted; use https"], settings.warnings
        )
        self.assertEqual(Path("/var/lib/lineside/journal.db"), settings.journal.path)
        self.assertEqual("tcp:7001", settings.lines["gate"].listen)
        self.assertTrue(self.gateway["ports"][0].endswith(":7001"))
        assert settings.http is not None
        self.assertEqual("tcp:8080", settings.http.listen)
        self.assertRegex(self.gateway["ports"][1], r"127\.0\.0\.1:8080\}:8080$")
        self.assertIsNotNone(settings.sites["erp"].site)
