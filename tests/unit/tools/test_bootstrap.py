"""uv is run with what pip was told."""

from __future__ import annotations

from pathlib import Path

from bootstrap import ROOT, uv_environment, uv_on_path
from network import Network
from twisted.trial.unittest import SynchronousTestCase


class RunningUv(SynchronousTestCase):
    """The environment that uv gets, and which uv it is."""

    def setUp(self) -> None:
        self.cache = Path(self.mktemp()).absolute()
        self.cache.mkdir()
        self.environ = {"UV_CACHE_DIR": str(self.cache)}

    def uv(self, says: str) -> str:
        """Put a program named uv on a PATH of its own and return the PATH."""
        place = Path(self.mktemp())
        place.mkdir()
        program = place / "uv"
        program.write_text(f"#!/bin/sh\n{says}\n")
        program.chmod(0o755)
        return str(place)

    def test_the_project_gets_its_own_environment(self) -> None:
        """An active environment of somebody else is not touched, and no Python is downloaded."""
        env = uv_environment(self.environ | {"VIRTUAL_ENV": "/elsewhere"}, Network(None, None, None))
        self.assertNotIn("VIRTUAL_ENV", env)
        self.assertEqual(str(ROOT / ".venv"), env["UV_PROJECT_ENVIRONMENT"])
        self.assertEqual("never", env["UV_PYTHON_DOWNLOADS"])

    def test_a_mirror_and_its_authority(self) -> None:
        """Uv asks the index that pip was told of, and trusts whom pip trusts."""
        env = uv_environment(self.environ, Network("https://mirror/simple", None, "/ca.pem"))
        self.assertEqual(("https://mirror/simple", "/ca.pem"), (env["UV_DEFAULT_INDEX"], env["SSL_CERT_FILE"]))

    def test_authorities_that_are_not_there(self) -> None:
        """A file of authorities that does not exist is not named to uv, which would trust nobody."""
        env = uv_environment(self.environ | {"SSL_CERT_FILE": "/does/not/exist.pem"}, Network(None, None, None))
        self.assertNotIn("SSL_CERT_FILE", env)

    def test_the_uv_on_path(self) -> None:
        """A uv that works and is new enough is used; one that is old or broken is passed over."""
        good = self.uv("echo 'uv 0.13.9 (x86_64-unknown-linux-gnu)'")
        self.assertEqual(Path(good, "uv"), uv_on_path(good))
        self.assertIsNone(uv_on_path(self.uv("echo uv 0.7.22")))
        self.assertIsNone(uv_on_path(self.uv("echo uv 0.13.9; exit 1")))
        self.assertIsNone(uv_on_path(self.uv("echo something else")))
        self.assertIsNone(uv_on_path(self.mktemp()))
