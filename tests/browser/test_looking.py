"""Who is at the gateway's machine looks at its dashboard, without a token, and needs no mouse for it."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect
from tests.rig.browser_case import VIEWS, BrowserCase

LIVE = "each the moment it is stored"
"""The list of events says so while the live channels tell it what is new."""


class Looking(BrowserCase):
    """No token was made: a browser on this machine may look."""

    def test_finds_an_event_and_its_document(self) -> None:
        """An event is found by a word in it, and its story names the document that the ERP holds, with a link."""
        seq = self.plant.check_in("HR-EMP-00007", reader="gate-north")
        page = self.visit()
        self.link("Events").click()
        page.get_by_label("Text").fill("GATE-NORTH")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("table").get_by_role("link", name=str(seq), exact=True).click()
        expect(self.heading(f"Event {seq}")).to_be_focused()
        expect(page.get_by_text("delivered", exact=True)).to_be_visible()
        expect(page.get_by_role("region", name="Decoded")).to_contain_text('"employee": "HR-EMP-00007"')
        document = page.get_by_role("table").get_by_role("link", name=re.compile("EMP-CKIN"))
        name = document.inner_text().split()[0]
        held = self.plant.erp("GET", f"/api/resource/Employee Checkin/{name}".replace(" ", "%20"))["data"]
        self.assertEqual(held["employee"], "HR-EMP-00007")
        address = document.get_attribute("href")
        self.assertEqual(address, f"{self.plant.erp_url}/app/employee-checkin/{name}")

    def test_shows_no_way_to_what_there_is_not(self) -> None:
        """A gateway that takes no files has no page of them among its views."""
        page = self.visit()
        expect(page.get_by_role("region", name="Sources")).to_contain_text("lines/s")
        expect(self.link("Files")).to_have_count(0)

    def test_counts_move_as_events_come(self) -> None:
        """The picture counts an event that comes while somebody looks, and nobody has to load the page again."""
        page = self.visit()
        last = page.get_by_role("region", name="Journal").locator("dd").first
        expect(last).to_be_visible()
        seq = self.plant.send("shelf", reader="scanner-1", item="00042", qty=3)
        expect(last).to_have_text(str(seq))
        expect(page.get_by_role("region", name="Sources")).to_contain_text("shelf")

    def test_shows_an_event_the_moment_it_is_stored(self) -> None:
        """An event appears without being asked for again, with its text as it was sent, and in a search."""
        self.plant.send("shelf", reader="scanner-1", item="00042", qty=1)
        page = self.visit("/#/events?source=shelf")
        expect(page.get_by_text(LIVE)).to_be_visible()
        asked = self.unanswered("**/api/v1/events**")
        seq = self.plant.send_line("shelf", '{"reader": "live-1",  "item": "00042", "qty": 3.0e1}')
        self.plant.check_in("HR-EMP-00003", reader="live-2")
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=str(seq), exact=True))
        expect(row).to_contain_text('{"reader": "live-1", "item": "00042", "qty": 3.0e1}', use_inner_text=True)
        self.assertEqual(asked, [])
        expect(page.get_by_role("row").filter(has_text="live-2")).to_have_count(0)

    def test_asks_where_there_are_no_live_channels(self) -> None:
        """Of a gateway without them neither a connection nor its program is asked for; events show all the same."""

        def without(route: Route) -> None:
            answer = route.fetch()
            route.fulfill(response=answer, json={**answer.json(), "live": False})

        self.plant.send("shelf", reader="polled-1", item="00042", qty=1)
        self.forgiven += ["favicon"]
        page = self.visit("/healthz")
        page.route("**/api/v1/overview**", without)
        sockets: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        loaded: list[str] = []
        page.on("request", lambda request: loaded.append(request.url))
        page.goto("/#/events")
        expect(page.get_by_text("The newest first.")).to_be_visible()
        seq = self.plant.send("shelf", reader="polled-1", item="00042", qty=1)
        expect(page.get_by_role("link", name=str(seq), exact=True)).to_be_visible()
        self.assertEqual(sockets, [])
        self.assertEqual(len([url for url in loaded if url.endswith(".js")]), 1)
        # A question that is under way must not end in the next test's page.
        page.unroute_all(behavior="wait")

    def test_what_cannot_be_read_is_shown_as_it_came(self) -> None:
        """A line that is no JSON is found among the unreadable ones, with the reason and the very bytes."""
        self.plant.send_line("gate", '{"reader": <b>&amp;')
        page = self.visit("/#/events")
        page.get_by_label("only unreadable").check()
        row = page.get_by_role("row").filter(has_text="<b>&amp;")
        row.get_by_role("link").click()
        expect(page.get_by_role("region", name="As received")).to_contain_text('{"reader": <b>&amp;')
        expect(page.get_by_text("It could not be read")).to_be_visible()

    def test_pages_back_and_to_the_newest(self) -> None:
        """Older events are a page away, by an address that can be handed on."""
        for _ in range(52):
            seq = self.plant.send("shelf", reader="pager", item="00001", qty=1)
        page = self.visit("/#/events?device=pager")
        rows = page.get_by_role("table").locator("tbody tr")
        expect(rows).to_have_count(50)
        page.get_by_role("link", name="Older events").click()
        expect(rows).to_have_count(2)
        self.assertIn("before=", page.url)
        page.get_by_role("link", name="To the newest").click()
        expect(page.get_by_role("link", name=str(seq), exact=True)).to_be_visible()

    def test_keyboard_alone(self) -> None:
        """From the address bar to an event's story and back with Tab, Enter and typing."""
        seq = self.plant.check_in("HR-EMP-00003", reader="gate-keys")
        page = self.visit()
        expect(page.get_by_role("heading", name="The path of the events")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(self.heading("Overview")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("region", name="Sources").get_by_role("link").first).to_be_focused()
        for _ in range(2):
            page.keyboard.press("Shift+Tab")
        self.tab_to("Events", backwards=True)
        page.keyboard.press("Enter")
        expect(self.heading("Events")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_label("Text")).to_be_focused()
        page.keyboard.type("gate-keys")
        page.keyboard.press("Enter")
        expect(page.locator("tbody tr")).to_have_count(1)
        self.tab_to(str(seq))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        self.assertEqual(outline, "solid")
        page.keyboard.press("Enter")
        expect(self.heading(f"Event {seq}")).to_be_focused()

    def tab_to(self, text: str, *, backwards: bool = False) -> None:
        """Press Tab until the element with this text has the focus."""
        for _ in range(40):
            if self.page.evaluate("document.activeElement.innerText?.trim()") == text:
                return
            self.page.keyboard.press("Shift+Tab" if backwards else "Tab")
        self.fail(f"Tab does not lead to {text!r}")

    def test_everybody_can_use_it(self) -> None:
        """axe-core finds nothing in any view, light and dark, also with alarms, dead letters and a story."""
        self.plant.check_in("HR-EMP-99999")
        seq = self.plant.check_in("HR-EMP-00005")
        self.plant.until("the dead letter", lambda: "99999" in self.plant.lineside("deadletters", "list"))
        for scheme in ("light", "dark"):
            self.visit(scheme=scheme)
            expect(self.page.get_by_role("heading", name="Over time")).to_be_visible()
            expect(self.page.locator(".alarms li").first).to_be_visible()
            self.assertEqual(self.violations(), [], f"{scheme} Overview")
            for view in ("Events", "Dead letters", "Devices"):
                self.link(view).click()
                expect(self.page.locator("tbody tr").first).to_be_visible()
                self.assertEqual(self.violations(), [], f"{scheme} {view}")
            self.page.goto(f"/#/events/{seq}")
            expect(self.page.get_by_role("region", name="Decoded")).to_be_visible()
            self.assertEqual(self.violations(), [], f"{scheme} story")
            self.link("Dead letters").click()
            self.page.locator("tbody th a").first.click()
            expect(self.page.get_by_role("heading", name="Why")).to_be_visible()
            self.assertEqual(self.violations(), [], f"{scheme} dead letter")

    def test_fits_a_phone(self) -> None:
        """On a small phone no view is wider than the screen, and axe-core finds nothing."""
        self.plant.check_in("HR-EMP-99999")
        self.plant.until("the dead letter", lambda: "99999" in self.plant.lineside("deadletters", "list"))
        page = self.visit(size=(360, 740), has_touch=True)
        for view in VIEWS:
            self.link(view).click()
            expect(self.heading(view)).to_be_visible()
            expect(page.locator("tbody tr, .part").first).to_be_visible()
            wide = page.evaluate("document.documentElement.scrollWidth")
            self.assertLessEqual(wide, 360, view)
            self.assertEqual(self.violations(), [], view)

    def test_says_how_a_task_is_added(self) -> None:
        """A gateway without tasks asks for none, and its page says how one is made; the overview has no figure."""
        page = self.visit()
        expect(page.get_by_role("heading", name="The path of the events")).to_be_visible()
        expect(page.get_by_text(re.compile("Tasks (running|failed)"))).to_have_count(0)
        self.link("Tasks").click()
        expect(self.heading("Tasks")).to_be_focused()
        expect(page.get_by_role("group", name="Say when it runs")).to_contain_text("[tasks.reconcile]")
        self.assertEqual(self.violations(), [])

    def test_light_and_dark(self) -> None:
        """The system's choice is followed, the reader's own one goes before it and is kept."""
        page = self.visit(scheme="dark")
        background = "getComputedStyle(document.documentElement).backgroundColor"
        dark = page.evaluate(background)
        page.get_by_role("button", name="Use the light theme").click()
        self.assertNotEqual(page.evaluate(background), dark)
        page.reload()
        expect(page.get_by_role("button", name="Use the dark theme")).to_be_visible()

    def test_stands_still_for_who_wants_that(self) -> None:
        """Nothing moves where the system asks for less motion."""
        page = self.visit(reduced_motion="reduce")
        self.plant.send("shelf", reader="scanner-1", item="00001", qty=1)
        # It is looked at again where the picture was drawn anew meanwhile.
        expect(page.locator(".flow").first).to_have_css("animation-name", "none")


class Losing(BrowserCase):
    """The gateway goes and comes back under the eyes of who looks."""

    def test_says_when_the_gateway_is_gone(self) -> None:
        """A lost connection is told with the time, what is shown stays and is marked, and it heals by itself."""
        self.forgiven += [r"ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|status of 503"]
        page = self.visit()
        expect(page.get_by_role("heading", name="The path of the events")).to_be_visible()
        self.plant.stop_gateway()
        alarm = page.get_by_role("alert")
        expect(alarm).to_contain_text("No connection to the gateway")
        expect(alarm).to_contain_text(re.compile(r"What you see is of \d\d:\d\d:\d\d"))
        expect(page.locator("main")).to_have_class("stale")
        expect(page.get_by_role("region", name="Journal")).to_be_visible()
        self.assertEqual(self.violations(), [])
        self.plant.start_gateway()
        expect(page.get_by_text("The gateway answers again.")).to_be_attached()
        expect(alarm).to_have_count(0)
        expect(page.locator("main")).not_to_have_class("stale")

    def test_misses_nothing_over_a_restart(self) -> None:
        """What is stored while the page has no connection is there once it has one, and so is what follows."""
        self.forgiven += [r"ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|status of 503"]
        self.plant.check_in("HR-EMP-00004")
        page = self.visit("/#/events")
        expect(page.get_by_text(LIVE)).to_be_visible()
        self.plant.stop_gateway()
        expect(page.get_by_role("alert")).to_contain_text("No connection to the gateway")
        self.plant.start_gateway()
        missed = [self.plant.check_in("HR-EMP-00004", reader="gate-early") for _ in range(3)]
        for seq in missed:
            expect(page.get_by_role("link", name=str(seq), exact=True)).to_be_visible()
        expect(page.get_by_text(LIVE)).to_be_visible()
        asked = self.unanswered("**/api/v1/events**")
        seq = self.plant.check_in("HR-EMP-00005", reader="gate-late")
        expect(page.get_by_role("link", name=str(seq), exact=True)).to_be_visible()
        self.assertEqual(asked, [])
