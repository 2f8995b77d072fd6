"""Records that find the target down or closed while its probes say that it is well. Pure.

Mostly that is the target's trouble: it can still be read and not written, say. But it may be the record's:
a firewall that takes offence at its text, a permission that is missing for this one document, a document
that crashes the ERP's worker. Such a record must not hold up those behind it for ever.
"""

from __future__ import annotations

from msgspec import Struct

from lineside.model.event import Seq
from lineside.model.outcome import Blocked, Retry, TargetDown

PATIENCE = 3
"""So many times in a row a record may be turned away before it steps aside."""


class _Case(Struct):
    times: int
    decided: int
    """How many deliveries the target had decided when the record was turned away first."""


class Suspects:
    """Judges who is at fault: while others get through, the record is; while nobody does, nobody is."""

    def __init__(self) -> None:
        self._cases: dict[Seq, _Case] = {}
        self._decided = 0

    def decided(self, seq: Seq) -> None:
        """The target decided this record: it is no suspect, and others may be."""
        self._cases.pop(seq, None)
        self._decided += 1

    def turned_away(self, seq: Seq, why: TargetDown | Blocked) -> TargetDown | Blocked | Retry:
        """Return what to make of a record that was turned away.

        The first few times it is what the target said. Then the record steps aside, uncounted, so that others
        are tried; and once others have got through, each further time is a failure of its own.
        """
        case = self._cases.setdefault(seq, _Case(0, self._decided))
        case.times += 1
        if case.times < PATIENCE:
            return why
        return Retry(why.reason, ambiguous=True, counts=self._decided > case.decided)
