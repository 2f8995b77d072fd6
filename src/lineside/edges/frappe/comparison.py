"""Looking at answers, whether the documents in them hold what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lineside.edges.frappe.altered import alterations
from lineside.edges.frappe.levels import Levels
from lineside.edges.frappe.meta import Metas
from lineside.edges.frappe.preflight import tables
from lineside.model.outcome import Altered
from lineside.model.ports import Delivery

log = Logger()

AGAIN_SECONDS = 600.0
"""A batch is answered with names alone. So often one of its documents goes by itself, for its answer."""
REMEMBERED = 1000
"""So many kinds of documents."""


class Comparison:
    """Compares documents as a site returns them with what it was sent.

    Args:
        clock: counts how long a comparison holds for others of its kind.
        metas: what the site said of its DocTypes; only what is known already is used.
        levels: what the API user may write.

    """

    def __init__(self, clock: IReactorTime, metas: Metas, levels: Levels) -> None:
        self._clock = clock
        self._metas = metas
        self._levels = levels
        self._seen: dict[tuple[str, frozenset[str]], float] = {}

    def due(self, delivery: Delivery) -> bool:
        """Tell whether no document of this DocType with these fields was compared for `AGAIN_SECONDS`.

        What a user may write is the same for all documents: one that is compared speaks for the others.
        """
        seen = self._seen.get(_kind(delivery))
        return seen is None or self._clock.seconds() - seen >= AGAIN_SECONDS

    def sent(self, delivery: Delivery) -> None:
        """Note that a document goes out by itself, so that others of its kind need not."""
        if len(self._seen) >= REMEMBERED:
            self._seen.clear()
        self._seen[_kind(delivery)] = self._clock.seconds()

    def altered(self, delivery: Delivery, answered: Mapping[str, Any], *, new: bool) -> tuple[Altered, ...]:
        """Return the fields that hold something else than was sent. Never raises: the document is stored."""
        try:
            described = self._metas.known(delivery.doctype)
            may_write = partial(self._levels.may_write, described) if described is not None else _unknown
            children = {}
            for name in () if described is None else tables(delivery.document, described):
                child = self._metas.known(name)
                if child is not None:
                    children[name] = child
            return alterations(delivery.document, answered, described, children, may_write, new=new)
        except Exception:  # noqa: BLE001 (whatever an answer holds, its document is delivered)
            log.failure("delivery.uncompared", delivery=delivery.id, doctype=delivery.doctype)
            return ()


def _kind(delivery: Delivery) -> tuple[str, frozenset[str]]:
    return delivery.doctype, frozenset(delivery.document)


def _unknown(_level: int) -> None:
    return None
