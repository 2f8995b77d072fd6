"""The typed operations as endpoints: a request's fields are the path's, the query's and the body's parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from lineside.operations.registry import Operations
from lineside.operations.requests import Number, Request
from lineside.operations.web import JSON, Answer, Call, Endpoint, Parameter, Problem, Reply

encode = msgspec.json.Encoder().encode


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


decode = msgspec.json.Decoder(float_hook=_number).decode
"""Reads 2.0 as a whole number, which it is in JSON Schema."""


def asked(
    operations: Operations,
    method: Literal["GET", "POST"],
    path: str,
    request: type[Request[Any]],
    *,
    tag: str,
    fixed: Mapping[str, str] | None = None,
    one: str | None = None,
    further: Mapping[int, str] | None = None,
) -> Endpoint:
    """Return the endpoint that carries out ``request``.

    A field whose name is in the path is taken from there; the others are the query's of a GET, and members of the
    JSON body of a POST. Their names are the request's own.

    Args:
        operations: carry it out.
        method: GET for what changes nothing.
        path: names fields in braces.
        request: the operation; its docstring is the description's summary.
        tag: under what the description lists it.
        fixed: fields that this path stands for.
        one: a field of a list of ids; the path names a single one, as ``{id}``, and no other field is asked for.
        further: what else may be answered, by its status.

    """
    given = dict(fixed or {})
    fields = {field.encode_name: field for field in msgspec.structs.fields(request) if field.name not in given}
    if one is not None:
        fields = {}
    in_path = {name for name in fields if f"{{{name}}}" in path}
    rest = {name: field for name, field in fields.items() if name not in in_path}
    members = f"{request.__name__}Body" if method == "POST" and rest else None
    body = None
    if members:
        body = msgspec.defstruct(
            members,
            [
                (field.name, field.type) if field.required else (field.name, field.type, _left_out(field))
                for field in rest.values()
            ],
            forbid_unknown_fields=True,
        )
    written = msgspec.defstruct(
        f"{request.__name__}Parameters",
        [
            (name, _without_none(field.type) | msgspec.UnsetType, msgspec.UNSET)
            for name, field in fields.items()
            if body is None or name in in_path
        ],
    )
    parameters = tuple(
        Parameter(
            name,
            "path" if name in in_path else "query",
            _schema(field),
            required=name in in_path or field.required,
        )
        for name, field in fields.items()
        if name in in_path or method == "GET"
    )
    if one is not None:
        parameters = (Parameter("id", "path", msgspec.json.schema(Number), required=True),)
    summary = (request.__doc__ or "").strip()

    async def answer(call: Call) -> Answer:
        values: dict[str, Any] = dict(given)
        try:
            if one is None:
                parameters = msgspec.convert({**call.path, **call.query}, written, strict=False)
                values |= msgspec.structs.asdict(parameters)
            else:
                values[one] = [msgspec.convert(call.path["id"], Number, strict=False)]
        except msgspec.ValidationError as wrong:
            raise Problem(400, _told(str(wrong))) from wrong
        try:
            if body is not None and call.body:
                members = msgspec.convert(decode(call.body), body)
                values |= {name: getattr(members, name) for name in rest}
            wanted = msgspec.convert(
                {name: each for name, each in values.items() if each is not msgspec.UNSET}, request
            )
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            raise Problem(422 if body is not None else 400, _told(str(wrong))) from wrong
        return Answer(200, encode(await operations.call(wanted, call.identity, call.where)))

    return Endpoint(
        method,
        path,
        _name(request, given.values(), one),
        summary.partition("\n")[0].rstrip("."),
        request.permission,
        answer,
        parameters=parameters,
        takes={} if body is None else {JSON: body},
        replies={
            200: Reply("Done." if method == "POST" else "As asked.", {JSON: request.result}),
            **{status: Reply(what) for status, what in (further or {}).items()},
        },
        tag=tag,
    )


def _name(request: type[Request[Any]], given: Iterable[str], one: str | None) -> str:
    parts = [str(request.__struct_config__.tag).replace(".", "_"), *given]
    return "_".join(parts if one is None else [*parts, "one"])


def _left_out(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default


def _schema(field: msgspec.structs.FieldInfo) -> Mapping[str, Any]:
    schema = msgspec.json.schema(field.type)
    if "anyOf" in schema:
        # A parameter that is absent is None; it cannot be sent.
        kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
        schema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    if not field.required and field.default not in {None, msgspec.NODEFAULT}:
        schema = {**schema, "default": field.default}
    return schema


def _without_none(kind: Any) -> Any:
    # A parameter is text: it can be left out, but "null" is no value of it.
    if get_origin(kind) not in {Union, UnionType}:
        return kind
    return Union[tuple(part for part in get_args(kind) if part is not NoneType)]  # noqa: UP007 (not known here)


def _told(wrong: str) -> str:
    return wrong.replace("`$.", "`").replace("Object missing", "missing").replace(" - at `$`", "")
