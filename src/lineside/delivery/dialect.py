"""Jinja as Lineside's templates speak it: sandboxed, and with JSON in mind. Pure."""

from __future__ import annotations

from typing import Any

from jinja2 import ChainableUndefined, StrictUndefined, Undefined, nodes
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from lineside.delivery.bounds import COUNTED, called, counted, operate, within, written
from lineside.delivery.filters import FILTERS

_GROWING = (
    "batch",
    "center",
    "format",
    "indent",
    "join",
    "replace",
    "round",
    "slice",
    "string",
    "tojson",
    "truncate",
    "urlize",
    "wordwrap",
)
"""The filters whose result may be larger than what they are given."""


class MissingField(StrictUndefined):
    """A field that the payload does not have: any use is an error that names it."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f'no field "{self._undefined_name}"'


class AbsentField(ChainableUndefined):
    """A field in a condition that the payload does not have.

    It is false, and neither equal nor ordered to anything; what is reckoned from it is absent too.
    """

    __slots__ = ()
    __hash__ = Undefined.__hash__

    def __eq__(self, other: object) -> bool:
        return False

    def _never(self, other: object) -> bool:
        return False

    def _absent(self, *_: object, **__: object) -> AbsentField:
        return self

    # Jinja declares that these never return.
    __lt__ = __le__ = __gt__ = __ge__ = _never  # type: ignore[assignment]
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _absent  # type: ignore[assignment]
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __pow__ = __rpow__ = _absent  # type: ignore[assignment]
    __neg__ = __pos__ = __call__ = _absent  # type: ignore[assignment]


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of every template.

    A dot reaches fields only, so that ``order.items`` is the payload's field and never a method of
    Python's dict; what is called, as in ``order.items()``, is the method. What can become larger than what it was
    given is reckoned first, and each record has a budget (`lineside.delivery.bounds`).
    """

    intercepted_binops = frozenset({"**", "*", "+", "%"})

    def __init__(self, undefined: type[Undefined]) -> None:
        super().__init__(undefined=undefined, autoescape=False, keep_trailing_newline=True, finalize=written)
        self.filters.update(FILTERS)
        self.filters |= {name: within(name, self.filters[name]) for name in _GROWING}
        self.filters[COUNTED] = counted
        # A payload may lack a field called "range": that has to be an error, not a function.
        self.globals.clear()
        self.globals["namespace"] = Namespace

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an entry; of a JSON object never an attribute."""
        if isinstance(obj, dict):
            try:
                return obj[argument]
            except (KeyError, TypeError):
                return self.undefined(obj=obj, name=argument)
        return super().getitem(obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Reckon with two values, if the result is not too large."""
        operate(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 (as Jinja has it)
        """Call a method or macro, if its result is not too large and the record's budget is not spent."""
        if isinstance(__obj, LoopContext) and args:
            args = (counted(__context, args[0]), *args[1:])
        args = called(__context, __obj, args, kwargs)
        return super().call(__context, __obj, *args, **kwargs)

    def parse_fields(self, source: str) -> nodes.Template:
        """Parse a template and make every dot that is not called a look-up.

        Raises:
            jinja2.TemplateSyntaxError: it is not well formed.

        """
        tree: nodes.Template = _FieldAccess().visit(self.parse(source))
        return tree


class _FieldAccess(NodeTransformer):
    # A dot becomes a look-up, and `~` joins the text that `{{ ... }}` would write.

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:
        self.generic_visit(node)
        return nodes.Getitem(node.node, nodes.Const(node.attr), node.ctx, lineno=node.lineno)

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, COUNTED, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [nodes.Filter(part, "string", [], [], None, None, lineno=part.lineno) for part in node.nodes]
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        self.generic_visit(node)
        match node.node:
            case nodes.Getitem(node=called, arg=nodes.Const(value=str(attribute))):
                node.node = nodes.Getattr(called, attribute, "load", lineno=node.lineno)
        return node
