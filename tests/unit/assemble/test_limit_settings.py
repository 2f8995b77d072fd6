"""``[limits]`` as it is written, and what is said of what it cannot be."""

from __future__ import annotations

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.limitsettings import LimitSettings
from lineside.security.limits import Rate
from lineside.security.turnstile import Bounds


class Limits(SynchronousTestCase):
    """The table."""

    def test_nothing_has_to_be_said(self) -> None:
        """This machine is trusted, and no rate is anybody's guess."""
        self.assertEqual(Bounds(("127.0.0.0/8", "::1/128")), LimitSettings().bounds)

    def test_rates_are_per_second_minute_or_hour(self) -> None:
        """The count is what may come at once."""
        for text, rate in (("500/s", Rate(500, 1.0)), ("30 / min", Rate(30, 60.0)), ("1000/h", Rate(1000, 3600.0))):
            self.assertEqual(rate, LimitSettings.model_validate({"requests": text}).bounds.requests)
        self.assertIsNone(LimitSettings.model_validate({"requests": "unbound"}).bounds.requests)

    def test_what_is_none_is_refused_with_an_example(self) -> None:
        """A rate of nothing, a unit that is none, a network with bits beyond its mask."""
        for key, value, told in (
            ("requests", "0/s", '"500/s"'),
            ("requests", 500, '"500/s"'),
            ("identity_requests", "5/day", '"500/s"'),
            ("trusted", ["10.0.0.1/8"], '"10.0.0.0/8"'),
            ("connections", 0, "greater than or equal to 1"),
        ):
            wrong = self.assertRaises(ValidationError, LimitSettings.model_validate, {key: value})
            self.assertIn(told, str(wrong))
