"""uv.lock pins a uv for every machine that is named."""

from __future__ import annotations

import tomllib
from pathlib import Path

from network import PYPI, Fetcher, Network, SetupFailed
from twisted.trial.unittest import SynchronousTestCase
from uv_wheel import Machine, fetch_uv, locked_wheels, with_credentials_of

ROOT = Path(__file__).parents[3]


class ChoosingUv(SynchronousTestCase):
    """uv.lock pins a wheel of uv for every machine that we name."""

    def chosen(self, system: str, machine: str, bits: int, libc: tuple[str, str]) -> list[str]:
        """Return the platform tags of the locked wheels that fit."""
        wheels = locked_wheels(tomllib.loads((ROOT / "uv.lock").read_text()), "uv")
        names = [wheel["url"].rsplit("/", 1)[1] for wheel in wheels]
        here = Machine(system, machine, bits, libc)
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
        nowhere = Machine("Linux", "sparc64", 64, ("glibc", "2.36"))
        wheels = locked_wheels(tomllib.loads((ROOT / "uv.lock").read_text()), "uv")
        fetcher = Fetcher(Network(index=None, proxy=None, cafile=None))
        failed = self.assertRaises(SetupFailed, fetch_uv, fetcher, None, wheels, nowhere, Path(self.mktemp()))
        self.assertIn("Install uv yourself", str(failed))

    def test_the_lock_stays_with_pypi(self) -> None:
        """A mirror of somebody's network never gets into uv.lock."""
        lock = tomllib.loads((ROOT / "uv.lock").read_text())
        sources = {package["source"].get("registry") for package in lock["package"]} - {None}
        self.assertEqual({PYPI}, sources)

    def test_credentials(self) -> None:
        """A mirror's user and password follow to files on the same host, and to no other."""
        index = "https://me:pw@mirror/simple"
        self.assertEqual("https://me:pw@mirror/f", with_credentials_of(index, "https://mirror/f"))
        self.assertEqual("https://files/f", with_credentials_of(index, "https://files/f"))
