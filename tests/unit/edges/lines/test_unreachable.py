"""What is said of a device that is not there, or not any more."""

from __future__ import annotations

import errno

from OpenSSL import SSL
from twisted.internet import defer, error
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.lines.unreachable import PortUnusable, Unreachable, why_lost, why_unreachable


class Connecting(SynchronousTestCase):
    """Each failure has its reason and something to do about it."""

    def test_every_failure_of_a_network_is_in_plain_words(self) -> None:
        """As Twisted's endpoints raise them."""
        for failed, reason in (
            (error.ConnectionRefusedError(111, "Connection refused"), "it refuses the connection"),
            (error.DNSLookupError("no results for hostname lookup"), "there is no host of this name"),
            (error.getConnectError(OSError(errno.ETIMEDOUT, "x")), "it does not answer"),
            (error.getConnectError(OSError(errno.ENETUNREACH, "x")), "there is no way to its address"),
            (error.getConnectError(OSError(errno.EHOSTUNREACH, "x")), "there is no way to its address"),
            (error.getConnectError(OSError(errno.ENOENT, "x")), "No such file or directory"),
            (error.TimeoutError(), "it does not answer"),
            (defer.TimeoutError(10), "it does not answer"),
            (error.ConnectBindError(99, "x"), "bindAddress is no address of this machine"),
            (ValueError("odd"), "odd"),
            (ValueError(), "ValueError"),
        ):
            why = why_unreachable(failed)
            self.assertEqual(reason, why.reason, repr(failed))
            self.assertTrue(why.remedy)

    def test_a_port_says_itself_what_is_wrong(self) -> None:
        """What the serial port found is not said in other words."""
        why = Unreachable("permission denied", "join dialout")
        self.assertEqual(why, why_unreachable(PortUnusable(why)))
        self.assertEqual("permission denied; join dialout", str(PortUnusable(why)))


class Losing(SynchronousTestCase):
    """How a connection ended."""

    def test_every_end_is_in_plain_words(self) -> None:
        """Also where TLS was to blame."""
        for failed, reason in (
            (error.ConnectionDone(), "the device closed the connection"),
            (error.ConnectionAborted(), "it was cut off"),
            (error.ConnectionLost("x"), "the connection broke"),
            (
                SSL.Error([("SSL routines", "", "certificate verify failed")]),
                "TLS failed: certificate verify failed",
            ),
            (SSL.Error(), "TLS failed: Error"),
            (OSError("odd."), "odd"),
            (None, "the connection ended"),
        ):
            self.assertEqual(reason, why_lost(failed))
