"""Documents that do not hold what was sent: counted, and told of again only after a while. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from lineside.model.outcome import Altered

AGAIN_SECONDS = 3600.0
"""One field of one route is told of so often: its documents come by the thousand."""
NAMED = 5
"""So many fields are named in a line of status."""


class Alterations:
    """What became of one route's fields since the start."""

    def __init__(self) -> None:
        self.documents = 0
        """How many did not hold what was sent."""
        self._told: dict[str, float] = {}

    @property
    def fields(self) -> list[str]:
        """The fields concerned, the first found first."""
        return list(self._told)

    def note(self, altered: Iterable[Altered], now: float) -> list[Altered]:
        """Count a document; return those of its fields that are to be told of at ``now``, in monotonic seconds."""
        self.documents += 1
        due = [one for one in altered if now - self._told.get(one.field, float("-inf")) >= AGAIN_SECONDS]
        self._told.update((one.field, now) for one in due)
        return due

    def line(self) -> str | None:
        """Return it in a line; None where every document holds what was sent."""
        if not self.documents:
            return None
        fields = self.fields
        more = f" and {len(fields) - NAMED} more" if len(fields) > NAMED else ""
        number = f"{self.documents} document{'' if self.documents == 1 else 's'}"
        return f"{number} did not keep {', '.join(fields[:NAMED])}{more} as sent"
