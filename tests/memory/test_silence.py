"""Alarms for what is not heard: a source and its devices, over nights, restarts and clocks that are set."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal.watched import WatchedJournal
from lineside.model.batch import Batch
from lineside.model.hours import Hours, parse_hours
from lineside.model.traffic import Traffic
from lineside.operations import silence
from lineside.operations.silence import EXPECTED, MOST_DEVICES, STORE, Expectation, SilenceWatch
from lineside.testing.journals import JournalOnFile
from lineside.wire.jsonl import JsonLines, batches_of

DECODE = batches_of(JsonLines(device="scanner"))
MINUTE = 60.0
HOUR = 60 * MINUTE
ZONE = "Europe/Berlin"
NAMES = (
    "source.silent",
    "source.heard_again",
    "device.silent",
    "device.heard_again",
    "devices.silent",
    "devices.heard_again",
    "source.many_devices",
)


class SilenceCase(SynchronousTestCase):
    """A gate in Berlin that should say something every ten minutes; it is a Wednesday, 10 o'clock."""

    hours: str | None = None
    devices = False

    def setUp(self) -> None:
        self.wall = datetime.fromisoformat("2026-03-04T10:00+01:00").timestamp()
        self.clock = Clock()
        self.file = JournalOnFile(Path(self.mktemp()), self.now_ns)
        self.addCleanup(self.file.close)
        self.told: list[str] = []
        observe: Any = self.observe
        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.begin()

    def observe(self, event: LogEvent) -> None:
        if event.get("log_format") in NAMES:
            facts = (str(event[name]) for name in ("device", "count", "devices") if name in event)
            self.told.append(" ".join([event["log_format"], *facts]))

    def now_ns(self) -> int:
        return int(self.wall * 1e9)

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def begin_with(self, most: int) -> None:
        """Start again, with room for so many devices."""
        self.done(self.watch.stop())
        self.begin(most)

    def begin(self, most: int = MOST_DEVICES) -> None:
        """Start as a new process does."""
        self.traffic = Traffic(self.clock.seconds(), most)
        self.journal = WatchedJournal(self.file.journal, self.traffic, self.clock, self.now_ns)
        hours = None if self.hours is None else Hours(parse_hours(self.hours), ZONE)
        expectation = Expectation("gate", self.traffic, 10 * MINUTE, hours, self.devices, named=True)
        self.watch = SilenceWatch([expectation], self.file.journal, self.file.database, self.clock, self.now_ns)
        self.done(self.watch.start())

    def restart(self, away: float) -> None:
        """Stop, be away for so long, and start on the same journal."""
        self.done(self.watch.stop())
        self.wall += away
        self.file.restart()
        self.begin()

    def pass_time(self, seconds: float) -> list[str]:
        """Let time go by on both clocks; return the alarms of it."""
        self.told.clear()
        for _ in range(int(seconds)):
            self.wall += 1
            self.clock.advance(1)
        return list(self.told)

    def hear(self, *scanners: str) -> None:
        """Let a line of each of these scanners arrive; of none, one that names none."""
        frames = [b'{"scanner":"%s"}' % scanner.encode() for scanner in scanners] or [b"{}"]
        self.store(DECODE(frames, "10.0.0.7"))

    def store(self, batch: Batch) -> Deferred[Any]:
        """Do with a batch what a source does."""
        self.journal.came(batch, [("10.0.0.7", len(batch))])
        return Deferred.fromCoroutine(self.journal.append_batches("gate", [batch]))


class SilentSources(SilenceCase):
    """At all hours."""

    def test_once_when_it_falls_silent_and_once_when_it_is_over(self) -> None:
        """Not before ten minutes, not again and again, and never while something comes."""
        for _ in range(5):
            self.hear()
            self.assertEqual(self.pass_time(9 * MINUTE), [])
        self.assertEqual(self.pass_time(MINUTE - 1), [])
        self.assertEqual(self.pass_time(3), ["source.silent"])
        self.assertEqual(self.watch.silent("gate"), [""])
        self.assertEqual(self.pass_time(HOUR), [])
        self.hear()
        self.assertEqual(self.pass_time(1), ["source.heard_again"])
        self.assertEqual(self.watch.silent("gate"), [])
        self.assertEqual(self.pass_time(10 * MINUTE + 2), ["source.silent"])

    def test_what_is_no_event_and_what_cannot_be_stored_is_heard_as_well(self) -> None:
        """A scanner that sends nonsense, or meets a full disk, has other alarms."""
        self.pass_time(9 * MINUTE)
        self.store(DECODE([b"\xff"], "10.0.0.7"))
        self.assertEqual(self.pass_time(9 * MINUTE), [])
        self.file.writer.held = True
        self.store(Batch([b"{}"]))
        self.assertEqual(self.pass_time(9 * MINUTE), [])

    def test_a_source_that_never_said_anything(self) -> None:
        """It counts from the start."""
        self.assertEqual(self.pass_time(10 * MINUTE - 1), [])
        self.assertEqual(self.pass_time(3), ["source.silent"])

    def test_a_restart_does_not_hide_it(self) -> None:
        """Silent for six minutes before, for one without a gateway, for three after: that is ten."""
        self.hear()
        self.pass_time(6 * MINUTE)
        self.restart(MINUTE)
        self.assertEqual(self.pass_time(3 * MINUTE - 2), [])
        self.assertEqual(self.pass_time(5), ["source.silent"])

    def test_what_is_silent_at_the_start_is_told_at_once(self) -> None:
        """Whoever starts a gateway after a night wants to know it."""
        self.hear()
        self.restart(12 * HOUR)
        self.assertEqual(self.pass_time(2), ["source.silent"])

    def test_a_clock_that_is_set_makes_nobody_silent_and_nobody_heard(self) -> None:
        """Forward by a day, back by two: the alarm comes after ten minutes as they pass."""
        self.hear()
        self.pass_time(5 * MINUTE)
        self.wall += 24 * HOUR
        self.assertEqual(self.pass_time(4 * MINUTE), [])
        self.wall -= 48 * HOUR
        self.assertEqual(self.pass_time(MINUTE + 2), ["source.silent"])

    def test_a_stamp_from_the_future_counts_from_the_start(self) -> None:
        """The box had a wrong clock when it stored the last event."""
        self.hear()
        self.restart(-HOUR)
        self.assertEqual(self.pass_time(10 * MINUTE - 1), [])
        self.assertEqual(self.pass_time(3), ["source.silent"])

    def test_stopping_leaves_no_timer(self) -> None:
        """The part lets go of the clock."""
        self.done(self.watch.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class WorkingHours(SilenceCase):
    """From Monday to Friday, 6 to 22 o'clock in Berlin."""

    hours = "Mon-Fri 06:00-22:00"

    def go_to(self, when: str) -> None:
        """Set both clocks on, as if nothing had run meanwhile: the gateway starts then."""
        self.restart(datetime.fromisoformat(when).timestamp() - self.wall)

    def test_a_night_is_no_silence(self) -> None:
        """Heard last at 21:55, the alarm comes five minutes after the shift has begun."""
        self.go_to("2026-03-04T21:55+01:00")
        self.hear()
        self.assertEqual(self.pass_time(8 * HOUR + 9 * MINUTE), [])
        self.assertEqual(self.pass_time(MINUTE + 2), ["source.silent"])

    def test_over_a_weekend_in_which_the_clocks_are_changed(self) -> None:
        """From Friday in winter time to Monday in summer time: the shift begins by the clock on the wall."""
        self.go_to("2026-03-27T21:58+01:00")
        self.hear()
        self.go_to("2026-03-30T06:07+02:00")
        self.assertEqual(self.pass_time(MINUTE - 2), [])
        self.assertEqual(self.pass_time(5), ["source.silent"])

    def test_the_alarm_of_the_evening_lasts_until_it_is_heard(self) -> None:
        """The end of a shift is no sign of life."""
        self.go_to("2026-03-04T21:40+01:00")
        self.assertEqual(self.pass_time(HOUR), ["source.silent"])
        self.hear()
        self.assertEqual(self.pass_time(HOUR), ["source.heard_again"])


class SilentDevices(SilenceCase):
    """Each device of the source."""

    devices = True

    def test_one_that_falls_silent_among_others(self) -> None:
        """It is named, once; the source is well."""
        self.hear("one", "two")
        told = []
        for _ in range(4):
            told += self.pass_time(3 * MINUTE)
            self.hear("two")
        self.assertEqual(told, ["device.silent one"])
        self.assertEqual(self.watch.silent("gate"), ["one"])
        self.hear("one", "two")
        self.assertEqual(self.pass_time(1), ["device.heard_again one"])

    def test_a_hall_that_falls_silent_is_one_line(self) -> None:
        """It counts them and names the first, and each is silent for itself; so it is when the power is back."""
        hall = [f"scanner-{number}" for number in range(40)]
        self.hear(*hall)
        told = self.pass_time(11 * MINUTE)
        self.assertEqual(["source.silent", f"devices.silent 40 {', '.join(hall[:5])}, ..."], told)
        self.assertEqual(["", *hall], self.watch.silent("gate"))
        self.hear(*hall[:6])
        again = f"devices.heard_again 6 {', '.join(hall[:5])}, ..."
        self.assertEqual(["source.heard_again", again], self.pass_time(1))
        self.assertEqual(hall[6:], self.watch.silent("gate"))

    def test_a_few_have_a_line_each(self) -> None:
        """As many as are named in any case."""
        few = [f"scanner-{number}" for number in range(5)]
        self.hear(*few)
        self.assertEqual([f"device.silent {name}" for name in few], self.pass_time(11 * MINUTE)[1:])

    def test_an_address_is_no_device_where_devices_name_themselves(self) -> None:
        """A line that makes no sense came from somewhere; nobody is expected there."""
        self.hear()
        self.store(DECODE([b"\xff"], "10.0.0.7"))
        self.assertEqual(self.pass_time(11 * MINUTE), ["source.silent"])
        self.restart(MINUTE)
        self.assertEqual(list(self.traffic.devices), [])

    def test_a_restart_does_not_hide_a_device(self) -> None:
        """What was heard is stored each minute and when the gateway stops; the time without one counts."""
        self.hear("one")
        self.pass_time(5 * MINUTE)
        self.hear("two")
        self.restart(4 * MINUTE)
        self.assertEqual(self.pass_time(MINUTE - 2), [])
        self.assertEqual(self.pass_time(5), ["device.silent one"])

    def test_a_gateway_that_is_killed_knows_them_all_the_same(self) -> None:
        """Nothing is stored at the end then; what was stored a minute after counts."""
        self.hear("one")
        self.pass_time(STORE + 1)
        self.watch._looking.stop()
        self.file.restart()
        self.begin()
        self.assertEqual(self.pass_time(9 * MINUTE + 2), ["device.silent one", "source.silent"][::-1])

    def test_a_device_that_is_no_more_is_forgotten(self) -> None:
        """After a week nobody expects it: the alarm ends without a word, and does not come back at a restart."""
        self.hear("one")
        self.pass_time(11 * MINUTE)
        self.clock.advance(EXPECTED)
        self.wall += EXPECTED
        self.pass_time(STORE + 1)
        self.assertEqual((self.watch.silent("gate"), list(self.traffic.devices)), ([""], []))
        self.restart(0)
        self.pass_time(1)
        self.assertEqual(list(self.traffic.devices), [])

    def test_more_devices_than_are_watched(self) -> None:
        """Memory is bounded; that some are not watched any more is said, once."""
        self.hear(*[f"scanner-{number}" for number in range(MOST_DEVICES + 1)])
        self.assertEqual(self.pass_time(5), ["source.many_devices"])
        self.assertEqual(len(self.traffic.devices), MOST_DEVICES)

    def test_names_that_are_made_up_fill_nothing(self) -> None:
        """Whoever sends ever new names drives out the silent ones: from the alarms, and from the disk, too."""
        self.patch(silence, "MOST_DEVICES", 10)
        self.begin_with(10)
        for wave in range(5):
            self.wall += 1
            self.hear(*[f"made-up-{wave}-{number}" for number in range(10)])
            self.pass_time(11 * MINUTE)
        self.assertEqual(len(self.watch.silent("gate")), 1 + 10)
        self.hear("made-up-0-0")
        self.assertEqual(self.pass_time(1), ["source.heard_again"])
        self.assertNotIn("made-up-0-0", self.watch.silent("gate"))
        self.done(self.watch.stop())
        count = self.file.database.read(lambda read: read.execute("SELECT COUNT(*) FROM device").fetchone()[0])
        self.assertLessEqual(self.successResultOf(count), 10)

    def test_one_that_was_driven_out_and_speaks_again_is_no_alarm(self) -> None:
        """It went and came between two looks."""
        self.begin_with(2)
        self.hear("one", "two")
        self.pass_time(11 * MINUTE)
        self.hear("three", "four", "one")
        self.assertEqual(self.pass_time(1)[1:], ["device.heard_again one", "source.many_devices"])
        self.assertEqual(self.watch.silent("gate"), [])

    def test_a_disk_that_is_full_costs_no_alarm(self) -> None:
        """What cannot be stored now is stored a minute later."""
        self.hear("one")
        self.patch(self.file.database, "write", lambda work: Deferred.fromCoroutine(refuse()))
        self.pass_time(STORE + 1)
        self.assertEqual(self.flushLoggedErrors(), [])


async def refuse() -> None:
    raise OSError(28, "No space left on device")
