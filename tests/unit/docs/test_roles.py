"""The page of roles has a line for everything that can be asked, and says of each what the code says."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
from tests.rig.role_table import LOCAL, PAGE, ROLES, commands, table
from twisted.trial.unittest import SynchronousTestCase

from lineside import cli
from lineside.edges.websocket.access import OWN
from lineside.operations.requests import AnyRequest
from lineside.security.identity import ROLES as PERMISSIONS

KINDS = {kind.__name__: kind for kind in get_args(AnyRequest)}


def every_command(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield each command that is no group, by its whole name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from every_command(found, *path, name)
        else:
            yield " ".join((*path, name)), found


def can_ask(command: click.Command) -> set[str]:
    """Return the operations that a command's functions name, as far as its own module goes."""
    assert command.callback is not None
    function = inspect.unwrap(command.callback)
    parsed = ast.parse(Path(inspect.getfile(function)).read_text(encoding="utf-8"))
    named = {
        node.name: {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        for node in parsed.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    seen: set[str] = set()
    follow = [function.__name__]
    while follow:
        name = follow.pop()
        if name not in seen:
            seen.add(name)
            follow.extend(named.get(name, ()))
    return {str(KINDS[name].__struct_config__.tag) for name in seen & KINDS.keys()}


class ThePage(SynchronousTestCase):
    """docs/reference/roles.md."""

    def test_operations(self) -> None:
        """Every operation has its line, with its permission and the roles that have it; the local user has all."""
        rows = table("Operations")
        needs = {str(kind.__struct_config__.tag): kind.permission for kind in KINDS.values()}
        self.assertEqual(set(rows), set(needs.items()))
        for (name, permission), row in rows.items():
            may = {role for role, word in row.may.items() if word == "yes"}
            having = {role for role, has in PERMISSIONS.items() if permission in has}
            self.assertEqual(may, {*having, LOCAL}, name)
            self.assertLessEqual(set(row.may.values()), {"yes", "no"})

    def test_permissions(self) -> None:
        """Each role's permissions are told."""
        text = PAGE.read_text(encoding="utf-8")
        for role, permissions in PERMISSIONS.items():
            (line,) = (line for line in text.splitlines() if line.startswith(f"| `{role}` | "))
            told = {word.strip(" `") for word in line.rstrip(" |").rpartition("|")[2].split(",")} - {"none"}
            self.assertEqual(told, permissions, role)
        self.assertEqual(set(ROLES), {*PERMISSIONS, LOCAL})

    def test_channels(self) -> None:
        """Every namespace has its lines."""
        told = {what.partition(":")[0] for what, _ in table("Channels")}
        self.assertEqual(told, {*OWN, "frappe", "CHANNEL"})

    def test_commands(self) -> None:
        """Every command has its line, which names nothing that it does not ask, and no operation is left out."""
        told, found = commands(), dict(every_command(cli.commands))
        self.assertEqual(set(told), set(found))
        for name, asks in told.items():
            reach = can_ask(found[name])
            self.assertLessEqual(asks, reach, name)
            self.assertEqual(bool(asks), bool(reach), name)
        asked = set[str]().union(*told.values())
        self.assertEqual(asked, set[str]().union(*map(can_ask, found.values())))
