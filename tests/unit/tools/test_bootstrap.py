"""Set-up finds what a person told pip or uv, and the uv that fits the machine."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[3]


def load() -> Any:
    """Import the script, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "tools" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap = load()


class ChoosingUv(SynchronousTestCase):
    """uv.lock pins a wheel of uv for every machine that we name."""

    def chosen(self, *machine: Any) -> list[str]:
        """Return the platform tags of the locked wheels that fit."""
        wheels = bootstrap.locked_wheels(tomllib.loads((ROOT / "uv.lock").read_text()), "uv")
        names = [wheel["url"].rsplit("/", 1)[1] for wheel in wheels]
        here = bootstrap.Machine(*machine)
        return [name.removesuffix(".whl").rsplit("-", 1)[1] for name in names if here.runs(name)]

    def test_debian(self) -> None:
        """Debian 12 on the usual processor has exactly one."""
        self.assertEqual(
            ["manylinux_2_17_x86_64.manylinux2014_x86_64"], self.chosen("Linux", "x86_64", 64, ("glibc", "2.36"))
        )

    def test_every_named_platform(self) -> None:
        """ARM, musl, 32 bits and macOS have one too."""
        for machine in (
            ("Linux", "aarch64", 64, ("glibc", "2.36")),
            ("Linux", "aarch64", 32, ("glibc", "2.36")),
            ("Linux", "x86_64", 32, ("glibc", "2.36")),
            ("Linux", "x86_64", 64, ("", "")),
            ("Linux", "aarch64", 64, ("", "")),
            ("Darwin", "arm64", 64, ("", "")),
            ("Darwin", "x86_64", 64, ("", "")),
        ):
            self.assertNotEqual([], self.chosen(*machine), machine)

    def test_too_old_a_c_library(self) -> None:
        """A wheel built for a newer C library is never chosen: it would not start."""
        self.assertEqual([], self.chosen("Linux", "x86_64", 64, ("glibc", "2.12")))

    def test_no_wheel(self) -> None:
        """A machine without a wheel is told so, before anything is fetched."""
        nowhere = bootstrap.Machine("Linux", "sparc64", 64, ("glibc", "2.36"))
        wheels = bootstrap.locked_wheels(tomllib.loads((ROOT / "uv.lock").read_text()), "uv")
        failed = self.assertRaises(
            bootstrap.SetupFailed, bootstrap.fetch_uv, None, None, wheels, nowhere, Path(self.mktemp())
        )
        self.assertIn("Install uv yourself", str(failed))

    def test_the_lock_stays_with_pypi(self) -> None:
        """A mirror of somebody's network never gets into uv.lock."""
        lock = tomllib.loads((ROOT / "uv.lock").read_text())
        sources = {package["source"].get("registry") for package in lock["package"]} - {None}
        self.assertEqual({bootstrap.PYPI}, sources)


class WhatPipWasTold(SynchronousTestCase):
    """Files and environment are read as pip reads them."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp())
        self.system = Path(self.mktemp())
        (self.home / ".config" / "pip").mkdir(parents=True)

    def settings(self, **environ: str) -> dict[str, str]:
        """Return what holds in this home."""
        found: dict[str, str] = bootstrap.pip_settings(environ, self.home, self.system)
        return found

    def test_nothing(self) -> None:
        """Nobody said anything: PyPI it is."""
        self.assertEqual({}, self.settings())
        self.assertIsNone(bootstrap.package_index({}, {}))

    def test_precedence(self) -> None:
        """The user's file goes before the system's, and the environment before both."""
        self.system.write_text("[global]\nindex-url = https://system/simple\ncert = /system.pem\n")
        self.assertEqual("https://system/simple", self.settings()["index-url"])
        (self.home / ".config" / "pip" / "pip.conf").write_text("[install]\nindex_url = https://user/simple\n")
        self.assertEqual("https://user/simple", self.settings()["index-url"])
        told = self.settings(PIP_INDEX_URL="https://here/simple")
        self.assertEqual(("https://here/simple", "/system.pem"), (told["index-url"], told["cert"]))

    def test_a_file_of_its_own(self) -> None:
        """PIP_CONFIG_FILE names one more file; the null device turns all of them off."""
        self.system.write_text("[global]\nproxy = http://old:3128\n")
        own = Path(self.mktemp())
        own.write_text("[global]\nproxy = http://new:3128\n")
        self.assertEqual("http://new:3128", self.settings(PIP_CONFIG_FILE=str(own))["proxy"])
        self.assertNotIn("proxy", self.settings(PIP_CONFIG_FILE="/dev/null"))

    def test_a_broken_file(self) -> None:
        """A file that pip could not read either does not stop set-up."""
        self.system.write_text("index-url = nowhere\n")
        self.assertEqual({}, self.settings())

    def test_index(self) -> None:
        """What uv was told goes first; PyPI by name is PyPI."""
        pip = {"index-url": "https://mirror/simple/"}
        self.assertEqual("https://mirror/simple", bootstrap.package_index({}, pip))
        self.assertEqual(
            "https://uv/simple", bootstrap.package_index({"UV_DEFAULT_INDEX": "https://uv/simple"}, pip)
        )
        self.assertIsNone(bootstrap.package_index({}, {"index-url": "https://pypi.org/simple/"}))

    def test_authorities(self) -> None:
        """The first file of authorities that exists is used; one that does not exist would trust nobody."""
        pem = Path(self.mktemp())
        pem.touch()
        named = {"SSL_CERT_FILE": "/does/not/exist.pem"}
        self.assertEqual(str(pem), bootstrap.authorities_file(named, {"cert": str(pem)}))
        self.assertNotEqual("/does/not/exist.pem", bootstrap.authorities_file(named, {}))

    def test_credentials(self) -> None:
        """User and password leave the address for the header, and follow to files on the same host only."""
        clean, authorization = bootstrap.without_credentials("https://me:se%40cret@mirror:8443/simple/uv/")
        self.assertEqual("https://mirror:8443/simple/uv/", clean)
        self.assertEqual("Basic bWU6c2VAY3JldA==", authorization)
        index = "https://me:pw@mirror/simple"
        self.assertEqual("https://me:pw@mirror/f", bootstrap.with_credentials_of(index, "https://mirror/f"))
        self.assertEqual("https://files/f", bootstrap.with_credentials_of(index, "https://files/f"))
