"""Templates: what a route's configuration makes of a payload. Pure.

A template is any TOML value. Of its strings, one that is exactly one ``{{ expression }}`` keeps the
expression's type; any other with template syntax renders to a string; the rest stands for itself. What a
payload holds is only ever data: it is never read as a template, and never guessed into another type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo
from typing import Any

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateRuntimeError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from msgspec import Struct

from lineside.delivery.bounds import BUDGET, Budget
from lineside.delivery.dialect import AbsentField, MissingField, Sandbox
from lineside.delivery.faults import faults, field_names, name_missing
from lineside.delivery.filters import SITE_ZONE, BadValue
from lineside.delivery.results import MAX_TEXT, plain
from lineside.model.event import Record
from lineside.model.moments import utc_text
from lineside.model.wording import child_path

_DOCUMENTS = Sandbox(MissingField)
_CONDITIONS = Sandbox(AbsentField)
_Render = Callable[[dict[str, Any]], object]


class TemplateProblem(Exception):
    """The configuration's templates are wrong; ``problems`` holds every error, each with its key path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RenderError(Exception):
    """A payload does not fit a template: its record becomes a dead letter.

    ``path`` is the template's key path, ``reason`` names fields and never holds what is in them; ``missing`` says
    that the payload lacks a field.
    """

    def __init__(self, path: str, reason: str, *, missing: bool = False) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
        self.missing = missing


class Scope(Struct, frozen=True):
    """What the templates of one record see; made once and used for all of them."""

    variables: dict[str, Any]


def scope(record: Record, payload: Mapping[str, Any], zone: tzinfo | None) -> Scope:
    """Return what templates see of a record.

    Args:
        record: gives ``event``: ``id`` (run-sequence), ``seq``, ``source``, ``device`` and ``key`` (text or null)
            and ``received`` (ISO 8601 text in UTC with microseconds, ending in Z).
        payload: its body, decoded. Its fields stand at top level; all of it is ``payload``, which together
            with ``event`` comes before fields of these names.
        zone: of the target, for ``site_time``; None where it is not known yet, and moments with an offset
            are then an error.

    """
    envelope = {
        "id": record.identity,
        "seq": record.seq,
        "source": record.source,
        "device": record.event.device,
        "key": record.event.key,
        "received": utc_text(record.received_ns, "microseconds"),
    }
    variables = {**_DOCUMENTS.globals, **payload, "payload": payload, "event": envelope, SITE_ZONE: zone}
    variables[BUDGET] = Budget()
    return Scope(variables)


def scope_of(variables: Mapping[str, Any], zone: tzinfo | None = None) -> Scope:
    """Return what templates see where there is no record: these variables, at top level."""
    return Scope({**_DOCUMENTS.globals, **variables, SITE_ZONE: zone, BUDGET: Budget()})


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


def compile_template(value: object, path: str, longest: int = MAX_TEXT) -> Template:
    """Compile a TOML value.

    Args:
        value: text, a number, a boolean, or a table or array of these, of any depth.
        path: its key path, for errors.
        longest: characters that a text in the result may have.

    Raises:
        TemplateProblem: with every error inside the value.

    """
    problems: list[str] = []
    render = _compile(value, path, problems, longest)
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
    names = field_names(tree)

    def render(variables: dict[str, Any]) -> bool:
        with _explained(path, names):
            try:
                return bool(evaluate(variables))
            except UndefinedError:
                return False

    return Condition(path, render)


def _compile(value: object, path: str, problems: list[str], longest: int) -> _Render:
    match value:
        case str():
            return _compile_text(value, path, problems, longest)
        case dict():
            table = {
                str(key): _compile(item, child_path(path, str(key)), problems, longest)
                for key, item in value.items()
            }
            return lambda variables: {key: render(variables) for key, render in table.items()}
        case list():
            array = [_compile(item, child_path(path, index), problems, longest) for index, item in enumerate(value)]
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


def _compile_text(text: str, path: str, problems: list[str], longest: int) -> _Render:
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
    names = field_names(tree)

    def render(variables: dict[str, Any]) -> object:
        with _explained(path, names):
            return plain(evaluate(variables), longest)

    return render


def _parse(sandbox: Sandbox, text: str, path: str, problems: list[str]) -> nodes.Template:
    try:
        tree = sandbox.parse_fields(text)
        problems.extend(f"{path}: {problem}" for problem in faults(sandbox, tree))
    except TemplateSyntaxError as wrong:
        where = f"line {wrong.lineno}: " if "\n" in text else ""
        problems.append(f"{path}: {where}{wrong.message}")
        return nodes.Template([])
    except RecursionError:
        problems.append(f"{path}: the template is nested too deeply")
        return nodes.Template([])
    except ValueError:
        # Python reads no number of more than 4,300 digits, and Jinja lets it say so.
        problems.append(f"{path}: a number has too many digits")
        return nodes.Template([])
    return tree


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


@contextmanager
def _explained(path: str, names: Mapping[str, str]) -> Iterator[None]:
    # Python's own messages may quote the payload; only those that cannot are passed on.
    try:
        yield
    except BadValue as wrong:
        raise RenderError(path, str(wrong)) from wrong
    except UndefinedError as missing:
        raise RenderError(path, name_missing(str(missing), names), missing=True) from missing
    except (TypeError, ZeroDivisionError, SecurityError) as wrong:
        raise RenderError(path, str(wrong)) from wrong
    except (TemplateRuntimeError, ArithmeticError, LookupError, ValueError, AttributeError) as wrong:
        raise RenderError(path, f"the template cannot take this value ({type(wrong).__name__})") from wrong
    except (RecursionError, MemoryError) as wrong:
        raise RenderError(path, "the result is too large") from wrong
