"""What is wrong with a template, and which field it misses, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jinja2 import nodes
from jinja2.meta import find_undeclared_variables

from lineside.delivery.dialect import Sandbox
from lineside.model.wording import did_you_mean

ENVELOPE = ("id", "seq", "source", "device", "key", "received")
"""The fields of ``event``."""


def faults(sandbox: Sandbox, tree: nodes.Template) -> list[str]:
    """Return what is wrong with a template that parses; Jinja would find some of it only while it renders."""
    found = []
    for word, kind, known in (("filter", nodes.Filter, sandbox.filters), ("test", nodes.Test, sandbox.tests)):
        unknown = dict.fromkeys(node.name for node in tree.find_all(kind) if node.name not in known)
        found += [f'unknown {word} "{name}"{did_you_mean(name, known)}' for name in unknown]
    if any(True for _ in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends))):
        found.append("a template cannot read other templates")
    if found:
        return found
    free = find_undeclared_variables(tree) - sandbox.globals.keys()
    called = dict.fromkeys(
        call.node.name for call in tree.find_all(nodes.Call) if isinstance(call.node, nodes.Name)
    )
    found += [_unknown_function(sandbox, name) for name in called if name in free]
    if not any(name.name == "event" and name.ctx != "load" for name in tree.find_all(nodes.Name)):
        found += [
            f'event has no field "{field}"{did_you_mean(field, ENVELOPE)}'
            for field in dict.fromkeys(_envelope_fields(tree))
            if field not in ENVELOPE
        ]
    return found


def _unknown_function(sandbox: Sandbox, name: str) -> str:
    advice = f"; it is a filter: write value | {name}" if name in sandbox.filters else ""
    return f'unknown function "{name}"{advice}'


def _envelope_fields(tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all(nodes.Getitem):
        match node:
            case nodes.Getitem(node=nodes.Name(name="event"), arg=nodes.Const(value=str(field))):
                yield field


def field_names(tree: nodes.Template) -> dict[str, str]:
    """Return, by its last part, each field path of a template: an undefined value knows only its last part."""
    paths: dict[str, list[str]] = {}
    for node in tree.find_all((nodes.Name, nodes.Getitem)):
        path = _path(node)
        if path:
            paths.setdefault(path[-1], []).append(".".join(path[1:] if path[0] == "payload" and path[1:] else path))
    return {last: " or ".join(f'"{path}"' for path in dict.fromkeys(whole)) for last, whole in paths.items()}


def _path(node: nodes.Node) -> list[str]:
    match node:
        case nodes.Name(name=name):
            return [name]
        case nodes.Getitem(node=parent, arg=nodes.Const(value=str() | int() as part)):
            path = _path(parent)
            return [*path, str(part)] if path else []
    return []


def name_missing(message: str, names: Mapping[str, str]) -> str:
    """Return what `MissingField` said, with the whole path instead of its last part."""
    if not message.startswith('no field "'):
        return message
    name = message.removeprefix('no field "').removesuffix('"')
    return f"no field {names[name]}" if name in names else "something that is looked up by its value does not exist"
