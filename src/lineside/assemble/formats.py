"""What stands in a frame: ``format`` of a source, and ``[formats.NAME]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from lineside.assemble.complaints import kind, not_listed
from lineside.assemble.table import Table
from lineside.assemble.values import Shape, Surroundings, in_tuple
from lineside.model.wording import did_you_mean
from lineside.wire.decoding import encoding_problem
from lineside.wire.pattern import compile_pattern


def _name(value: str) -> str:
    if not re.fullmatch(r'[^.{}\s"]+', value):
        raise ValueError(f"{value!r} is no field name: it has no dots, white space, quotation marks and braces")
    return value


Name = Annotated[str, AfterValidator(_name), Shape("field name")]


def _encoding(value: str) -> str:
    if problem := encoding_problem(value):
        raise ValueError(problem)
    return value


def _columns(values: tuple[str, ...]) -> tuple[str, ...]:
    named = [value for value in values if value]
    if not named:
        raise ValueError("at least one column has a name")
    for value in named:
        _name(value)
        if named.count(value) > 1:
            raise ValueError(f'"{value}" stands here twice')
    return values


def _pattern(value: str) -> str:
    compile_pattern(value)
    return value


class JsonFormat(Table):
    """``type = "json"``."""

    type: Literal["json"] = Field(description="One JSON object in UTF-8. There is nothing else to say about it.")


class _Text(Table):
    encoding: Annotated[str, AfterValidator(_encoding), Shape("encoding")] = Field(
        default="utf-8",
        description=(
            "How text is written: `utf-8`, `utf-8-sig` (a byte order mark may come first), `cp1252`, `latin-1`, or "
            "any other that Python knows and that writes ASCII as it is. A frame of other bytes becomes a dead "
            "letter."
        ),
    )


class _Fields(_Text):
    types: Annotated[dict[str, Literal["int", "decimal", "bool"]], Shape("table, by field")] = Field(
        default={},
        description=(
            "Fields that are no text: `int` (18 digits at most), `decimal` (15 digits at most) or `bool` "
            "(`1`, `true`, `yes`, `y`, `on`, `t` and their opposites, in capitals too). Empty ones are null. All "
            "other fields stay text, letter by letter: `00123` and `10E5` are codes."
        ),
    )
    decimal: Literal[".", ","] = Field(default=".", description="The decimal mark of the device's numbers.")

    @property
    def names(self) -> tuple[str, ...] | None:
        """The fields that each event has; None where the device names them."""
        return None

    @model_validator(mode="after")
    def _types_of_fields(self) -> Self:
        for name in self.types:
            if self.names is not None and name not in self.names:
                raise ValueError(f'types has "{name}", which is no field{did_you_mean(name, self.names)}')
        return self


class CsvFormat(_Fields):
    """``type = "csv"``: values with a delimiter between them."""

    type: Literal["csv"] = Field(description="Values with a delimiter between them.")
    columns: Annotated[
        tuple[str, ...],
        BeforeValidator(in_tuple),
        Field(min_length=1),
        AfterValidator(_columns),
        Shape("array of field names"),
    ] = Field(
        description=(
            'The columns\' names, in their order; one named `""` is left out. A frame with more or fewer becomes '
            "a dead letter."
        )
    )
    delimiter: Annotated[str, Field(min_length=1, max_length=1), Shape("character")] = Field(
        default=",", description="What stands between values, such as `;` or `\\t`."
    )
    quotechar: Annotated[str, Field(max_length=1), Shape("character")] = Field(
        default='"',
        description=(
            "What stands around values that hold the delimiter; inside, twice for once. Empty where the device "
            "knows no such mark."
        ),
    )
    strip: bool = Field(default=False, description="Whether white space around values is cut off.")

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that each event has."""
        return tuple(column for column in self.columns if column)


class KeyValueFormat(_Fields):
    """``type = "keyvalue"``: pairs of a key and a value."""

    type: Literal["keyvalue"] = Field(
        description="Pairs of a key and a value, such as `ITEM=4711;QTY=5`. The keys are the fields' names."
    )
    delimiter: Annotated[str, Field(min_length=1, max_length=8)] = Field(
        default=";", description="What stands between pairs. After the last one it may stand, too."
    )
    assign: Annotated[str, Field(min_length=1, max_length=8)] = Field(
        default="=", description="What stands between a key and its value."
    )
    quotechar: Annotated[str, Field(max_length=1), Shape("character")] = Field(
        default='"',
        description=(
            "What stands around values that hold the delimiter; inside, twice for once. Empty where the device "
            "knows no such mark."
        ),
    )


class RegexFormat(_Fields):
    """``type = "regex"``: what a regular expression takes apart."""

    type: Literal["regex"] = Field(description="What a regular expression takes apart.")
    pattern: Annotated[str, Field(max_length=2_000), AfterValidator(_pattern), Shape("regular expression")] = Field(
        description=(
            "Matches a whole frame, in [Python's syntax](https://docs.python.org/3/library/re.html). Each named "
            "group, `(?P<name>...)`, is a field; one that took no part is null. A frame that it does not match "
            "becomes a dead letter."
        )
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that each event has."""
        return tuple(compile_pattern(self.pattern).groupindex)


class FixedColumn(Table):
    """A column of ``type = "fixed"``."""

    name: Name = Field(description="The field's name.")
    width: int = Field(ge=1, le=65_536, description="How many characters it has.")
    start: Annotated[int, Field(ge=1, le=16_777_216)] | None = Field(
        default=None, description="Its first character, counted from 1. Default: where the column before it ends."
    )


class FixedFormat(_Fields):
    """``type = "fixed"``: columns at fixed places."""

    type: Literal["fixed"] = Field(description="Columns at fixed places.")
    columns: Annotated[
        tuple[FixedColumn, ...], BeforeValidator(in_tuple), Field(min_length=1), Shape("array of tables")
    ] = Field(description="The columns; see below. What no column covers is left out.")
    length: Annotated[int, Field(ge=1, le=16_777_216)] | None = Field(
        default=None,
        description=(
            "How many characters a frame has; another becomes a dead letter. Default: as many as the columns need, "
            "or more."
        ),
    )
    strip: bool = Field(default=True, description="Whether spaces around values are cut off.")
    pad: bool = Field(
        default=False,
        description=(
            "Whether a shorter frame is taken as if spaces filled it up, for devices that leave out those at its "
            "end. Otherwise it becomes a dead letter: it may have been cut."
        ),
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that each event has."""
        return tuple(column.name for column in self.columns)

    @field_validator("columns")
    @classmethod
    def _distinct(cls, columns: tuple[FixedColumn, ...]) -> tuple[FixedColumn, ...]:
        _columns(tuple(column.name for column in columns))
        return columns


class RawFormat(_Text):
    """``type = "raw"``: the frame as it is."""

    type: Literal["raw"] = Field(description="The frame as it is, in one field.")
    field: Name = Field(default="data", description="The field's name.")
    form: Literal["text", "base64", "hex"] = Field(
        default="text",
        description="As what the frame stands there: its text, or its bytes as Base64 or hexadecimal digits.",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that each event has."""
        return (self.field,)


FORMATS: dict[str, type[Table]] = {
    "json": JsonFormat,
    "csv": CsvFormat,
    "keyvalue": KeyValueFormat,
    "regex": RegexFormat,
    "fixed": FixedFormat,
    "raw": RawFormat,
}
"""The formats, by ``type``."""
FormatSettings = JsonFormat | CsvFormat | KeyValueFormat | RegexFormat | FixedFormat | RawFormat


def named_table(value: object, what: str, kinds: Mapping[str, object], named: Mapping[str, object]) -> object:
    """Return the table that a name stands for; tables, and what was read already, stay as they are.

    Raises:
        ValueError: nothing has this name.

    """
    if isinstance(value, dict | Table):
        return value
    if not isinstance(value, str):
        raise ValueError(f'expected a name such as "{next(iter(kinds))}", or a table, got {kind(value)}')
    if value in named:
        return named[value]
    if value in kinds:
        return {"type": value}
    raise ValueError(not_listed(what, value, [*kinds, *named]))


def _format(value: object, info: ValidationInfo) -> object:
    assert isinstance(info.context, Surroundings)
    return named_table(value, "format", FORMATS, info.context.formats)


Format = Annotated[
    Annotated[FormatSettings, Field(discriminator="type")], BeforeValidator(_format), Shape("name or table")
]
"""``format = "json"``, the name of a table ``[formats.NAME]``, or such a table itself."""


def unknown_field(path: str, settings: FormatSettings) -> str | None:
    """Return what is wrong with a field path into the events of a format, or None where it may be right."""
    names = None if isinstance(settings, JsonFormat) else settings.names
    if names is None or path in names:
        return None
    known = ", ".join(names)
    return f'the format {settings.type} has no field "{path}"{did_you_mean(path, names)}; known: {known}'
