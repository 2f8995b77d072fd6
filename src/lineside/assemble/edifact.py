"""The format `edifact`, whose library is an extra."""

from __future__ import annotations

from datetime import UTC, datetime

from lineside.assemble.filesettings import EdifactFormat, FileKeys
from lineside.wire.edifact.form import EdifactForm
from lineside.wire.rows.forms import FileForm


def edifact_form(table: EdifactFormat, settings: FileKeys) -> FileForm:
    """Return the format of a source's interchanges."""
    return EdifactForm(table.max_message, lambda: datetime.now(UTC), table.reply, settings.dedupe, settings.device)
