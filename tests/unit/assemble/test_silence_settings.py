"""How `lineside.toml` says for how long a source may be silent, and when that counts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.settings import Settings
from lineside.model.errors import ConfigurationError

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "https://erp.example.com"
api_key = { env = "KEY" }
api_secret = { env = "KEY" }
[routes.checkin]
doctype = "ToDo"
document = { a = "{{ a }}" }
PLANT
[sources.gate]
type = "lines"
listen = "tcp:7001"
public = true
"""
BERLIN = '[plant]\ntime_zone = "Europe/Berlin"'


def read(keys: str, plant: str = "", first: str = "") -> Settings:
    """Load a configuration whose source has these keys as well."""
    path = Path("lineside.toml")
    path.write_text(first + CONFIGURATION.replace("PLANT", plant) + keys, encoding="utf-8")
    return load(path, {"KEY": "k"})


class Silence(SynchronousTestCase):
    def assertProblem(self, problem: str, keys: str, plant: str = "") -> None:
        with self.assertRaises(ConfigurationError) as caught:
            read(keys, plant)
        self.assertEqual([f"lineside.toml: {problem}"], caught.exception.problems)

    def test_nobody_is_watched_unless_asked_for(self) -> None:
        """Most sources have nothing to say for hours."""
        settings = read("")
        self.assertEqual((settings.sources["gate"].silence, settings.plant.time_zone), (None, None))

    def test_hours_are_those_of_the_plant(self) -> None:
        """Six o'clock is six o'clock where the devices are."""
        settings = read('silence = "10m"\nsilence_of = "device"\nhours = "Mon-Fri 06:00-22:00"', BERLIN)
        gate = settings.sources["gate"]
        self.assertEqual((gate.silence, gate.silence_of), (600.0, "device"))
        hours = settings.hours_of(gate)
        assert hours is not None
        self.assertTrue(hours.at_work(datetime.fromisoformat("2026-03-04T06:00+01:00").timestamp()))
        self.assertFalse(hours.at_work(datetime.fromisoformat("2026-03-04T06:00+00:00").timestamp() + 16 * 3600))

    def test_without_hours_it_always_counts(self) -> None:
        """No zone is needed then."""
        settings = read('silence = "2h"')
        self.assertIsNone(settings.hours_of(settings.sources["gate"]))

    def test_what_does_not_fit_together(self) -> None:
        """Hours need a zone, and hours and devices something to watch for."""
        self.assertProblem(
            'plant.time_zone: is missing, and sources.gate.hours needs it; set one such as "Asia/Kolkata"',
            'silence = "10m"\nhours = "06:00-22:00"',
        )
        nothing = 'nothing is watched; set silence = "10m" as well'
        self.assertProblem(f"sources.gate.hours: {nothing}", 'hours = "06:00-22:00"', BERLIN)
        self.assertProblem(f"sources.gate.silence_of: {nothing}", 'silence_of = "device"')

    def test_values(self) -> None:
        """Each mistake says what was expected."""
        hours = '"always" is no working time such as "Mon-Fri 06:00-22:00, Sat 06:00-14:00"'
        self.assertProblem(f"sources.gate.hours: {hours}", 'silence = "10m"\nhours = "always"', BERLIN)
        with self.assertRaisesRegex(ConfigurationError, "sources.gate.silence: "):
            read('silence = "0"')
        with self.assertRaisesRegex(ConfigurationError, 'plant.time_zone: unknown time zone "Berlin"'):
            read("", '[plant]\ntime_zone = "Berlin"')
        with self.assertRaisesRegex(ConfigurationError, "plant: expected a table, got"):
            read("", first="plant = 1")
