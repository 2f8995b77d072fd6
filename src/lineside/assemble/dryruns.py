"""What the sites behind a configuration would be sent for rehearsed lines; nothing is written there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.web.iweb import IAgent

from lineside.assemble.edges import frappe_client
from lineside.assemble.frappetargetsettings import FrappeTargetSettings
from lineside.assemble.rehearsal import Rehearsed
from lineside.assemble.settings import Settings
from lineside.assemble.soundings import why_not
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.dryrun import Attempt, DryRun
from lineside.model.errors import LinesideError
from lineside.model.outcome import Blocked, TargetDown
from lineside.model.ports import Delivery, Ready

Connect = Callable[[Any, FrappeTargetSettings, Callable[[IAgent], IAgent]], FrappeClient]


class DryRuns:
    """A dry run at each of some targets.

    Args:
        reactor: connects to the sites.
        settings: with secrets.
        names: of the targets.
        connect: makes each target's client.

    """

    def __init__(
        self, reactor: Any, settings: Settings, names: Iterable[str], connect: Connect = frappe_client
    ) -> None:
        self._settings = settings
        self._runs = {
            name: _dry_run(reactor, table, connect) for name, table in settings.sites.items() if name in set(names)
        }

    async def probe(self) -> dict[str, Ready]:
        """Return what each target says of itself.

        Raises:
            LinesideError: one line for each that does not answer, or turns us away.

        """
        ready: dict[str, Ready] = {}
        problems = []
        for name, run in self._runs.items():
            match await run.probe():
                case Ready() as answered:
                    ready[name] = answered
                case TargetDown() | Blocked() as failed:
                    problems.append(f"targets.{name}: {why_not(failed)}")
        if problems:
            raise LinesideError("\n".join(problems))
        return ready

    async def deliver(self, line: Rehearsed) -> dict[str, Attempt]:
        """Return what would go out for a line by its routes' names, for those that lead to one of the targets."""
        done: dict[str, Attempt] = {}
        for name, rendered in line.routes.items():
            run = self._runs.get(self._settings.target_of(self._settings.routes[name]))
            if run is not None and isinstance(rendered, Delivery):
                done[name] = await run.deliver(rendered)
        return done

    async def close(self) -> None:
        """Close all connections."""
        for run in self._runs.values():
            await run.close()


def _dry_run(reactor: Any, table: FrappeTargetSettings, connect: Connect) -> DryRun:
    return DryRun(lambda around: connect(reactor, table, around), table.id_field, table.time_zone)
