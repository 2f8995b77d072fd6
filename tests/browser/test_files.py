"""Partners' files on the dashboard: what came, and what became of each row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect
from tests.rig.browser_case import BrowserCase
from tests.rig.file_plant import FilePlant
from tests.rig.forked import Nursery

BAD = 4
"""Which row of a file has no number for its quantity."""


@pytest.fixture(scope="module")
def plant(browser: Browser, tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Iterator[FilePlant]:
    """Run an ERP and a gateway with a partner's folder for the tests of this file."""
    running = FilePlant(tmp_path_factory.mktemp("plant"), nursery)
    try:
        running.start()
        yield running
    finally:
        running.stop()


class Files(BrowserCase):
    """Somebody of ours asks what became of what a partner sent."""

    plant: FilePlant

    def row(self, text: str) -> Locator:
        """Return the row of a table that has a text."""
        return self.page.get_by_role("row").filter(has_text=text)

    def send(self, name: str, rows: int) -> None:
        """Let the partner put a file of so many rows, of which one is bad."""
        lines = [f"{name}-{row},{'many' if row == BAD else row}" for row in range(1, rows + 1)]
        self.plant.put(name, "\n".join(["item,qty", *lines]) + "\n")

    def test_a_file_is_followed_to_its_documents(self) -> None:
        """It appears by itself, with its bad row counted, and its page names the document of each good one."""
        page = self.visit()
        self.link("Files").click()
        self.send("monday.csv", 6)
        row = self.row("monday.csv: answered")
        expect(row).to_contain_text("read, with bad rows")
        expect(row.get_by_role("cell").nth(2)).to_have_text("6")
        expect(row.get_by_role("cell").nth(3)).to_have_text("1")
        row.get_by_role("link").click()
        expect(self.heading(f"File {page.url.rpartition('/')[2]}")).to_be_focused()
        expect(page.get_by_text("delivered", exact=True)).to_have_count(5)
        expect(self.row("dead letter")).to_contain_text("qty")
        held = self.plant.erp("GET", '/api/resource/ToDo?filters=[["description","like","monday.csv-6%"]]')["data"]
        expect(self.row(held[0]["name"])).to_contain_text("delivered")
        self.row(held[0]["name"]).get_by_role("link").click()
        expect(page.get_by_role("region", name="Decoded")).to_contain_text('"item": "monday.csv-6"')

    def test_a_row_is_seen_to_become_a_document(self) -> None:
        """While the ERP's deliveries are paused rows wait; when they go on the page says so by itself."""
        self.plant.lineside("pause", "route", "counted")
        self.send("tuesday.csv", 2)
        page = self.visit("/#/files")
        self.row("tuesday.csv").get_by_role("link").click()
        expect(page.get_by_text("waiting", exact=True)).to_have_count(2)
        self.plant.lineside("resume", "route", "counted")
        expect(page.get_by_text("delivered", exact=True)).to_have_count(2)

    def test_a_file_that_was_refused_says_why(self) -> None:
        """None of its rows is an event; the reason stands in the list and on its page."""
        self.plant.put("torn.csv", "item,amount\n1,2\n")
        page = self.visit("/#/files?source=counts")
        row = self.row("torn.csv")
        expect(row).to_contain_text("refused")
        expect(row).to_contain_text("qty")
        row.get_by_role("link").click()
        expect(page.get_by_text("None of them is an event.")).to_be_visible()

    def test_many_rows_are_pages(self) -> None:
        """A hundred at a time, by an address that can be handed on."""
        self.send("long.csv", 230)
        page = self.visit("/#/files")
        self.row("long.csv").get_by_role("link").click()
        rows = page.locator("tbody tr")
        for shown in (100, 100, 30):
            expect(rows).to_have_count(shown)
            further = page.get_by_role("link", name="Further rows")
            if shown == 100:
                further.click()
        expect(further).to_have_count(0)
        expect(rows.last.get_by_role("rowheader")).to_have_text("230")
        self.assertIn("after=200", page.url)
        page.get_by_role("link", name="From the first row").click()
        expect(rows.first.get_by_role("rowheader")).to_have_text("1")

    def test_everybody_can_use_it(self) -> None:
        """axe-core finds nothing, light and dark, and on a phone nothing is wider than the screen."""
        self.send("friday.csv", 5)
        for scheme, size in (("light", (1280, 900)), ("dark", (360, 740))):
            page = self.visit("/#/files", scheme=scheme, size=size)  # type: ignore[arg-type]
            expect(self.row("friday.csv: answered")).to_be_visible()
            self.assertEqual(self.violations(), [], scheme)
            self.row("friday.csv").get_by_role("link").click()
            expect(page.locator("tbody tr")).to_have_count(5)
            self.assertEqual(self.violations(), [], scheme)
            self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), size[0])
            page.goto("/#/")
            expect(page.get_by_role("region", name="Sources").get_by_role("link", name="Files")).to_be_visible()
            self.assertEqual(self.violations(), [], scheme)
