"""How many deliveries a target bears best at a time: found by trying. Pure.

A busy ERP answers slower the more is asked of it at once, and past some number it even does less. That
number differs by site and by hour, and the answer's delay alone does not tell it. So the rate of finished
documents is measured at one number, then at a neighbouring one; what did better is kept. Of two numbers
that do as well as each other the smaller one is right: it keeps the others who use the ERP waiting less.
"""

from __future__ import annotations

WINDOW = 0.5
"""Seconds that one measurement takes at least."""
ROUNDS = 4
"""Answers for each delivery under way that one measurement takes at least."""
BETTER = 0.04
"""A rate counts as different from another by this share: less is noise."""


class Pacing:
    """A limit between 1 and ``most`` that follows what the target bears.

    Only what is measured at the limit tells something: while fewer deliveries wait than may be under way,
    nothing is learned and nothing changed. Times are monotonic seconds.
    """

    def __init__(self, most: int, now: float) -> None:
        self.most = most
        self.limit = min(most, 2)
        self._step = 1
        self._rate: float | None = None
        self._begin(now)

    def answered(self, documents: int, now: float, *, saturated: bool) -> None:
        """Take one answer into account.

        Args:
            documents: how many the target decided in this answer.
            now: the time.
            saturated: whether as many deliveries were under way as the limit allows.

        """
        if not saturated:
            self._rate = None
            self._begin(now)
            return
        self._documents += documents
        self._answers += 1
        elapsed = now - self._began
        if elapsed >= WINDOW and self._answers >= ROUNDS * self.limit:
            self._climb(self._documents / elapsed)
            self._begin(now)

    def failed(self, now: float) -> None:
        """The target was down or did not answer in time: begin again with half as many."""
        self.limit = max(1, self.limit // 2)
        self._step = 1
        self._rate = None
        self._begin(now)

    def _climb(self, rate: float) -> None:
        if self._rate is not None:
            gain = (rate - self._rate) / self._rate
            if gain < -BETTER:
                self._step = -self._step
            elif gain <= BETTER:
                # As good as before: more is not worth it, fewer is.
                self._step = -1
        self._rate = rate
        before = self.limit
        self.limit = min(self.most, max(1, self.limit + self._step * max(1, self.limit // 8)))
        if self.limit == before:
            self._step = -self._step

    def _begin(self, now: float) -> None:
        self._began = now
        self._documents = 0
        self._answers = 0
