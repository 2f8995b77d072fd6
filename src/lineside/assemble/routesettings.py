"""``[routes.NAME]``: which events become which documents."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lineside.assemble.sqlsettings import (
    TableName,
)
from lineside.assemble.table import Table
from lineside.assemble.values import (
    DeliverPolicy,
    Durations,
    FieldPath,
    Names,
    Shape,
    in_tuple,
)

BATCH = 20
"""Four fifths of what batches can gain on a measured site, in requests that stay short (contract, section 10)."""


class AttachmentSettings(Table):
    """``[[routes.NAME.attachments]]``: a file that an event carries, and that goes with its document."""

    name: Annotated[str, Field(min_length=1), Shape("template")] = Field(
        description="The file's name, such as `photo-{{ scan_id }}.jpg`."
    )
    content: Annotated[str, Field(min_length=1), Shape("template")] = Field(
        description="What is in the file, such as `{{ photo }}`."
    )
    encoding: Literal["base64", "text"] = Field(
        default="base64",
        description=(
            "What `content` gives: the file's bytes as Base64, a data URL too; or `text`, which is stored as UTF-8."
        ),
    )
    is_private: bool = Field(
        default=True, description="Whether only those who may read the document can read the file."
    )
    fieldname: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$"), Shape("field name")] | None = Field(
        default=None,
        description=(
            "The document's field of the type Attach or Attach Image that gets the file's address. Default: none; "
            "the file is only listed beside the document."
        ),
    )
    optional: bool = Field(
        default=False,
        description=(
            "Whether an event whose content is missing, null or empty is delivered without the file. Otherwise it "
            "becomes a dead letter, and nothing is sent."
        ),
    )


class RouteSettings(Table):
    """``[routes.NAME]``: which events become which documents."""

    id: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]*$"), Shape("name")] | None = Field(
        default=None,
        description=(
            "The route's permanent name: its progress and its delivery ids hang on it. Set it to the old name when "
            "you rename a route. Default: the route's name."
        ),
    )
    sources: Names | None = Field(default=None, description="Whose events it takes. Default: those of all sources.")
    target: str | None = Field(
        default=None, description="Where its documents go. Default: the only target, where there is one."
    )
    when: Annotated[str, Shape("condition")] | None = Field(
        default=None,
        description=(
            "Takes only events for which this is true. A field that an event lacks makes it false. "
            "Default: takes all."
        ),
    )
    action: Literal["insert", "update", "upsert", "call"] = Field(
        default="insert",
        description=(
            "What is done at the target: `insert` makes a document, `update` changes the one that `match` finds, "
            "`upsert` does either, `call` calls a method."
        ),
    )
    doctype: Annotated[str, Field(min_length=1, max_length=140)] | None = Field(
        default=None,
        description=(
            "The DocType of the documents, such as `Employee Checkin`. Default: none, for a call and for a target "
            "of the type `sql`; all others need it."
        ),
    )
    table: TableName | None = Field(
        default=None,
        description=(
            "The table that gets the rows, of a target of the type `sql`, which needs it instead of `doctype`. Its "
            "columns are those of `document`. Default: none, for a Frappe site."
        ),
    )
    match: Annotated[dict[str, Any], Field(min_length=1), Shape("table of templates")] | None = Field(
        default=None,
        description=(
            "How `update` and `upsert`, which need it, find their document: all of these fields have these values, "
            "and it is not cancelled. `{ name = ... }` is quickest. Default: none, for the other actions."
        ),
    )
    submit: bool = Field(
        default=False,
        description="Whether an inserted or upserted document is submitted, in the transaction that stores it.",
    )
    method: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"), Shape("dotted path")] | None = Field(
        default=None,
        description="What `call` calls; `document` holds its arguments. Default: none, for the other actions.",
    )
    order_by: FieldPath | None = Field(
        default=None,
        description=(
            "The field by which events are ordered: those with one value are delivered one after the other. "
            "Default: each is free to go."
        ),
    )
    concurrency: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Deliveries of this route under way at a time. Default: the target's."
    )
    batch: Annotated[int, Field(ge=1, le=200)] | None = Field(
        default=None,
        description=(
            "Inserts that go to the target in one request, at most, when so many are waiting. Default: 20; 1 where "
            "documents are submitted or have attachments, and for the other actions."
        ),
    )
    max_deliver: int = Field(
        default=8,
        ge=1,
        le=1_000,
        description=(
            "Failures of its own after which an event becomes a dead letter. A target that is down, busy or turns "
            "the gateway away never counts."
        ),
    )
    backoff: Durations = Field(
        default=(1.0, 2.0, 5.0, 15.0, 60.0),
        description="How long to wait after the first, second, ... failure; the last one repeats.",
    )
    deliver_policy: DeliverPolicy = Field(
        default="all",
        description=(
            "Where a route begins that was never there before: with all events kept, with new ones, or with those "
            "after a sequence."
        ),
    )
    document: Annotated[dict[str, Any], Field(min_length=1), Shape("table of templates")] = Field(
        description="The document's fields, or a call's arguments. A child table is an array of tables."
    )
    attachments: Annotated[tuple[AttachmentSettings, ...], BeforeValidator(in_tuple), Shape("array of tables")] = (
        Field(default=(), description="Files that go with the document; not for a call. See below.")
    )

    @property
    def carries_id(self) -> bool:
        """Whether its documents are made with their delivery id, so that the DocType needs the id field."""
        return self.action in {"insert", "upsert"}

    @property
    def at_once(self) -> int:
        """How many deliveries go to the target in one request, at most."""
        together = self.action == "insert" and not self.submit and not self.attachments
        return self.batch or (BATCH if together else 1)
