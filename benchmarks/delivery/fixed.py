"""``lineside run`` whose gate never learns: as many deliveries under way as the target's ``concurrency``, always.

``python fixed.py run -c lineside.toml``. Everything else is the product's.
"""

from __future__ import annotations

from lineside import cli
from lineside.delivery import gate


class Fixed:
    """Stands in for `lineside.delivery.pacing.Pacing`."""

    def __init__(self, most: int, now: float) -> None:
        self.limit = most

    def answered(self, documents: int, now: float, *, saturated: bool) -> None:
        """Learn nothing."""

    def failed(self, now: float) -> None:
        """Learn nothing."""


if __name__ == "__main__":
    gate.Pacing = Fixed  # type: ignore[attr-defined, assignment]
    cli.main()
