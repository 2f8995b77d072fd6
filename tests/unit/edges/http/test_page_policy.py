"""What the dashboard's page tells a browser: to run nothing but its own files, wherever it is shown."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.http.files import dashboard_endpoints
from lineside.operations.web import Answer, Call
from lineside.security.identity import NOBODY


class ThePage(SynchronousTestCase):
    """Its headers, built or not."""

    def headers(self, directory: Path) -> dict[str, str]:
        (page,) = (each for each in dashboard_endpoints(directory) if each.path == "/")
        answer = page.answer(Call(NOBODY, {}, {}, {}))
        assert isinstance(answer, Answer)
        return dict(answer.headers)

    def test_nothing_is_run_that_is_not_the_gateways(self) -> None:
        """No script within the page, none from elsewhere, no other page around it, and no word of where one was."""
        built = Path("built")
        built.mkdir()
        (built / "index.html").write_text("<!doctype html><title>x</title>")
        for directory in (built, Path("nowhere")):
            headers = self.headers(directory)
            rules = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
            self.assertEqual(rules["default-src"], "'self'")
            for kind in ("base-uri", "form-action", "frame-ancestors", "object-src"):
                self.assertEqual(rules[kind], "'none'")
            self.assertNotIn("unsafe", headers["Content-Security-Policy"])
            self.assertEqual(headers["Referrer-Policy"], "no-referrer")
