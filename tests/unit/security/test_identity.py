"""Who may do what."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.security.identity import LOCAL_USER, NOBODY, Identity, NotPermitted, Permission, check, permits

PERMISSIONS: tuple[Permission, ...] = ("read", "send", "operate", "administer")


class Roles(SynchronousTestCase):
    """What each role may."""

    def may(self, identity: Identity) -> list[str]:
        return [permission for permission in PERMISSIONS if permits(identity, permission)]

    def test_each_role_may_what_its_name_says(self) -> None:
        """A viewer looks, an operator works, an admin does all, a device sends and sees nothing."""
        self.assertEqual(self.may(Identity("board", "viewer")), ["read"])
        self.assertEqual(self.may(Identity("lead", "operator")), ["read", "send", "operate"])
        self.assertEqual(self.may(LOCAL_USER), list(PERMISSIONS))
        self.assertEqual(self.may(Identity("scanner", "device")), ["send"])
        self.assertEqual(self.may(NOBODY), [])

    def test_a_device_sends_to_its_own_sources_only(self) -> None:
        """A stolen scanner's token opens one source."""
        scanner = Identity("scanner", "device", frozenset({"gate"}))
        check(scanner, "send", "gate")
        with self.assertRaises(NotPermitted) as refused:
            check(scanner, "send", "scale")
        self.assertEqual(
            str(refused.exception), 'this needs the permission to send to the source "scale"; scanner is device'
        )
