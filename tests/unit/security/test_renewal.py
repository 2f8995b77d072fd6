"""Certificates that are replaced while they are shown, and those that nobody replaces."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from tests.rig.certificates import Authority, Identity
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.errors import LinesideError
from lineside.security.renewal import DAILY, LOOK, Certificates, GuestFiles, KeyFiles

T = TypeVar("T")

ALL = {"tls.plant", "sources.gate.crl", "sources.gate.ca"}


def at_once(work: Callable[[], T]) -> Deferred[T]:
    return succeed(work())


class Renewed(SynchronousTestCase):
    """One certificate and one list, looked at by a clock that is turned by hand."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.now = datetime.now(UTC)
        self.ca = Authority(Path.cwd(), ends=365)
        self.shown = self.ca.sign("gateway.plant", ends=365)
        self.crl = self.ca.revoke(ends=365)

    def watch(self) -> Certificates:
        files = {"plant": KeyFiles(self.shown.certificate, self.shown.key)}
        watched = Certificates(files, self.clock, at_once, lambda: self.now)
        guests = GuestFiles("sources.gate", (self.ca.certificate,), self.crl, lambda _: None)
        self.side = watched.listener(["plant"], guests=guests)
        self.successResultOf(Deferred.fromCoroutine(watched.start()))
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(watched.stop())))
        return watched

    def logged(self, seconds: float) -> list[dict[str, Any]]:
        """Return what is logged in so many seconds."""
        with capturedLogs() as logged:
            self.clock.pump([LOOK] * round(seconds / LOOK))
        return [dict(each) for each in logged if each["log_format"].startswith("certificate.")]

    def replace(self, identity: Identity) -> None:
        identity.certificate.replace(self.shown.certificate)
        identity.key.replace(self.shown.key)

    def test_nothing_changes(self) -> None:
        """Nothing is read and nothing is said."""
        self.watch()
        doors = self.side._doors
        self.assertEqual([], self.logged(60))
        self.assertIs(doors, self.side._doors)

    def test_a_new_one(self) -> None:
        """It is taken up at the next look; so is a new list."""
        self.watch()
        doors = self.side._doors
        self.replace(self.ca.sign("gateway.plant", ends=300))
        [told] = self.logged(LOOK)
        self.assertEqual(("certificate.reloaded", "tls.plant"), (told["log_format"], told["certificate"]))
        self.assertIsNot(doors, self.side._doors)
        self.ca.revoke(ends=200)
        [told] = self.logged(LOOK)
        self.assertEqual(("certificate.reloaded", "sources.gate.crl"), (told["log_format"], told["certificate"]))

    def test_between_two_files(self) -> None:
        """A new certificate whose key comes a moment later is no trouble, and is never shown without it."""
        self.watch()
        doors = self.side._doors
        new = self.ca.sign("gateway.plant", ends=300)
        new.certificate.replace(self.shown.certificate)
        self.assertEqual([], self.logged(LOOK))
        self.assertIs(doors, self.side._doors)
        new.key.replace(self.shown.key)
        self.assertEqual(["certificate.reloaded"], [each["log_format"] for each in self.logged(LOOK)])

    def test_a_broken_one(self) -> None:
        """It is told once, the one before stays, and the next that is right is taken up."""
        self.watch()
        doors = self.side._doors
        for contents in (b"", b"broken"):
            self.shown.certificate.write_bytes(contents)
            [told] = self.logged(60)
            self.assertEqual("certificate.kept", told["log_format"])
            self.assertEqual(f"{self.shown.certificate} holds no certificate in PEM", told["reason"])
        self.shown.certificate.unlink()
        [told] = self.logged(60)
        self.assertIn("cannot read", told["reason"])
        self.assertIs(doors, self.side._doors)
        self.replace(self.ca.sign("gateway.plant", ends=300))
        self.assertEqual(["certificate.reloaded"], [each["log_format"] for each in self.logged(60)])

    def test_one_that_has_expired_is_a_broken_one(self) -> None:
        """An old file that is put back by mistake changes nothing."""
        self.watch()
        self.replace(self.ca.sign("gateway.plant", begins=-3, ends=-1))
        [told] = self.logged(60)
        self.assertIn("expired on", told["reason"])

    def test_the_end_is_foretold(self) -> None:
        """Thirty days before, seven days before and when it is there, once a day, and as a metric."""
        watched = self.watch()
        self.assertEqual(ALL, watched.left().keys())
        begun = self.now
        for passed, level, event in (
            (334, None, None),
            (335.5, "warn", "certificate.expires"),
            (358.5, "error", "certificate.expires_soon"),
            (365.5, "error", "certificate.expired"),
        ):
            self.now = begun + timedelta(days=passed)
            told = self.logged(DAILY)
            names = ALL if event else set()
            self.assertEqual(names, {each["certificate"] for each in told})
            self.assertEqual(len(names), len(told))
            for each in told:
                self.assertEqual((event, level), (each["log_format"], each["log_level"].name))
            self.assertAlmostEqual((365 - passed) * 86_400, watched.left()["tls.plant"], places=-2)

    def test_not_right_at_the_start(self) -> None:
        """There is no gateway then."""
        self.shown.certificate.write_bytes(b"broken")
        with self.assertRaises(LinesideError):
            self.watch()
