"""The benchmark of a page's latency: what it tells is what the page's script saw."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from twisted.trial.unittest import SynchronousTestCase

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


class BrowserLatency(SynchronousTestCase):
    """The product as it is measured."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, browser: Browser) -> None:
        self.directory, self.browser = tmp_path, browser

    def setUp(self) -> None:
        self.patch(sys, "path", [str(BENCHMARKS), *sys.path])
        self.benchmark: dict[str, Any] = runpy.run_path(str(BENCHMARKS / "browser_latency.py"))

    def test_each_event_is_counted_from_line_to_callback(self) -> None:
        """None is older than it can be, none came before it was sent; the clients beside have them all, too."""
        late = self.benchmark["measure"](self.browser, 3, 0.5, self.directory)
        for told in (late["page"], late["beside"]):
            self.assertTrue(0 < told["p50"] <= told["p99"] <= told["max"] < 60_000, late)

    def test_events_that_the_page_did_not_have_end_it(self) -> None:
        """A distribution of some is told of none."""
        self.benchmark["measure"].__globals__["FIRST"] = 7
        with self.assertRaisesRegex(self.benchmark["Unfit"], "or not in their order"):
            self.benchmark["measure"](self.browser, 1, 0.1, self.directory)
