"""Tasks on the dashboard: what is due, what runs, how it went, and what a person can do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, expect
from tests.rig.browser_case import TokenCase
from tests.rig.forked import Nursery
from tests.rig.task_plant import TaskPlant

LIVE = "each as it changes"
"""The list of runs says so while the live channels tell it what is new."""
REMEMBER = """
(place) => {
  window.remembered = []
  const look = () => remembered.push(place.innerText)
  new MutationObserver(look).observe(place, { subtree: true, childList: true, characterData: true })
}
"""
"""Keeps what an element has said."""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="module")
def plant(browser: Browser, tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Iterator[TaskPlant]:
    """Run an ERP and a gateway with tasks for the tests of this file."""
    running = TaskPlant(tmp_path_factory.mktemp("plant"), nursery)
    try:
        running.start()
        yield running
    finally:
        running.stop()


class Tasks(TokenCase):
    """An operator at work, and now and then a viewer."""

    plant: TaskPlant

    def setUp(self) -> None:
        super().setUp()
        for name in ("may-count", "auditor"):
            self.plant.hinder(name)
        # No test leaves a run behind that keeps the next one's waiting.
        self.addCleanup(self.let_all_end)

    def let_all_end(self) -> None:
        self.plant.let("may-count")
        self.plant.until("all runs to end", lambda: not self.plant.under_way(self.token("operator")))

    def card(self, task: str) -> Locator:
        """Return a task's card."""
        return (
            self.page.get_by_role("region", name="All tasks")
            .get_by_role("listitem")
            .filter(has=self.page.get_by_role("link", name=task, exact=True))
        )

    def row(self, run: int) -> Locator:
        """Return a run's row in the table."""
        return self.page.get_by_role("row").filter(has=self.page.get_by_role("link", name=str(run), exact=True))

    def under_way(self) -> Locator:
        """Return what shows the runs that run."""
        return self.page.get_by_role("region", name="Running")

    def failed(self) -> int:
        """Let a run of ``export`` fail, and return its number."""
        run = self.plant.ask("export", self.token("operator"))
        self.plant.until("the run to fail", lambda: self.state(run) == "failed")
        return run

    def state(self, run: int) -> str:
        return str(self.plant.run(run, self.token("operator"))["summary"]["state"])

    def test_shows_when_tasks_are_due(self) -> None:
        """The next moments stand on a line of time as long as one likes, and others are named beneath."""
        page = self.enter("/#/tasks", role="viewer")
        line = page.get_by_role("region", name="Next", exact=True)
        row = line.get_by_role("listitem").filter(has=page.get_by_role("link", name="export"))
        expect(row.get_by_role("time")).to_have_text(re.compile(r"in \d+ (h|min|s)"))
        line.get_by_label("week").check()
        expect(row.locator("b")).to_have_count(7)
        line.get_by_label("day").check()
        expect(row.locator("b")).to_have_count(1)
        audit = line.get_by_role("listitem").filter(has=page.get_by_role("link", name="audit"))
        line.get_by_label("hour").check()
        expect(audit.locator("b")).to_have_count(6)
        expect(line).to_contain_text("By events or when somebody asks: count, label")

    def test_runs_one_now_and_follows_it(self) -> None:
        """A run shows how far it is, and in the end that it succeeded, with its result and its log."""
        page = self.enter("/#/tasks")
        self.card("count").get_by_role("button", name="Run now").click()
        expect(page.get_by_text(re.compile(r"Run \d+ of count is asked for\."))).to_be_visible()
        bar = self.under_way().get_by_role("progressbar")
        expect(bar).to_have_attribute("aria-valuenow", "25")
        expect(self.under_way()).to_contain_text("shelf 1")
        expect(self.card("count")).to_contain_text("running")
        run = self.under_way().get_by_role("link", name=re.compile(r"run \d+"))
        address = run.get_attribute("href")
        self.under_way().evaluate(REMEMBER)
        self.plant.let("may-count")
        expect(self.card("count")).to_contain_text(re.compile("succeeded (now|.* ago)"))
        # The outcome stands there for some seconds only.
        self.assertIn("succeeded", page.evaluate("remembered.join()"))
        expect(self.under_way()).to_contain_text("Nothing at this moment.")
        page.goto(f"/{address}")
        expect(page.get_by_role("status").filter(has_text="succeeded")).to_be_visible()
        expect(page.get_by_role("group", name="Result")).to_contain_text('"shelves": 4')
        expect(page.get_by_role("group", name="Log")).to_contain_text("the first shelf is counted")

    def test_one_run_follows_itself(self) -> None:
        """A run's own page moves with it, without asking again and again."""
        run = self.plant.ask("count", self.token("operator"))
        page = self.enter(f"/#/runs/{run}", role="viewer")
        expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "25")
        expect(page.get_by_role("group", name="Log")).to_contain_text("the first shelf is counted")
        self.plant.let("may-count")
        expect(page.get_by_role("status").filter(has_text="succeeded")).to_be_visible()
        expect(page.get_by_role("group", name="Result")).to_contain_text('"shelves": 4')
        expect(page.get_by_role("button", name="Retry")).to_have_count(0)

    def test_retries_what_failed(self) -> None:
        """A failure shows reason, traceback and finished steps; retried once that is mended, it succeeds."""
        run = self.failed()
        page = self.enter("/#/tasks?state=failed")
        expect(self.card("export")).to_contain_text("failed")
        expect(self.row(run)).to_contain_text("the auditor does not answer")
        self.row(run).get_by_role("link", name=str(run), exact=True).click()
        expect(self.heading(f"Run {run}")).to_be_focused()
        expect(page.get_by_role("region", name="Traceback").get_by_role("group")).to_contain_text("yard.py")
        expect(page.get_by_role("row").filter(has_text="collect")).to_contain_text("[4.5,7.25]")
        self.plant.let("auditor")
        page.get_by_role("button", name="Retry").click()
        expect(page.get_by_text(f"Run {run} of export is asked for again.")).to_be_visible()
        expect(page.get_by_role("status").filter(has_text="succeeded")).to_be_visible()
        expect(page.get_by_role("region", name="Traceback")).to_have_count(0)
        page.go_back()
        expect(self.row(run)).to_have_count(0)

    def test_cancels_only_after_a_yes(self) -> None:
        """Cancelling asks first, a no lets the run go on; afterwards it can be retried."""
        run = self.plant.ask("count", self.token("operator"))
        page = self.enter("/#/tasks")
        cancel = self.under_way().get_by_role("button", name="Cancel")
        question = page.get_by_role("alertdialog", name=f"Cancel run {run} of count?")
        cancel.click()
        question.get_by_role("button", name="Let it run").click()
        expect(question).to_be_hidden()
        self.assertEqual(self.state(run), "running")
        cancel.click()
        question.get_by_role("button", name="Cancel the run").click()
        expect(self.under_way()).to_contain_text("cancelled")
        expect(self.row(run)).to_contain_text("cancelled")
        expect(self.row(run).get_by_role("button", name="Retry")).to_be_visible()
        self.assertEqual(self.state(run), "cancelled")

    def test_pauses_and_resumes_a_task(self) -> None:
        """What is asked for while a task is paused waits where everybody sees it, and runs when it is resumed."""
        page = self.enter("/#/tasks")
        card = self.card("audit")
        card.get_by_role("button", name="Pause").click()
        page.get_by_role("alertdialog", name="Pause the task audit?").get_by_role("button", name="Pause").click()
        expect(card.locator(".state")).to_have_text("paused")
        line = page.get_by_role("region", name="Next", exact=True)
        expect(line.get_by_role("listitem").filter(has_text="audit")).to_contain_text("paused")
        card.get_by_role("button", name="Run now").click()
        waiting = card.locator("dl > div").filter(has_text="Waiting")
        expect(waiting).to_contain_text("1")
        card.get_by_role("button", name="Resume").click()
        expect(waiting).to_have_count(0)
        expect(card).to_contain_text("succeeded")

    def test_what_a_viewer_may_not(self) -> None:
        """A viewer is shown nothing to operate; with another token what one may is there."""
        page = self.enter("/#/tasks", role="viewer")
        run_now = self.card("audit").get_by_role("button", name="Run now")
        expect(page.get_by_text(", viewer")).to_be_visible()
        expect(self.card("audit")).to_be_visible()
        expect(run_now).to_have_count(0)
        page.get_by_role("button", name="Forget token").click()
        dialog = page.get_by_role("dialog", name="Who are you?")
        dialog.get_by_label("Token").fill(self.token("operator"))
        page.keyboard.press("Enter")
        run_now.click()
        expect(page.get_by_text(re.compile(r"Run \d+ of audit is asked for\."))).to_be_visible()

    def test_is_told_what_changes(self) -> None:
        """Runs appear, get further and end without being asked for; a chart has a bar more."""
        page = self.enter("/#/tasks/count", role="viewer")
        expect(page.get_by_text(LIVE)).to_be_visible()
        # What was asked while the channels were joined has its answer by then.
        for _ in range(2):
            with page.expect_response(re.compile("/overview")):
                pass
        asked = self.unanswered(re.compile(r"/api/v1/(runs|task-history)"))
        run = self.plant.ask("count", self.token("operator"))
        expect(self.row(run)).to_contain_text("25 %")
        self.plant.let("may-count")
        expect(self.row(run)).to_contain_text("succeeded")
        expect(page.get_by_role("img", name="of count took")).to_be_visible()
        self.assertEqual(asked, [])

    def test_pages_through_many_runs(self) -> None:
        """Older runs are a page away by an address that can be handed on, and newer ones do not disturb it."""
        token = self.token("operator")
        runs = [self.plant.ask("label", token) for _ in range(53)]
        self.plant.until("the runs to end", lambda: self.state(runs[-1]) == "succeeded")
        page = self.enter("/#/tasks/label", role="viewer")
        rows = page.get_by_role("region", name="Runs").locator("tbody tr")
        expect(rows).to_have_count(50)
        newest = self.plant.ask("label", token)
        expect(self.row(newest)).to_be_visible()
        expect(rows).to_have_count(50)
        page.get_by_role("link", name="Older runs").click()
        expect(self.row(runs[3])).to_be_visible()
        self.assertIn("before=", page.url)
        other = self.plant.ask("label", token)
        self.plant.until("the run to end", lambda: self.state(other) == "succeeded")
        expect(self.row(other)).to_have_count(0)
        page.get_by_role("link", name="To the newest").click()
        expect(self.row(other)).to_be_visible()

    def test_the_overview_says_what_failed(self) -> None:
        """A figure counts the runs that failed of late, and leads to them."""
        run = self.failed()
        page = self.enter("/", role="viewer")
        figure = page.locator(".figures > div").filter(has_text="Tasks failed")
        figure.get_by_role("link").click()
        expect(self.heading("Tasks")).to_be_focused()
        expect(page.get_by_label("State")).to_have_value("failed")
        expect(self.row(run)).to_be_visible()

    def test_everybody_can_use_it(self) -> None:
        """axe-core finds nothing that keeps people out, in light and dark, nor on a small phone, where all fits."""
        run = self.failed()
        running = self.plant.ask("count", self.token("operator"))
        views = ("/#/tasks", "/#/tasks/export", f"/#/runs/{run}", f"/#/runs/{running}")
        for scheme in SCHEMES:
            for size in ((1280, 900), (360, 740)):
                page = self.enter("/#/tasks", scheme=scheme, size=size)
                for path in views:
                    page.goto(path)
                    expect(page.locator("tbody tr, .log, .progress").first).to_be_visible()
                    wide = page.evaluate("document.documentElement.scrollWidth")
                    self.assertLessEqual(wide, size[0], path)
                    self.assertEqual(self.violations(), [], f"{scheme} {size} {path}")

    def test_stands_still_for_who_wants_that(self) -> None:
        """A run that does not say how far it is moves nothing where the system asks for less motion."""
        self.plant.ask("count", self.token("operator"))
        page = self.enter("/#/tasks", reduced_motion="reduce")
        bar = self.under_way().get_by_role("progressbar").locator("i")
        expect(bar).to_have_css("transition-property", "none")
        self.assertEqual(page.evaluate("document.getAnimations().length"), 0)
