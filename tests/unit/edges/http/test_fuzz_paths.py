"""Paths that mean to lead out of the dashboard's folder."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.rig.hostile import bent, fuzzed
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.http.files import dashboard_endpoints
from lineside.edges.http.routing import Found, Routes

OUTSIDE = (
    b"/../secret.txt",
    b"/assets/../../secret.txt",
    b"/%2e%2e/secret.txt",
    b"/.%2e/secret.txt",
    b"/%2e%2e%2fsecret.txt",
    b"/..%2fsecret.txt",
    b"/..%5csecret.txt",
    b"/..\\secret.txt",
    b"//secret.txt",
    b"///../secret.txt",
    b"/assets//app.js",
    b"/./assets/app.js",
    b"/assets/%00app.js",
    b"/assets/app.js%00",
    b"/assets/app.js\x00.html",
    b"/assets/app.js/",
    b"/assets/",
    b"/assets",
    b"/index.html",
    b"/assets/APP.JS",
    # Dots and slashes in more bytes than they need, which RFC 3629, section 3, forbids.
    b"/%c0%ae%c0%ae/secret.txt",
    b"/%c0%ae%c0%ae%c0%afsecret.txt",
    b"/%e0%80%ae%e0%80%ae/secret.txt",
    # Decoded twice.
    b"/%252e%252e/secret.txt",
    b"/%u002e%u002e/secret.txt",
    b"/\xff\xfe",
    b"/link/secret.txt",
    b"/C:/secret.txt",
    b"/assets/app.js.gz",
    b"file:///secret.txt",
    b"",
    b"*",
)


class Paths(SynchronousTestCase):
    """A folder with two files, and one beside it that is a secret."""

    def setUp(self) -> None:
        directory = Path(self.mktemp())
        built = directory / "built"
        (built / "assets").mkdir(parents=True)
        (built / "index.html").write_text("<!doctype html>")
        (built / "assets" / "app.js").write_text("1")
        (built / "assets" / "app.js.gz").write_bytes(b"packed")
        (directory / "secret.txt").write_text("secret")
        self.routes = Routes(dashboard_endpoints(built))

    def test_none_leads_out_of_it(self) -> None:
        """Only what the build has left is there, by the one name that it has."""
        for path in OUTSIDE:
            self.assertEqual(self.routes.find(b"GET", path), frozenset(), path)
        for path in (b"/", b"/assets/app.js", b"/assets/%61pp.js"):
            self.assertIsInstance(self.routes.find(b"GET", path), Found, path)

    @fuzzed
    @given(bent(st.sampled_from(OUTSIDE)) | st.binary(max_size=40))
    def test_nor_does_any_other(self, path: bytes) -> None:
        """Whatever its bytes: it is one of the two, or not there."""
        found = self.routes.find(b"GET", path)
        if isinstance(found, Found):
            self.assertIn(found.endpoint.path, {"/", "/assets/app.js"})
