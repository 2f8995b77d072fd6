"""Sources whose events come in files: the keys that all of them share, and ``type = "folder"``."""

from __future__ import annotations

import codecs
import re
from importlib.util import find_spec
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from lineside.assemble.bounds import Size
from lineside.assemble.formats import CsvFormat, FixedFormat, JsonFormat, _columns, named_table
from lineside.assemble.plant import WorkingHours
from lineside.assemble.table import Table
from lineside.assemble.values import Duration, FieldPath, RelativePath, Shape, in_tuple
from lineside.model.wording import did_you_mean
from lineside.wire.decoding import encoding_problem

_WIDE = {"utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"}
"""In which a line end is no single byte: such files are cut all the same."""


def _encoding(value: str) -> str:
    problem = encoding_problem(value)
    if problem is not None:
        try:
            wide = codecs.lookup(value).name in _WIDE
        except LookupError:
            wide = False
        if not wide:
            raise ValueError(problem)
    return value


FileEncoding = Annotated[str, AfterValidator(_encoding), Shape("encoding")]
_ENCODED: Any = Field(
    default="utf-8",
    description=(
        "How text is written: `utf-8` (a byte order mark may come first), `cp1252`, `latin-1`, `utf-16`, or any "
        "other that Python knows and that writes ASCII as it is, or is one of UTF-16 and UTF-32. A row of other "
        "bytes becomes a dead letter."
    ),
)


class FileCsvFormat(CsvFormat):
    """``type = "csv"`` of files."""

    columns: Annotated[
        tuple[str, ...],
        BeforeValidator(in_tuple),
        AfterValidator(lambda names: _columns(names) if names else names),
        Shape("array of field names"),
    ] = Field(
        default=(),
        description=(
            "With `header`: which columns events have; a file without one of them is refused. Default: all. "
            'Without: the columns\' names, in their order; one named `""` is left out. A row with more or fewer '
            "becomes a dead letter."
        ),
    )
    header: bool = Field(default=True, description="Whether the first row has the columns' names.")
    delimiter: Annotated[str, Field(min_length=1, max_length=1), Shape("character")] = Field(
        default=",", description="What stands between values, such as `;` or `\\t`; of ASCII."
    )
    encoding: FileEncoding = _ENCODED

    @property
    def names(self) -> tuple[str, ...] | None:  # type: ignore[override] # the file's header has them
        """The fields that each event has; None where the header says it."""
        return tuple(column for column in self.columns if column) or None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.header and not self.columns:
            raise ValueError("columns is missing: without a header it names the fields")
        if not (self.delimiter + self.quotechar).isascii():
            raise ValueError("delimiter and quotechar are characters of ASCII")
        if self.delimiter == self.quotechar or {"\n", "\r"} & {self.delimiter, self.quotechar}:
            raise ValueError("delimiter and quotechar differ, and are no line ends")
        return self


class FileFixedFormat(FixedFormat):
    """``type = "fixed"`` of files: one row a line."""

    encoding: FileEncoding = _ENCODED


class EdifactFormat(Table):
    """``type = "edifact"``: interchanges of orders."""

    type: Literal["edifact"] = Field(
        description=(
            "UN/EDIFACT interchanges with messages ORDERS D.96A; each is an event. Needs the extra `edifact`: "
            "`pip install 'lineside[edifact]'`."
        )
    )
    max_message: Size = Field(
        default=4_000_000,
        gt=0,
        le=64_000_000,
        description="How large a message may be; the interchange is refused.",
    )
    reply: bool = Field(
        default=True, description="Whether a CONTRL message is put into the outbox, `NAME.contrl.edi`."
    )

    @field_validator("type")
    @classmethod
    def _installed(cls, kind: str) -> str:
        if find_spec("pydifact") is None:
            raise ValueError("it needs the extra edifact: pip install 'lineside[edifact]'")
        return kind


FILE_FORMATS: dict[str, type[Table]] = {
    "csv": FileCsvFormat,
    "json": JsonFormat,
    "fixed": FileFixedFormat,
    "edifact": EdifactFormat,
}
"""The formats of files, by ``type``."""
FileFormatSettings = FileCsvFormat | JsonFormat | FileFixedFormat | EdifactFormat
FileFormat = Annotated[
    Annotated[FileFormatSettings, Field(discriminator="type")],
    BeforeValidator(lambda value: named_table(value, "format", FILE_FORMATS, {})),
    Shape("name or table"),
]


def _trailer(value: str) -> str:
    try:
        groups = re.compile(value).groupindex
    except re.error as wrong:
        raise ValueError(f"no regular expression: {wrong}") from wrong
    if "count" not in groups:
        raise ValueError("it has no group (?P<count>...) for the number of rows")
    return value


_CSV: Any = "csv"


class FileKeys(Table):
    """What all sources of files have in common."""

    format: FileFormat = Field(
        default=_CSV,
        description="What a file holds: `csv`, `json` (one object a line), `edifact`, or a table. See below.",
    )
    trailer: Annotated[str, Field(max_length=500), AfterValidator(_trailer), Shape("regular expression")] | None = (
        Field(
            default=None,
            description=(
                "Matches the last row of each file, which says how many rows there are, as its group `count`: "
                '`"END;(?P<count>\\\\d+)"`. A file without it, or with another number of rows, is refused as a '
                "whole. Default: files have none."
            ),
        )
    )
    dedupe: FieldPath | None = Field(
        default=None,
        description=(
            "The field with the sender's own key. A row whose key is known is a repeat: its first sequence is "
            "answered, and it is not stored again. Default: every row of a new file is new."
        ),
    )
    device: FieldPath | None = Field(
        default=None, description="The field that names the device. Default: the file's sender."
    )
    about: Annotated[str, Field(pattern=r'^[^.{}\s"]+$'), Shape("field name")] = Field(
        default="file",
        description=(
            "The field in which each event says where it is from: the file's `name`, its `hash` and the number of "
            "the `row`. Rows must not have one of this name."
        ),
    )
    max_row: int = Field(
        default=65_536,
        ge=16,
        le=1_048_576,
        description="Bytes of a row without its end. A longer one is kept in part, as a dead letter.",
    )
    spool: RelativePath | None = Field(
        default=None,
        description=(
            "The folder where files wait until their rows are events; best on the file system on which they "
            "arrive. Default: `.spool` in the source's own folder."
        ),
    )
    max_spool: Size = Field(
        default=1_000_000_000,
        gt=0,
        description="How large the files together may be that wait; a further one is left where it is until then.",
    )
    partial_after: Duration = Field(
        default=600.0,
        description=(
            "After how long an answer is written although rows are pending; it is replaced when all are settled."
        ),
    )
    remember: Duration = Field(
        default=90 * 86_400.0,
        gt=0,
        description="How long a file is known, so that the same bytes make no second event.",
    )
    silence: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description="After how long without a row there is an alarm, `source.silent`. Default: never.",
    )
    silence_of: Literal["source", "device"] = Field(
        default="source",
        description="Whether the source is watched as a whole, or each of its devices as well, by its name.",
    )
    hours: WorkingHours | None = Field(
        default=None, description="When silence counts, in the time zone of `[plant]`. Default: always."
    )

    @model_validator(mode="after")
    def _fields_of_format(self) -> Self:
        table = self.format
        if self.trailer is not None and isinstance(table, EdifactFormat):
            raise ValueError("trailer is not for edifact: an interchange counts its own messages")
        names = table.names if isinstance(table, FileCsvFormat | FileFixedFormat) else None
        if names is not None:
            for key, path in (("dedupe", self.dedupe), ("device", self.device)):
                if path is not None and path not in names:
                    raise ValueError(f'{key}: the format has no field "{path}"{did_you_mean(path, names)}')
            if self.about in names:
                raise ValueError(f'about: the format has a field "{self.about}" of its own; set another name')
        return self


class FolderSourceSettings(FileKeys):
    """``[sources.NAME]`` with ``type = "folder"``: whole files that appear in a local folder."""

    type: Literal["folder"] = Field(description="The kind of source.")
    path: RelativePath = Field(description="The folder. It is made when it is missing.")
    pattern: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        default="*",
        description=(
            "Which files are taken, as in a shell: `orders-*.csv`. Names that begin with a dot or end with "
            "`.part`, `.filepart`, `.tmp`, `.crdownload` or `.swp` never are."
        ),
    )
    every: Annotated[Duration, Field(ge=0.1)] = Field(default=5.0, description="How often it is looked.")
    done: Annotated[str, Field(pattern=r"^\.[A-Za-z0-9_-]{1,32}$"), Shape("suffix")] | None = Field(
        default=None,
        description=(
            "The suffix of an empty file that says that the one without it is whole: with `.done`, `a.csv` is "
            "taken when `a.csv.done` is there. Default: none; a file is whole when two looks in a row find it "
            "unchanged."
        ),
    )
    sender: Annotated[str, Field(min_length=1, max_length=140)] | None = Field(
        default=None, description="How who puts the files there is called. Default: the source's name."
    )
    outbox: RelativePath | None = Field(
        default=None, description="The folder for answers. Default: `outbox` in the folder."
    )
    archive: RelativePath | None = Field(
        default=None,
        description="The folder for files whose rows are events. Default: `archive` in the folder.",
    )

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for key, folder in (("outbox", self.outbox), ("archive", self.archive), ("spool", self.spool)):
            if folder == self.path:
                raise ValueError(f"{key}: it is the folder itself, where files would be taken again")
        return self

    @field_validator("every")
    @classmethod
    def _not_too_seldom(cls, every: float) -> float:
        if every > 86_400:
            raise ValueError("at least once a day")
        return every
