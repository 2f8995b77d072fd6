"""The timetable adds up, and gives each chapter the time that the course says."""

from __future__ import annotations

import re

from tests.rig.chapters import AGENDA, COURSE, WORKSHOP
from twisted.trial.unittest import SynchronousTestCase

ROW = re.compile(r"^\| (\d+):(\d\d) \| (\d+) \| (?:Chapter (\d): )?(.+) \|$", re.MULTILINE)


class Timetable(SynchronousTestCase):
    """`workshop/timetable.md`."""

    def setUp(self) -> None:
        """Read both plans."""
        text = (WORKSHOP / "timetable.md").read_text(encoding="utf-8")
        day, _, half = text.partition("## Half a day")
        self.plans = {"day": ROW.findall(day), "half": ROW.findall(half)}

    def minutes(self, plan: str) -> dict[int, int]:
        """Return the minutes that a plan gives to each chapter."""
        return {int(number): int(minutes) for _, _, minutes, number, _ in self.plans[plan] if number}

    def test_each_part_begins_when_the_last_one_ends(self) -> None:
        """From the first to the end."""
        for rows in self.plans.values():
            starts = [int(hour) * 60 + int(minute) for hour, minute, *_ in rows]
            for start, then, row in zip(starts, starts[1:], rows, strict=False):
                self.assertEqual(then, start + int(row[2]), row)
            self.assertEqual("end", rows[-1][4])

    def test_every_section_of_the_agenda_has_its_place_in_order(self) -> None:
        """Under the title that the course gives it."""
        titles = {chapter.number: chapter.title for chapter in COURSE.chapters}
        for plan, rows in self.plans.items():
            self.assertEqual(list(range(1, len(AGENDA) + 1)), list(self.minutes(plan)))
            for *_, number, title in rows:
                if number and int(number) in titles:
                    self.assertEqual(titles[int(number)], title)

    def test_a_day_has_room_for_all_but_the_open_exercises(self) -> None:
        """Each chapter gets two thirds of the minutes of course.toml at least, and no more than all of them."""
        planned = self.minutes("day")
        for chapter in COURSE.chapters:
            self.assertLessEqual(planned[chapter.number], chapter.minutes, f"too much for {chapter.title}")
            self.assertGreaterEqual(
                planned[chapter.number], chapter.minutes * 2 / 3, f"too little for {chapter.title}"
            )
        hour, minute, *_ = self.plans["day"][-1]
        self.assertLessEqual(int(hour) * 60 + int(minute), 17 * 60 + 30)

    def test_half_a_day_is_four_hours_and_shortens(self) -> None:
        """No chapter gets more than it takes in full."""
        planned = self.minutes("half")
        self.assertEqual(240, sum(int(row[2]) for row in self.plans["half"]))
        for chapter in COURSE.chapters:
            self.assertLess(planned[chapter.number], chapter.minutes)


class Index(SynchronousTestCase):
    """`workshop/README.md`."""

    def test_every_section_of_the_agenda_is_linked(self) -> None:
        """With its number and title, in order."""
        text = (WORKSHOP / "README.md").read_text(encoding="utf-8")
        linked = re.findall(r"^\| (\d) \| \[(.+?)\]\((\w+)/README\.md\) \|", text, re.MULTILINE)
        self.assertEqual(AGENDA, [folder for *_, folder in linked])
        for chapter in COURSE.chapters:
            self.assertIn((str(chapter.number), chapter.title, chapter.folder), linked)
