"""How open files are shared out among sources."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.descriptors import RESERVED, share


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
