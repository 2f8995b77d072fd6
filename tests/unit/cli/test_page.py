"""The page of `lineside top`, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from lineside.cli.page import ALARMS, page
from lineside.operations.results import Alarm, DeviceView, JournalView, Overview, RouteView, SourceView, TargetView

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "operations.md"
AT = "2026-03-04T09:12:07.123Z"
GATE = SourceView("gate", "127.0.0.1:7001", 12, 214.0, 198.4, 0.04, 12, [], 0.3, AT, 0.0041, 0.0187)
SCALES = SourceView("scales", "127.0.0.1:7002", 3, 0.0, 0.8, 0.0, 4, ["", "scale-3"], 754.0, AT, 0.003, 0.0034)
SCANNER = DeviceView("gate", "scanner-07", "10.0.3.17", 21.4, 40_211, 0.2, AT, False)
SCALE = DeviceView("scales", "scale-3", "10.0.3.90", 0.0, 118, 754.0, AT, True)
CHECKIN = RouteView("checkin", "erp", 187.0, 1_204, False, 9.4, 0, None)
WEIGHT = RouteView("weight", "erp", 0.7, 0, False, None, 2, None)
ERP = TargetView("erp", "open", 4, 6, 0.048, 0.131, "paced by the site's rate limit: 31% of 600 s left", None)
ALARM = Alarm("2026-03-04T09:09:34.000Z", "error", "source.silent", "source=scales seconds=600.0")
PLANT = Overview(
    AT,
    93_600.0,
    JournalView(4_120_733, 812_400_000, 31_000_000, 214.0, 199.2),
    [GATE, SCALES],
    [SCANNER, SCALE],
    [CHECKIN, WEIGHT],
    [ERP],
    [ALARM],
    2,
)


def text(overview: Overview | None, problem: str | None = None, width: int = 110) -> str:
    """Return the page as a terminal of this width shows it, without colours."""
    console = Console(width=width, height=50, color_system=None)
    with console.capture() as captured:
        console.print(page(overview, problem))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def changed(value: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(value, **fields)


class ThePage(SynchronousTestCase):
    def test_the_guide_shows_it_as_it_is(self) -> None:
        """The picture in the guide Operations is this page, to the last blank."""
        shown = text(PLANT)
        self.assertIn(f"```text\n{shown}\n```\n", GUIDE.read_text(encoding="utf-8"), f"the page is now:\n{shown}")

    def test_what_is_silent_is_named(self) -> None:
        """The source itself, and the first of its devices."""
        source = changed(SCALES, silent=["", "a", "b", "c", "d"])
        self.assertIn("scales  SILENT  4 silent: a, b, c, ...", text(changed(PLANT, sources=[source])))
        self.assertNotIn("SILENT", text(changed(PLANT, sources=[GATE])))

    def test_what_hinders_a_target_and_a_route(self) -> None:
        """The reason stands beside the state, and a backlog that is too long to count is said to be."""
        down = changed(ERP, state="down", paced=None, problem="HTTP 503", p50=None, p99=None)
        stuck = changed(CHECKIN, problem="HTTP 503", waiting=900_000, more=True, oldest=7_300.0)
        shown = text(changed(PLANT, targets=[down], routes=[stuck]))
        self.assertRegex(shown, r"4 of 6 +erp +down +HTTP 503")
        self.assertRegex(shown, r"900000\+ +2 h +0 +checkin +erp +HTTP 503")

    def test_while_no_gateway_answers_the_last_page_stays_and_says_so(self) -> None:
        """It says of when it is; before there was any, it says only why."""
        shown = text(PLANT, "no gateway listens on journal.db.sock")
        self.assertTrue(
            shown.startswith(f"no gateway listens on journal.db.sock; what follows is of {AT}\n"), shown
        )
        self.assertIn("scanner-07", shown)
        self.assertEqual(
            text(None, "no gateway listens on journal.db.sock"), "no gateway listens on journal.db.sock"
        )

    def test_no_device_commands_the_terminal(self) -> None:
        """Names come from lines; what cannot be printed is escaped wherever it is shown."""
        evil = "\x1b[2J\u202eevil"
        shown = text(
            changed(
                PLANT,
                sources=[changed(SCALES, silent=[evil])],
                devices=[changed(SCALE, device=evil, peer=evil)],
                alarms=[changed(ALARM, facts=evil)],
            )
        )
        self.assertNotIn("\x1b", shown)
        self.assertNotIn("\u202e", shown)
        self.assertEqual(shown.count("\\x1b[2J\\u202eevil"), 4)

    def test_more_alarms_than_fit_are_counted(self) -> None:
        """The newest are shown."""
        alarms = [changed(ALARM, facts=f"number={number}") for number in range(ALARMS + 3)]
        shown = text(changed(PLANT, alarms=alarms))
        self.assertIn(f"number={ALARMS - 1}\nand 3 more in the last quarter of an hour", shown)

    def test_a_narrow_terminal_cuts_and_does_not_fold(self) -> None:
        """Each source, device and route keeps its line."""
        self.assertEqual(len(text(PLANT).splitlines()), len(text(PLANT, width=60).splitlines()))
