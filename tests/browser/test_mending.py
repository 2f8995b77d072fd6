"""Who holds an operator's token mends what is stuck, from the dashboard."""

from __future__ import annotations

import re
from functools import partial

from playwright.sync_api import expect
from tests.rig.browser_case import TokenCase


class Mending(TokenCase):
    """An operator at work, and now and then a viewer."""

    def refused(self, *employees: str) -> list[int]:
        """Have the ERP refuse these employees' badges; returns the events' sequences."""
        sequences = [self.plant.check_in(employee) for employee in employees]
        for employee in employees:
            self.plant.until("the dead letter", partial(self.is_a_letter, employee))
        return sequences

    def is_a_letter(self, employee: str) -> bool:
        return employee in self.letters()

    def letters(self) -> str:
        return self.plant.lineside("deadletters", "list", "--json")

    def test_asks_who_looks(self) -> None:
        """A wrong token is refused in words, and nothing is shown until there is a right one."""
        page = self.enter(role="viewer")
        expect(page.get_by_role("heading", name="The path of the events")).to_be_visible()
        page.get_by_role("button", name="Forget token").click()
        page.reload()
        dialog = page.get_by_role("dialog", name="Who are you?")
        dialog.get_by_label("Token").fill("lst_wrong")
        dialog.get_by_role("button", name="Use this token").click()
        expect(dialog.get_by_role("alert")).to_contain_text("not valid")
        self.assertEqual(self.violations(), [])
        page.keyboard.press("Escape")
        expect(page.get_by_text("wants a token first")).to_be_visible()
        expect(page.get_by_role("heading", name="The path of the events")).to_have_count(0)

    def test_is_told_with_the_token_that_looks(self) -> None:
        """The live channels take the token of who looks, and an event's outcome is on its page at once."""
        self.plant.check_in("HR-EMP-00009")
        page = self.enter("/#/events", role="viewer")
        expect(page.get_by_text("each the moment it is stored")).to_be_visible()
        seq = self.plant.check_in("HR-EMP-00009")
        page.get_by_role("link", name=str(seq), exact=True).click()
        expect(page.get_by_text("delivered", exact=True)).to_be_visible()
        page.get_by_role("button", name="Forget token").click()
        expect(page.get_by_text(", live")).to_have_count(0)

    def test_retries_what_the_erp_refused(self) -> None:
        """A dead letter whose employee was missing becomes a document once there is one; the counts follow."""
        missing = f"HR-EMP-{self.plant.employees() + 1:05}"
        page = self.enter()
        badge = self.link("Dead letters").locator(".badge")
        [seq] = self.refused(missing)
        expect(badge).to_be_visible()
        before = int(badge.inner_text())
        self.link("Dead letters").click()
        row = page.get_by_role("row").filter(has_text=missing)
        expect(row).to_contain_text("LinkValidationError")
        row.get_by_role("button", name="Retry").click()
        expect(page.get_by_text("1 dead letter on the way again.")).to_be_visible()
        # Still refused: it comes back as it was.
        expect(row.get_by_role("button", name="Retry")).to_be_visible()

        self.assertEqual(self.plant.add_employee(), missing)
        row.get_by_role("button", name="Retry").click()
        expect(row).to_have_count(0)
        expect(badge).to_have_text(str(before - 1)) if before > 1 else expect(badge).to_have_count(0)
        page.goto(f"/#/events/{seq}")
        expect(page.get_by_text("delivered", exact=True)).to_be_visible()
        expect(page.get_by_role("link", name=re.compile("EMP-CKIN"))).to_be_visible()

    def test_discards_only_after_a_yes(self) -> None:
        """Discarding asks first, a no changes nothing; several go at once."""
        self.refused("HR-EMP-77771", "HR-EMP-77772")
        page = self.enter("/#/dead-letters?route=checkin")
        for employee in ("HR-EMP-77771", "HR-EMP-77772"):
            page.get_by_role("row").filter(has_text=employee).get_by_role("checkbox").check()
        page.get_by_role("button", name="Discard 2 selected").click()
        question = page.get_by_role("alertdialog", name="Discard 2 dead letters?")
        expect(question.get_by_role("button", name="Cancel")).to_be_focused()
        self.assertEqual(self.violations(), [])
        page.keyboard.press("Escape")
        expect(question).to_be_hidden()
        self.assertIn("77771", self.letters())
        page.get_by_role("button", name="Discard 2 selected").click()
        question.get_by_role("button", name="Discard").click()
        expect(page.get_by_text("2 dead letters discarded.")).to_be_visible()
        expect(page.get_by_role("row").filter(has_text="7777")).to_have_count(0)
        self.assertNotIn("7777", self.letters())

    def test_what_a_viewer_may_not(self) -> None:
        """A viewer is shown nothing to operate; with another token what one may is there."""
        self.refused("HR-EMP-66661")
        page = self.enter("/#/dead-letters", role="viewer")
        retry = page.get_by_role("row").filter(has_text="66661").get_by_role("button", name="Retry")
        expect(page.get_by_text(", viewer")).to_be_visible()
        expect(page.get_by_role("row").filter(has_text="66661")).to_be_visible()
        expect(retry).to_have_count(0)
        page.get_by_role("button", name="Forget token").click()
        dialog = page.get_by_role("dialog", name="Who are you?")
        dialog.get_by_label("Token").fill(self.token("operator"))
        page.keyboard.press("Enter")
        retry.click()
        expect(page.get_by_text("1 dead letter on the way again.")).to_be_visible()

    def test_pauses_and_resumes_a_route(self) -> None:
        """What comes while a route is paused waits where everybody sees it, and goes out when it is resumed."""
        page = self.enter()
        routes = page.get_by_role("region", name="Routes")
        card = routes.get_by_role("listitem").filter(has_text="recount")
        card.get_by_role("button", name="Pause").click()
        page.get_by_role("alertdialog", name="Pause the route recount?").get_by_role("button", name="Pause").click()
        expect(card).to_contain_text("paused")
        seq = self.plant.send("shelf", reader="scanner-1", item="00042", qty=3)
        waiting = card.locator("dd").first
        expect(waiting).not_to_have_text("0")
        card.get_by_role("button", name="Resume").click()
        expect(waiting).to_have_text("0")
        page.goto(f"/#/events/{seq}")
        expect(page.get_by_text("delivered", exact=True)).to_be_visible()
