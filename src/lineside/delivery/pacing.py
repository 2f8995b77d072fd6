"""How many deliveries a target bears best at a time: found by trying. Pure.

A busy ERP answers slower the more is asked of it at once, and past some number it even does less. That
number differs by site and by hour, and the answer's delay alone does not tell it. So the rate of finished
documents is measured at one number, then at a neighbouring one; what did better is kept. Of two numbers
that do as well as each other the smaller one is right: it keeps the others who use the ERP waiting less.

Trying costs documents: every number but the best one is worse. So a number that its neighbour did not better is
kept for a while before the next trial, and for twice as long each time that it proves itself again.
"""

from __future__ import annotations

WINDOW = 0.5
"""Seconds that one measurement takes at least."""
ROUNDS = 4
"""Answers for each delivery under way that one measurement takes at least."""
BETTER = 0.04
"""A rate counts as different from another by this share: less is noise."""
CHANGED = 0.2
"""A rate that differs by this share though nothing was tried is another site, as it were: trials go on at once."""
LONGEST = 8
"""Measurements between two trials at most."""


class Pacing:
    """A limit between 1 and ``most`` that follows what the target bears.

    Only what is measured at the limit tells something: while fewer deliveries wait than may be under way,
    nothing is learned and nothing changed. Times are monotonic seconds.
    """

    def __init__(self, most: int, now: float) -> None:
        self.most = most
        self.limit = min(most, 2)
        self._step = 1
        self._former = self.limit
        self._rate: float | None = None
        self._proven = 0
        self._patience = 1
        self._rest = 0
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
        self._rest = 0
        self._begin(now)

    def _climb(self, rate: float) -> None:
        before, self._rate = self._rate, rate
        gain = 0.0 if before is None else (rate - before) / before
        if self._rest:
            self._rest -= 1
            if abs(gain) > CHANGED:
                self._rest = 0
                self._patience = 1
                self._step = 1 if gain > 0 else -1
            elif self._rest:
                return
        elif gain < -BETTER:
            self._step = -self._step
            self._return()
            return
        elif before is not None and gain <= BETTER:
            # As good as before: more is not worth it, fewer is.
            self._step = -1
        self._former = self.limit
        self.limit = min(self.most, max(1, self.limit + self._step * max(1, self.limit // 8)))
        if self.limit == self._former:
            self._step = -self._step

    def _return(self) -> None:
        """Go back to the number before the trial, and stay there for a while."""
        self.limit = self._former
        near = abs(self.limit - self._proven) <= max(1, self.limit // 8)
        self._patience = min(LONGEST, 2 * self._patience) if near else 1
        self._proven = self.limit
        self._rest = self._patience
        self._rate = None

    def _begin(self, now: float) -> None:
        self._began = now
        self._documents = 0
        self._answers = 0
