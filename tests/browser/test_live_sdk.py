"""Live channels as a page has them: the browser's build of `centrifuge`, in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from tests.rig.browser_case import BUILT, PATIENCE, chromium
from tests.rig.daemon import lacking
from tests.rig.live_case import PACKAGES, LiveCase, token
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource
from twisted.web.server import Site

BUNDLE = PACKAGES / "centrifuge/dist/centrifuge.js"
FOLLOW = """
([url, token]) => new Promise((done) => {
  const client = new Centrifuge(url, { token })
  const subscription = client.newSubscription('events:gate', { since: { offset: 0, epoch: '' } })
  const seen = []
  subscription.on('publication', ({ offset, data }) => {
    seen.push([offset, data.event.n])
    if (seen.length === 5) done(seen)
  })
  client.on('error', ({ type, error }) => done({ type, code: error.code }))
  subscription.subscribe()
  client.connect()
})
"""


class Page(Resource):
    """The only page of a site."""

    isLeaf = True  # noqa: N815 (Twisted's name)

    def render_GET(self, request: Any) -> bytes:
        return b"<title>A page</title>"


class Pages(LiveCase):
    """A page of the gateway's own, and one of another site."""

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the sockets are real)

        self.chromium = chromium()
        if self.chromium is None:
            lacking("there is no Chromium")
        if not BUNDLE.exists() or not BUILT.exists():
            lacking("the dashboard is not built (make dashboard)")
        sites: Any = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(Page(), timeout=None))
        self.addCleanup(sites.stopListening)
        # Chromium finds every such name on this machine (RFC 6761, section 6.3).
        port = sites.getHost().port
        self.friend, self.elsewhere = (f"http://{name}.localhost:{port}" for name in ("friend", "elsewhere"))
        self.origins = f'"{self.friend}"'
        await super().setUp()

    def follow(self, page_url: str) -> Any:
        """Open a page, and let a script in it follow events from the first on; returns what it saw."""
        with sync_playwright() as playwright:
            # As root Chromium has no sandbox; the page is our own.
            browser = playwright.chromium.launch(
                executable_path=self.chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
            try:
                page = browser.new_page()
                page.set_default_timeout(PATIENCE)
                page.goto(page_url)
                page.evaluate(Path(BUNDLE).read_text(encoding="utf-8"))
                return page.evaluate(FOLLOW, [self.direct, token("anna")])
            finally:
                browser.close()

    async def test_pages_follow_events(self) -> None:
        """The gateway's own, as its content policy lets it, and an allowed site's: each event once, in order."""
        self.device.send(range(5))
        await self.device.answered()
        expected = sorted([seq, number] for number, seq in self.acknowledged.items())
        own = self.direct.replace("ws:", "http:").replace("/connection/websocket", "/")
        for page in (own, self.friend):
            self.assertEqual(expected, await deferToThread(self.follow, page), page)

    async def test_a_page_of_another_site_is_refused(self) -> None:
        """Although its script has a good token."""
        self.device.send(range(5))
        await self.device.answered()
        seen = await deferToThread(self.follow, self.elsewhere)
        self.assertEqual("transport", seen["type"], seen)
