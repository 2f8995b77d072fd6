"""How many deliveries a target bears best at a time: found by trying. Pure.

A busy ERP answers slower the more is asked of it at once, and past some number it even does less. That number
differs by site and by hour. So the rate of finished documents is measured at one number and at a neighbouring one,
in turn, and the two are compared.

At full use the delay of an answer is the number under way divided by the rate. Two numbers whose rates differ as
they do themselves have the same delay: nothing waits at the target, and more is better. Where most of what a larger
number adds only waits, the smaller one is right: it keeps the others who use the ERP waiting less.

A machine that does something else meanwhile moves a rate by a tenth and more. A neighbour is therefore a quarter
away, so that what it is worth stands out. Only a clear gain is believed at once; anything else is measured three
times, in turn with the number in use, and the median decides.

Trying costs documents. So a number that its neighbours did not better is kept for a while, and for twice as long
each time that it proves itself again.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from statistics import median

WINDOW = 0.5
"""Seconds that one measurement takes at least."""
ROUNDS = 4
"""Answers for each delivery under way that one measurement takes at least."""
SLACK = 0.1
"""With more than this share of the answers fewer deliveries were under way than might be: nothing was measured."""
STEP = 4 / 3
"""How far a neighbour is away: a quarter, and at small numbers one."""
WORTH = 0.15
"""A larger number must add this share of what it would add if nothing waited."""
CLEAR = 0.6
"""With this share of it a single comparison is enough to take the larger number."""
KEEP = 0.4
"""And with this one to keep it."""
COMPARISONS = 3
"""How many comparisons decide otherwise."""
CHANGED = 0.3
"""A rate that differs by this share though nothing was tried is strange."""
STRANGE = 3
"""So many strange measurements in a row are another site, as it were: trials go on at once."""
LONGEST = 32
"""Measurements between two trials at most."""


class Pacing:
    """A limit between 1 and ``most`` that follows what the target bears.

    Only what is measured at the limit tells something: while fewer deliveries wait than may be under way,
    nothing is learned and nothing changed. Times are monotonic seconds.
    """

    def __init__(self, most: int, now: float) -> None:
        self._steps = _ladder(most)
        self._home = self._below(2)
        """Which step is the best so far."""
        self._tried = self._home
        """Which one is in use: another one only while that is tried."""
        self._climbing = True
        """From a number that is known to be low, until a larger one is not better: there is most to be gained."""
        self._up = True
        """Whether the neighbour to try next is the larger one."""
        self._rate = 0.0
        """At ``_home``, measured last."""
        self._gains: list[float] = []
        self._stayed = 0
        self._patience = 1
        self._rest = 0
        self._strange = 0
        self._began = now
        self._documents = self._answers = self._slack = self._unsettled = 0

    @property
    def limit(self) -> int:
        """How many may be under way."""
        return self._steps[self._tried]

    def answered(self, documents: int, now: float, *, saturated: bool) -> None:
        """Take one answer into account.

        Args:
            documents: how many the target decided in this answer.
            now: the time.
            saturated: whether as many deliveries were under way as the limit allows.

        """
        if self._unsettled:
            # These were sent while another number was under way.
            self._unsettled -= 1
            self._began = now
            return
        self._documents += documents
        self._answers += 1
        self._slack += not saturated
        elapsed = now - self._began
        before = self.limit
        if elapsed >= WINDOW and self._answers >= ROUNDS * before:
            if self._slack > SLACK * self._answers:
                self._go_home()
            else:
                self._measured(self._documents / elapsed)
            self._begin(now, 0 if self.limit == before else max(self.limit, before))

    def failed(self, now: float) -> None:
        """The target was down or did not answer in time: begin again with half as many."""
        self._home = self._below(self.limit // 2)
        self._go_home()
        self._up = self._climbing = True
        self._rest = self._stayed = 0
        self._patience = 1
        self._begin(now)

    def _measured(self, rate: float) -> None:
        if self._tried != self._home:
            self._compare(rate)
        elif self._rest:
            self._look_after(rate)
        else:
            self._rate = rate
            self._try()

    def _try(self) -> None:
        """Go to a neighbour, the larger or the smaller one as far as there is one."""
        if self._home == (len(self._steps) - 1 if self._up else 0):
            self._up = not self._up
        neighbour = self._home + (1 if self._up else -1)
        self._tried = neighbour if 0 <= neighbour < len(self._steps) else self._home

    def _compare(self, rate: float) -> None:
        low, high = (self._rate, rate) if self._tried > self._home else (rate, self._rate)
        # 1 where the larger number does so much more as it is larger, 0 where it does no more.
        full = abs(math.log(self.limit / self._steps[self._home]))
        self._gains.append(math.log(high / low) / full)
        enough = KEEP if self._tried < self._home else WORTH if self._climbing else CLEAR
        if len(self._gains) == 1 and self._gains[0] >= enough:
            self._decide(more=True, rate=rate)
        elif len(self._gains) == COMPARISONS:
            self._decide(more=median(self._gains) > WORTH, rate=rate)
        else:
            # Once more, from a fresh look at the number in use.
            self._tried = self._home

    def _decide(self, *, more: bool, rate: float) -> None:
        self._gains = []
        if more == (self._tried > self._home):
            # The neighbour is better: from there on in the same direction.
            self._home = self._tried
            self._rate = rate
            self._stayed = 0
            self._patience = 1
            self._try()
            return
        self._climbing = False
        self._tried = self._home
        self._up = not self._up
        self._stayed += 1
        if self._stayed >= 2:
            self._patience = min(LONGEST, 2 * self._patience)
        self._rest = self._patience

    def _look_after(self, rate: float) -> None:
        """Rest at a number that has proved itself, unless the site is another one."""
        self._rest -= 1
        gain = math.log(rate / self._rate)
        self._strange = self._strange + 1 if abs(gain) > CHANGED else 0
        if self._strange == STRANGE:
            self._strange = self._rest = self._stayed = 0
            self._patience = 1
            self._up = gain > 0
            self._rate = rate
        if not self._rest:
            self._rate = rate
            self._try()

    def _below(self, number: int) -> int:
        """Return the highest step that is no larger than a number, or else the lowest."""
        return max(0, bisect_right(self._steps, number) - 1)

    def _go_home(self) -> None:
        self._tried = self._home
        self._gains = []
        self._strange = 0

    def _begin(self, now: float, unsettled: int = 0) -> None:
        self._began = now
        self._documents = 0
        self._answers = 0
        self._slack = 0
        self._unsettled = unsettled


def _ladder(most: int) -> list[int]:
    """Return the numbers to try, from 1 to ``most``."""
    steps = [most]
    while steps[-1] > 1:
        steps.append(max(1, min(steps[-1] - 1, round(steps[-1] / STEP))))
    return steps[::-1]
