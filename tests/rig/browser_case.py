"""A page of a real browser on a running gateway: what it asks for and what its console says is held against it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Route, expect, sync_playwright
from tests.rig.daemon import lacking
from tests.rig.forked import Nursery
from tests.rig.running_plant import RunningPlant
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "src/lineside/edges/http/dashboard/index.html"
AXE = ROOT / "frontend/node_modules/axe-core/axe.min.js"
PATIENCE = 30_000.0
"""Milliseconds that anything may take on a busy machine: a promise broken, not a promise of speed."""
VIEWS = {"Overview": "/#/", "Events": "/#/events", "Dead letters": "/#/dead-letters", "Devices": "/#/devices"}

expect.set_options(timeout=PATIENCE)


def chromium() -> str | None:
    """Return Debian's Chromium: the engine alone where it is there, which costs half of it with its windows."""
    return shutil.which("chromium-headless-shell") or shutil.which("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run Debian's Chromium; nothing is downloaded.

    Not for longer than a file: meanwhile an event loop of asyncio counts as running, and no test could run its own.
    """
    program = chromium()
    if program is None:
        lacking("there is no Chromium")
    if not BUILT.exists() or not AXE.exists():
        lacking("the dashboard is not built (make dashboard)")
    with sync_playwright() as playwright:
        # As root Chromium has no sandbox; the page is our own.
        opened = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def plant(browser: Browser, tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Iterator[RunningPlant]:
    """Run an ERP and a gateway for the tests of a file."""
    running = RunningPlant(tmp_path_factory.mktemp("plant"), nursery)
    try:
        running.start()
        yield running
    finally:
        running.stop()


class BrowserCase(SynchronousTestCase):
    """Has ``self.plant`` and, once `visit` was called, ``self.page``."""

    plant: RunningPlant
    page: Page

    @pytest.fixture(autouse=True)
    def at_work(self, browser: Browser, plant: RunningPlant) -> None:
        self.browser, self.plant = browser, plant

    def setUp(self) -> None:
        self.forgiven: list[str] = []
        """Patterns of what the console may say."""
        self._said: list[str] = []
        self._asked: list[str] = []

    def visit(
        self,
        path: str = "/",
        *,
        scheme: Literal["light", "dark"] = "light",
        size: tuple[int, int] = (1280, 900),
        **options: Any,
    ) -> Page:
        """Open a page in a browser that knows nothing yet."""
        width, height = size
        context = self.browser.new_context(
            base_url=self.plant.url, color_scheme=scheme, viewport={"width": width, "height": height}, **options
        )
        context.set_default_timeout(PATIENCE)
        self.addCleanup(context.close)
        self.addCleanup(self._is_clean)
        self.page = context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self._said.append(f"error: {error}"))
        self.page.on("request", lambda request: self._asked.append(request.url))
        self.page.goto(path)
        return self.page

    def link(self, name: str) -> Locator:
        """Return the link of a view."""
        return self.page.get_by_role("navigation", name="Views").get_by_role("link", name=name)

    def heading(self, name: str) -> Locator:
        """Return the page's heading."""
        return self.page.get_by_role("heading", level=1, name=name, exact=True)

    def unanswered(self, pattern: str | re.Pattern[str]) -> list[str]:
        """Let requests to such addresses fail from now on; returns the list that will hold them."""
        asked: list[str] = []

        def refuse(route: Route) -> None:
            asked.append(route.request.url)
            route.abort()

        self.page.route(pattern, refuse)
        return asked

    def violations(self) -> list[str]:
        """Ask axe-core what keeps people from using the page, a line each."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{one['impact']}: {one['help']}: {[node['html'][:200] for node in one['nodes']]}"
            for one in found["violations"]
        ]

    def _hear(self, message: ConsoleMessage) -> None:
        self._said.append(f"{message.type}: {message.text} {urlsplit(message.location['url']).path}")

    def _is_clean(self) -> None:
        host = urlsplit(self.plant.url).netloc
        self.assertEqual([url for url in self._asked if urlsplit(url).netloc != host], [])
        said = [
            line
            for line in self._said
            if line.startswith(("error", "warning")) and not any(re.search(one, line) for one in self.forgiven)
        ]
        self.assertEqual(said, [])


class TokenCase(BrowserCase):
    """Tokens were made: everybody needs one, to look as well."""

    tokens: ClassVar[dict[tuple[RunningPlant, str], str]] = {}

    def setUp(self) -> None:
        super().setUp()
        self.forgiven += ["401", "403"]

    def token(self, role: str) -> str:
        """Return a token of this role for the plant."""
        of = (self.plant, role)
        if of not in self.tokens:
            self.tokens[of] = self.plant.token(f"{role} of the test", role)
        return self.tokens[of]

    def enter(self, path: str = "/", role: str = "operator", **options: Any) -> Page:
        """Open a page, and give the token that it asks for."""
        token = self.token(role)
        page = self.visit(path, **options)
        dialog = page.get_by_role("dialog", name="Who are you?")
        expect(dialog).to_be_visible()
        dialog.get_by_label("Token").fill(token)
        dialog.get_by_role("button", name="Use this token").click()
        expect(dialog).to_be_hidden()
        return page
