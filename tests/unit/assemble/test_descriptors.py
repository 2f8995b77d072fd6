"""How open files are shared out among sources."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.descriptors import RESERVED, VIEWERS, share, shares


class Sharing(SynchronousTestCase):
    """What `share` gives."""

    def test_where_there_is_enough(self) -> None:
        """Each source has what its configuration says."""
        self.assertEqual({"gate": 1024, "shelf": 10}, share(RESERVED + 1034, {"gate": 1024, "shelf": 10}))

    def test_where_there_is_not(self) -> None:
        """Together they take no more than there is, in proportion, and what the gateway needs itself is left."""
        self.assertEqual({"gate": 300, "shelf": 100}, share(RESERVED + 400, {"gate": 3000, "shelf": 1000}))

    def test_where_there_is_next_to_nothing(self) -> None:
        """No source is closed altogether."""
        self.assertEqual({"gate": 1, "shelf": 1}, share(20, {"gate": 3000, "shelf": 1000}))

    def test_live_clients_get_what_sources_leave(self) -> None:
        """Devices go before those who look; where there is enough each has what it wants."""
        wanted = {"gate": 100}
        self.assertEqual((wanted, 50), shares(RESERVED + 150, wanted, 50))
        self.assertEqual((wanted, 900), shares(RESERVED + 1000, wanted, 10_000))
        self.assertEqual((wanted, 0), shares(RESERVED + 100, wanted, 0))

    def test_sources_do_not_take_all(self) -> None:
        """An eighth is left for those who look; one where there is next to nothing."""
        allowed = shares(RESERVED + 800, {"gate": 3000, "shelf": 1000}, 10_000)
        self.assertEqual(({"gate": 525, "shelf": 175}, 800 // VIEWERS), allowed)
        self.assertEqual(({"gate": 1}, 1), shares(20, {"gate": 3000}, 10_000))
