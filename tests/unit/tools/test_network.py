"""Set-up finds what a person told pip or uv."""

from __future__ import annotations

from pathlib import Path

from network import authorities_file, package_index, pip_settings, without_credentials
from twisted.trial.unittest import SynchronousTestCase


class WhatPipWasTold(SynchronousTestCase):
    """Files and environment are read as pip reads them."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp())
        self.system = Path(self.mktemp())
        (self.home / ".config" / "pip").mkdir(parents=True)

    def settings(self, **environ: str) -> dict[str, str]:
        """Return what holds in this home."""
        return pip_settings(environ, self.home, self.system)

    def test_nothing(self) -> None:
        """Nobody said anything: PyPI it is."""
        self.assertEqual({}, self.settings())
        self.assertIsNone(package_index({}, {}))

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
        self.assertEqual("https://mirror/simple", package_index({}, pip))
        self.assertEqual("https://uv/simple", package_index({"UV_DEFAULT_INDEX": "https://uv/simple"}, pip))
        self.assertIsNone(package_index({}, {"index-url": "https://pypi.org/simple/"}))

    def test_authorities(self) -> None:
        """The first file of authorities that exists is used; one that does not exist would trust nobody."""
        pem = Path(self.mktemp())
        pem.touch()
        named = {"SSL_CERT_FILE": "/does/not/exist.pem"}
        self.assertEqual(str(pem), authorities_file(named, {"cert": str(pem)}))
        self.assertNotEqual("/does/not/exist.pem", authorities_file(named, {}))

    def test_credentials(self) -> None:
        """User and password leave the address for the header."""
        clean, authorization = without_credentials("https://me:se%40cret@mirror:8443/simple/uv/")
        self.assertEqual("https://mirror:8443/simple/uv/", clean)
        self.assertEqual("Basic bWU6c2VAY3JldA==", authorization)
