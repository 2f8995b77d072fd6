"""Templates: what a route's configuration makes of a payload. Pure.

A template is any TOML value. Of its strings, one that is exactly one ``{{ expression }}`` keeps the
expression's type; any other with template syntax renders to a string; the rest stands for itself. What a
payload holds is only ever data: it is never read as a template, and never guessed into another type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from types import GeneratorType
from typing import Any

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateRuntimeError, TemplateSyntaxError, Undefined, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.meta import find_undeclared_variables
from msgspec import Struct

from lineside.delivery.dialect import AbsentField, MissingField, Sandbox
from lineside.delivery.filters import SITE_ZONE, BadValue
from lineside.model.event import Record
from lineside.model.wording import child_path, did_you_mean

MAX_TEXT = 1_048_576
"""Characters that one rendered text may have."""

ENVELOPE = ("id", "seq", "source", "device", "key", "received")
"""The fields of ``event``."""

_DOCUMENTS = Sandbox(MissingField)
_CONDITIONS = Sandbox(AbsentField)
_OTHER_FILES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)

_Render = Callable[[dict[str, Any]], object]


class TemplateProblem(Exception):
    """The configuration's templates are wrong; ``problems`` holds every error, each with its key path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RenderError(Exception):
    """A payload does not fit a template: its record becomes a dead letter.

    ``path`` is the template's key path, ``reason`` names fields and never holds what is in them.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class Scope(Struct, frozen=True):
    """What the templates of one record see; made once and used for all of them."""

    variables: dict[str, Any]


def scope(record: Record, payload: Mapping[str, Any], zone: tzinfo | None) -> Scope:
    """Return what templates see of a record.

    Args:
        record: gives ``event``: ``id`` (epoch-sequence), ``seq``, ``source``, ``device`` and ``key`` (text or null)
            and ``received`` (ISO 8601 text in UTC with microseconds, ending in Z).
        payload: its body, decoded. Its fields stand at top level; all of it is ``payload``, which together
            with ``event`` comes before fields of these names.
        zone: of the target, for ``site_time``; None where it is not known yet, and moments with an offset
            are then an error.

    """
    seconds, nanoseconds = divmod(record.received_ns, 1_000_000_000)
    received = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000, tzinfo=None)
    envelope = {
        "id": record.identity,
        "seq": record.seq,
        "source": record.source,
        "device": record.event.device,
        "key": record.event.key,
        "received": received.isoformat(timespec="microseconds") + "Z",
    }
    variables = {**_DOCUMENTS.globals, **payload, "payload": payload, "event": envelope, SITE_ZONE: zone}
    return Scope(variables)


class Template(Struct, frozen=True):
    """A compiled template. Has no state: it may be rendered any number of times, by any thread."""

    path: str
    _render: _Render

    def render(self, scope: Scope) -> Any:
        """Return None, a bool, int, finite float or str, or lists and dicts of these, all of them its own.

        Raises:
            RenderError: a field is missing, a filter cannot take a value, or the result is no JSON.

        """
        return self._render(scope.variables)


class Condition(Struct, frozen=True):
    """A compiled ``when``. Has no state."""

    path: str
    _render: _Render

    def holds(self, scope: Scope) -> bool:
        """Tell whether the condition holds; a missing field makes it false rather than an error.

        Raises:
            RenderError: it cannot be told, as of ``qty > 5`` where ``qty`` is text. Take such a record for
                accepted and refuse it then: to skip it would lose it in silence.

        """
        return bool(self._render(scope.variables))


def compile_template(value: object, path: str) -> Template:
    """Compile a TOML value.

    Args:
        value: text, a number, a boolean, or a table or array of these, of any depth.
        path: its key path, for errors.

    Raises:
        TemplateProblem: with every error inside the value.

    """
    problems: list[str] = []
    render = _compile(value, path, problems)
    if problems:
        raise TemplateProblem(problems)
    return Template(path, render)


def compile_condition(value: object, path: str) -> Condition:
    """Compile a condition, which is exactly one ``{{ expression }}``.

    Raises:
        TemplateProblem: with every error found.

    """
    if not isinstance(value, str):
        raise TemplateProblem([f"{path}: expected a condition such as \"{{{{ kind == 'checkin' }}}}\""])
    text = value.strip()
    problems: list[str] = []
    tree = _parse(_CONDITIONS, text, path, problems)
    if problems:
        raise TemplateProblem(problems)
    expression = _single_expression(tree)
    if expression is None:
        example = f"{{{{ {text} }}}}" if "{" not in text and text else "{{ kind == 'checkin' }}"
        raise TemplateProblem([f'{path}: expected exactly one expression, such as "{example}"'])
    evaluate = _compile_expression(_CONDITIONS, expression)
    names = _field_names(tree)

    def render(variables: dict[str, Any]) -> bool:
        with _explained(path, names):
            try:
                return bool(evaluate(variables))
            except UndefinedError:
                return False

    return Condition(path, render)


def _compile(value: object, path: str, problems: list[str]) -> _Render:
    match value:
        case str():
            return _compile_text(value, path, problems)
        case dict():
            table = {str(key): _compile(item, child_path(path, str(key)), problems) for key, item in value.items()}
            return lambda variables: {key: render(variables) for key, render in table.items()}
        case list():
            array = [_compile(item, child_path(path, index), problems) for index, item in enumerate(value)]
            return lambda variables: [render(variables) for render in array]
        case bool() | int():
            pass
        case float() if math.isfinite(value):
            pass
        case float():
            problems.append(f"{path}: {value} has no place in a document")
        case _:
            problems.append(f"{path}: a {type(value).__name__} has no place in a document; put it in quotes")
    return lambda _: value


def _compile_text(text: str, path: str, problems: list[str]) -> _Render:
    if not any(mark in text for mark in ("{{", "{%", "{#")):
        return lambda _: text
    before = len(problems)
    tree = _parse(_DOCUMENTS, text, path, problems)
    if len(problems) > before:
        return lambda _: text
    expression = _single_expression(tree)
    if expression is not None:
        evaluate = _compile_expression(_DOCUMENTS, expression)
    else:
        evaluate = _compile_output(_DOCUMENTS, tree)
    names = _field_names(tree)

    def render(variables: dict[str, Any]) -> object:
        with _explained(path, names):
            return _plain(evaluate(variables))

    return render


def _parse(sandbox: Sandbox, text: str, path: str, problems: list[str]) -> nodes.Template:
    try:
        tree = sandbox.parse_fields(text)
        problems.extend(f"{path}: {problem}" for problem in _problems(sandbox, tree))
    except TemplateSyntaxError as wrong:
        where = f"line {wrong.lineno}: " if "\n" in text else ""
        problems.append(f"{path}: {where}{wrong.message}")
        return nodes.Template([])
    except RecursionError:
        problems.append(f"{path}: the template is nested too deeply")
        return nodes.Template([])
    return tree


def _problems(sandbox: Sandbox, tree: nodes.Template) -> list[str]:
    # Jinja itself would find some of these only while it renders.
    problems = []
    for word, kind, known in (("filter", nodes.Filter, sandbox.filters), ("test", nodes.Test, sandbox.tests)):
        unknown = dict.fromkeys(node.name for node in tree.find_all(kind) if node.name not in known)
        problems += [f'unknown {word} "{name}"{did_you_mean(name, known)}' for name in unknown]
    if any(True for _ in tree.find_all(_OTHER_FILES)):
        problems.append("a template cannot read other templates")
    if problems:
        return problems
    free = find_undeclared_variables(tree) - sandbox.globals.keys()
    called = dict.fromkeys(
        call.node.name for call in tree.find_all(nodes.Call) if isinstance(call.node, nodes.Name)
    )
    problems += [_unknown_function(sandbox, name) for name in called if name in free]
    if not any(name.name == "event" and name.ctx != "load" for name in tree.find_all(nodes.Name)):
        problems += [
            f'event has no field "{field}"{did_you_mean(field, ENVELOPE)}'
            for field in dict.fromkeys(_envelope_fields(tree))
            if field not in ENVELOPE
        ]
    return problems


def _unknown_function(sandbox: Sandbox, name: str) -> str:
    advice = f"; it is a filter: write value | {name}" if name in sandbox.filters else ""
    return f'unknown function "{name}"{advice}'


def _envelope_fields(tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all(nodes.Getitem):
        match node:
            case nodes.Getitem(node=nodes.Name(name="event"), arg=nodes.Const(value=str(field))):
                yield field


def _single_expression(tree: nodes.Template) -> nodes.Expr | None:
    match tree.body:
        case [nodes.Output(nodes=[nodes.TemplateData()])]:
            return None
        case [nodes.Output(nodes=[expression])]:
            return expression
    return None


def _compile_expression(sandbox: Sandbox, expression: nodes.Expr) -> _Render:
    if isinstance(expression, nodes.Name):
        # Most of what documents are made of: it needs none of Jinja's set-up.
        name = expression.name
        return lambda variables: variables[name] if name in variables else sandbox.undefined(name=name)
    assign = nodes.Assign(nodes.Name("result", "store"), expression, lineno=1)
    template = sandbox.from_string(nodes.Template([assign], lineno=1))

    def evaluate(variables: dict[str, Any]) -> object:
        context = template.new_context(variables, shared=True)
        for _ in template.root_render_func(context):
            pass
        return context.vars["result"]

    return evaluate


def _compile_output(sandbox: Sandbox, tree: nodes.Template) -> _Render:
    template: JinjaTemplate = sandbox.from_string(tree)

    def evaluate(variables: dict[str, Any]) -> object:
        return "".join(template.root_render_func(template.new_context(variables, shared=True)))

    return evaluate


def _field_names(tree: nodes.Template) -> dict[str, str]:
    # From the last part of each field path to the whole: an undefined value knows only how it was looked up last.
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


@contextmanager
def _explained(path: str, names: Mapping[str, str]) -> Iterator[None]:
    # Python's own messages may quote the payload; only those that cannot are passed on.
    try:
        yield
    except BadValue as wrong:
        raise RenderError(path, str(wrong)) from wrong
    except UndefinedError as missing:
        raise RenderError(path, _name_missing(str(missing), names)) from missing
    except (TypeError, ZeroDivisionError, SecurityError) as wrong:
        raise RenderError(path, str(wrong)) from wrong
    except (TemplateRuntimeError, ArithmeticError, LookupError, ValueError, AttributeError) as wrong:
        raise RenderError(path, f"the template cannot take this value ({type(wrong).__name__})") from wrong
    except (RecursionError, MemoryError) as wrong:
        raise RenderError(path, "the result is too large") from wrong


def _name_missing(message: str, names: Mapping[str, str]) -> str:
    if not message.startswith('no field "'):
        return message
    name = message.removeprefix('no field "').removesuffix('"')
    return f"no field {names[name]}" if name in names else "something that is looked up by its value does not exist"


def _plain(value: object) -> object:
    match value:
        case None | bool() | int():
            return value
        case float():
            if not math.isfinite(value):
                raise BadValue("the number is too large")
            return value
        case str():
            return _plain_text(value)
        case Undefined():
            value._fail_with_undefined_error()
        case Mapping():
            return {_plain_key(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | GeneratorType():
            return [_plain(item) for item in value]
    raise BadValue(f"the result is a {type(value).__name__}, which has no place in a document")


def _plain_text(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise BadValue(f"the text has more than {MAX_TEXT:,} characters")
    try:
        text.encode()
    except UnicodeEncodeError as wrong:
        raise BadValue("the text is no Unicode: it holds half of a surrogate pair") from wrong
    return str.__str__(text)


def _plain_key(key: object) -> str:
    if not isinstance(key, str):
        raise BadValue(f"a key of the result is a {type(key).__name__}; keys are text")
    return _plain_text(key)
