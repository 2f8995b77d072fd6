"""What rendering one record's templates may cost: a payload must not make a template hold everything else up. Pure.

Templates are the configuration's, but the numbers and texts in them are the devices': of the width in
``{{ code | center(width) }}`` a device may say that it is a milliard. So what can grow beyond what it was given is
reckoned before it is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context
from jinja2.utils import _PassArg

from lineside.delivery.filters import LARGEST, BadValue, as_text

BUDGET = "what may still be spent"
"""The context's entry that holds the `Budget`; no template can spell this name."""
COUNTED = "counted turns"
"""The filter around what a loop goes through; no template can spell this name either."""
MOST = 100_000
"""Steps for one record, all of its templates together: a turn of a loop is one, and so are 512 characters."""
_CALL = 10
"""Steps that a call counts as."""
LONGEST_NUMBER = 8192
"""Bits of a whole number that is reckoned; 2,466 digits."""
_PLACES = 400
"""No float has so many digits before or after its point, and no reader wants a deeper indent."""
_SPECIFIED = re.compile(r"\d+")
TOO_LARGE = "the result is too large"


class Budget:
    """What is left for one record. Its templates share it, so many small ones are no way around."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST

    def spend(self, much: int) -> None:
        """Take so much of it.

        Raises:
            BadValue: there is not so much left.

        """
        self.left -= much
        if self.left < 0:
            raise BadValue("the template takes too many steps for one event")


def spend(context: Context, much: int) -> None:
    """Take so much of what a context's record may cost; see `Budget.spend`."""
    budget = context.parent.get(BUDGET)
    if budget is not None:
        budget.spend(much)


@pass_context
def counted(context: Context, value: Iterable[Any]) -> Iterator[Any]:
    """Go through ``value`` as far as the record's budget goes."""
    for each in value:
        spend(context, 1)
        yield each


@pass_context
def written(context: Context, value: object) -> str:
    """Return what a value reads in a text, as `as_text`, within the budget."""
    text = as_text(value)
    spend(context, len(text) >> 9)
    return text


def operate(operator: str, left: Any, right: Any) -> None:
    """Reckon what ``*``, ``**``, ``+`` or ``%`` would result in, before it is done.

    Raises:
        BadValue: more than anything may have.

    """
    numbers = isinstance(left, int) and isinstance(right, int)
    if operator == "**":
        if numbers and right > 0 and left.bit_length() * right > LONGEST_NUMBER:
            raise BadValue(TOO_LARGE)
    elif operator == "*":
        if numbers:
            _fits(left.bit_length() + right.bit_length(), LONGEST_NUMBER)
        elif isinstance(left, int) and isinstance(right, str | bytes | list | tuple):
            _fits(len(right) * left)
        elif isinstance(right, int) and isinstance(left, str | bytes | list | tuple):
            _fits(len(left) * right)
    elif operator == "+":
        if isinstance(left, str | bytes | list | tuple) and isinstance(right, str | bytes | list | tuple):
            _fits(len(left) + len(right))
    elif operator == "%" and isinstance(left, str | bytes):
        _formats(left if isinstance(left, str) else left.decode("latin-1"), "*")


def within(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that does what ``work`` does, once it is reckoned that the result is not too large."""
    passes = _PassArg.from_obj(work)

    @pass_context
    @wraps(work)
    def bounded(context: Context, value: Any, *args: Any, **options: Any) -> Any:
        given = (*args, *options.values())
        if isinstance(value, str | bytes):
            if name == "format":
                _formats(str(value), "*")
            else:
                _grows(name, value, given)
        for each in given:
            if isinstance(each, int):
                _fits(abs(each), _PLACES if name in {"round", "tojson"} else LARGEST)
                spend(context, abs(each) if name in {"slice", "batch"} else abs(each) >> 9)
        first: tuple[Any, ...] = ()
        if passes is _PassArg.context:
            first = (context,)
        elif passes is _PassArg.eval_context:
            first = (context.eval_ctx,)
        elif passes is _PassArg.environment:
            first = (context.environment,)
        result = work(*first, value, *args, **options)
        if isinstance(result, str):
            spend(context, len(result) >> 9)
        return result

    # Jinja looks at what is wrapped for what to pass; it is the context here whatever it was there.
    bounded.jinja_pass_arg = _PassArg.context  # type: ignore[attr-defined]
    return bounded


def called(context: Context, work: Any, args: tuple[Any, ...], options: Mapping[str, Any]) -> tuple[Any, ...]:
    """Reckon what a call would cost; return its arguments, those of ``join`` read.

    Raises:
        BadValue: too much.

    """
    spend(context, _CALL)
    method = getattr(work, "__wrapped__", work)
    text, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
    if not isinstance(text, str | bytes):
        if name == "to_bytes" and isinstance(text, int):
            for each in (*args, *options.values()):
                _fits(each if isinstance(each, int) else 0)
        return args
    given = (*args, *options.values())
    for each in given:
        if isinstance(each, int):
            _fits(abs(each))
            spend(context, abs(each) >> 9)
    if name in {"format", "format_map"}:
        _formats(str(text), "")
        # A width may be any argument, however deep inside.
        if "{" in re.sub(r"{[^{}]*}", "", str(text)):
            raise BadValue("a format takes its width from a value")
    elif name == "join" and args:
        return (_joined(text, args[0]), *args[1:])
    else:
        _grows(name, text, given)
    return args


def _grows(name: str, text: str | bytes, given: tuple[Any, ...]) -> None:
    size = len(text)
    ints = [abs(each) for each in given if isinstance(each, int)]
    texts = [each for each in given if isinstance(each, str | bytes)]
    if name == "replace" and len(texts) > 1:
        old, new = texts[:2]
        places = size + 1 if not old else text.count(old) if type(old) is type(text) else 0  # type: ignore[arg-type]
        _fits(size + places * len(new))
    elif name == "translate":
        most = (
            max((len(each) for each in given[0].values() if isinstance(each, str)), default=1)
            if (given and isinstance(given[0], Mapping))
            else 1
        )
        _fits(size * max(most, 1))
    elif name == "wordwrap":
        _fits(size + (size + 1) * max(map(len, texts), default=1))
    elif name in {"indent", "expandtabs"}:
        mark = "\n" if name == "indent" else "\t"
        places = str(text).count(mark) + 1
        _fits(size + places * max([*ints, *map(len, texts)], default=8))
    else:
        _fits(size + max(ints, default=0))


def _joined(between: str | bytes, parts: Any) -> list[Any]:
    size, read = 0, []
    for part in parts:
        size += len(between) + (len(part) if isinstance(part, str | bytes) else 0)
        _fits(size)
        read.append(part)
    return read


def _formats(form: str, from_values: str) -> None:
    if from_values and re.search(r"%[^a-zA-Z%]*\*", form):
        raise BadValue("a format takes its width from a value")
    # Widths add up.
    _fits(sum(int(digits) if len(digits) < 9 else LARGEST + 1 for digits in _SPECIFIED.findall(form)))


def _fits(size: int, most: int = LARGEST) -> None:
    if size > most:
        raise BadValue(TOO_LARGE)
