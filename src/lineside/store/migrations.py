"""Each component's tables, brought up to date when the database is opened."""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection

from msgspec import Struct

from lineside.model.errors import JournalUnusable

Step = str | Callable[[Connection], None]
"""A statement, or what a statement cannot say."""


class Component(Struct, frozen=True):
    """One component's schema; ``versions[n]`` holds the steps that lead from version n to n + 1."""

    name: str
    versions: tuple[tuple[Step, ...], ...]


def migrate(connection: Connection, components: tuple[Component, ...]) -> None:
    """Bring every component to its newest version, in one transaction.

    Raises:
        JournalUnusable: a component's tables are newer than this release knows.

    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS component (name TEXT PRIMARY KEY, version INTEGER NOT NULL)")
        present = dict(connection.execute("SELECT name, version FROM component"))
        for component in components:
            version = present.get(component.name, 0)
            if version > len(component.versions):
                raise JournalUnusable(
                    f"the journal's {component.name} tables have version {version}; "
                    f"this release knows {len(component.versions)}: install a newer Lineside"
                )
            for steps in component.versions[version:]:
                for step in steps:
                    if isinstance(step, str):
                        connection.execute(step)
                    else:
                        step(connection)
            connection.execute(
                "INSERT OR REPLACE INTO component (name, version) VALUES (?, ?)",
                (component.name, len(component.versions)),
            )
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
