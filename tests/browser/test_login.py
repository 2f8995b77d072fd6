"""People log in to the dashboard with their account in the ERP, from the first page to the log-out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.rig.browser_case import BrowserCase
from tests.rig.forked import Nursery
from tests.rig.running_plant import CONFIGURATION, RunningPlant

LOG_IN = """
[http.login]
[http.login.roles]
viewer = ["Stock User"]
operator = ["Stock Manager"]
"""
SECRET = "right horse"


class PeoplePlant(RunningPlant):
    """A plant in which a viewer and an operator have accounts."""

    configuration = CONFIGURATION.replace("[live]", f"{LOG_IN}\n[live]")

    def start(self) -> None:
        """Start it, and let the ERP know them."""
        super().start()
        for name, role in (("vera", "Stock User"), ("otto", "Stock Manager")):
            self.erp("POST", "/api/resource/Role", {"role_name": role})
            user = {"email": f"{name}@plant.example", "first_name": name.title(), "new_password": SECRET}
            self.erp("POST", "/api/resource/User", {**user, "roles": [{"role": role}]})


@pytest.fixture(scope="module")
def plant(browser: Browser, tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Iterator[RunningPlant]:
    """Run an ERP and a gateway for the tests of this file."""
    running = PeoplePlant(tmp_path_factory.mktemp("people"), nursery)
    try:
        running.start()
        yield running
    finally:
        running.stop()


class People(BrowserCase):
    """A viewer and an operator."""

    def setUp(self) -> None:
        super().setUp()
        self.forgiven += ["401"]

    def log_in(self, name: str, password: str = SECRET) -> Page:
        """Fill the form in, by the keyboard."""
        page = self.page
        dialog = page.get_by_role("dialog", name="Who are you?")
        dialog.get_by_label("Name").fill(f"{name}@plant.example")
        dialog.get_by_label("Password").fill(password)
        page.keyboard.press("Enter")
        return page

    def test_a_viewer_looks_and_is_shown_nothing_to_operate(self) -> None:
        """They are where they wanted to go, live, and see who they are; a wrong password is told in words."""
        page = self.visit("/#/dead-letters")
        dialog = page.get_by_role("dialog", name="Who are you?")
        self.log_in("vera", "wrong")
        expect(dialog.get_by_role("alert")).to_have_text("the name or the password is wrong")
        self.assertEqual(self.violations(), [])
        self.log_in("vera")
        expect(dialog).to_be_hidden()
        expect(self.heading("Dead letters")).to_be_visible()
        expect(page.get_by_text("Vera, viewer")).to_be_visible()
        expect(page.get_by_text(", live")).to_be_visible()
        self.link("Overview").click()
        expect(page.get_by_role("heading", name="The path of the events")).to_be_visible()
        expect(page.get_by_role("button", name="Pause")).to_have_count(0)
        self.assertEqual(self.violations(), [])

    def test_an_operator_operates_and_logs_out(self) -> None:
        """Their session outlives a new load, and after the log-out nothing is shown any more."""
        page = self.visit("/")
        self.log_in("otto")
        pause = page.get_by_role("button", name="Pause source gate")
        pause.click()
        page.get_by_role("alertdialog").get_by_role("button", name="Pause").click()
        expect(page.get_by_role("button", name="Resume source gate")).to_be_visible()
        page.reload()
        page.get_by_role("button", name="Resume source gate").click()
        expect(pause).to_be_visible()
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("dialog", name="Who are you?")).to_be_visible()
        expect(page.get_by_role("heading", name="The path of the events")).to_have_count(0)

    def test_a_session_that_ended_is_told_and_another_goes_on_where_one_was(self) -> None:
        """An administrator ended it: the page asks again, and stays where it was."""
        page = self.visit("/#/events")
        self.log_in("otto")
        expect(page.get_by_text("Otto, operator")).to_be_visible()
        self.plant.lineside("sessions", "revoke", "otto@plant.example")
        dialog = page.get_by_role("dialog", name="Who are you?")
        expect(dialog.get_by_role("alert")).to_have_text("Your session has ended.")
        self.log_in("vera")
        expect(page.get_by_text("Vera, viewer")).to_be_visible()
        expect(self.heading("Events")).to_be_visible()

    def test_a_token_goes_too(self) -> None:
        """For whoever has one, and while the ERP is away."""
        page = self.visit("/")
        dialog = page.get_by_role("dialog", name="Who are you?")
        dialog.get_by_role("button", name="Use a token instead").click()
        dialog.get_by_label("Token").fill(self.plant.token("browser", "viewer"))
        dialog.get_by_role("button", name="Use this token").click()
        expect(page.get_by_text("browser, viewer")).to_be_visible()
