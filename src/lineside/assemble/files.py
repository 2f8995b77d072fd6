"""Sources of files as the composition root puts them together."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any

from lineside.assemble.filesettings import (
    EdifactFormat,
    FileCsvFormat,
    FileFixedFormat,
    FileKeys,
)
from lineside.assemble.parts import JournalPart
from lineside.assemble.translation import columns_of
from lineside.edges.files.answers import Answers
from lineside.edges.files.aside import Aside
from lineside.edges.files.intake import Intake, Places, Rules
from lineside.journal.consumer import DurableConsumer
from lineside.journal.watched import WatchedJournal
from lineside.model.event import Seq
from lineside.operations.results import SourceStatus
from lineside.wire.csv import Csv
from lineside.wire.decoding import Decoder, Reading
from lineside.wire.fixed import FixedWidth
from lineside.wire.jsonl import JsonLines
from lineside.wire.rows.cutting import LineRows, QuotedRows, Rows, cutter, is_cut_by_bytes
from lineside.wire.rows.forms import FileForm, RowForm, Trailer
from lineside.wire.rows.reading import CsvSheet, Decoded


class FileSource:
    """The intake and the answers of one source, whoever brings its files.

    Args:
        reactor: with threads; its timers must follow a monotonic clock.
        name: the source's.
        settings: of the whole gateway.
        store: the journal.
        journal: where the events go.
        consumers: those of the gateway, by their ids.
        places: folders, by sender.
        spool: where files wait.
        random: for delays.

    """

    def __init__(
        self,
        reactor: Any,
        name: str,
        settings: FileKeys,
        store: JournalPart,
        journal: WatchedJournal,
        consumers: Mapping[str, DurableConsumer],
        places: Callable[[str], Places],
        spool: Any,
        random: Random,
    ) -> None:
        self.id = name
        taking = {id_: each for id_, each in consumers.items() if name in each.spec.sources}
        aside = partial(Aside, call_from_thread=reactor.callFromThread)
        rules = Rules(
            form_of(settings),
            settings.spool or spool,
            places,
            settings.max_spool,
            settings.remember,
            settings.about,
        )
        self.intake = Intake(
            name,
            rules,
            journal,
            store.database,
            reactor,
            random,
            time.time_ns,
            taking=aside(f"files-{name}"),
            reading=aside(f"rows-{name}"),
        )
        self.intake.on_batch = journal.came
        self.answers = Answers(
            name,
            places,
            store.database,
            lambda: _floors(taking),
            reactor,
            time.time_ns,
            partial_after=settings.partial_after,
            aside=aside(f"answers-{name}"),
        )
        self.intake.on_decided = self.answers.look
        self._reactor = reactor

    def status(self, address: str, problem: str | None) -> SourceStatus:
        """Return what is told of it.

        Args:
            address: where its files come from.
            problem: what hinders who brings them.

        """
        intake = self.intake
        problems = filter(None, (problem, intake.problem, self.answers.problem))
        return SourceStatus(
            self.id,
            address,
            0,
            intake.rows,
            intake.bad,
            problem="; ".join(problems) or None,
            files_waiting=intake.waiting,
            last_file=intake.last,
        )


def form_of(settings: FileKeys) -> FileForm:
    """Return the format of a source's files."""
    table = settings.format
    if isinstance(table, EdifactFormat):
        from lineside.assemble.edifact import edifact_form  # noqa: PLC0415 (its library is an extra)

        return edifact_form(table, settings)
    encoding = table.encoding if isinstance(table, FileCsvFormat | FileFixedFormat) else "utf-8"
    # What is recoded or has lost its mark is UTF-8 when it is decoded.
    inner = "utf-8" if not is_cut_by_bytes(encoding) or encoding == "utf-8-sig" else encoding
    reading = Reading(settings.dedupe, settings.device, inner)
    if isinstance(table, FileCsvFormat | FileFixedFormat):
        reading = Reading(settings.dedupe, settings.device, inner, table.types, table.decimal)
    trailer = None if settings.trailer is None else Trailer(re.compile(settings.trailer), inner)
    if isinstance(table, FileCsvFormat):
        form = Csv(table.columns, table.delimiter, table.quotechar, table.strip, reading)
        return RowForm(
            lambda: cutter(encoding, _csv_rows(table, settings.max_row)),
            lambda sender: CsvSheet(form, sender, header=table.header),
            table.header,
            trailer,
        )
    decoder: Decoder = JsonLines(settings.dedupe, settings.device)
    if isinstance(table, FileFixedFormat):
        decoder = FixedWidth(columns_of(table.columns), table.length, table.strip, table.pad, reading)
    return RowForm(
        lambda: cutter(encoding, LineRows(settings.max_row)),
        lambda sender: Decoded(decoder, sender),
        trailer=trailer,
    )


def _csv_rows(table: FileCsvFormat, most: int) -> Rows:
    return QuotedRows(table.delimiter, table.quotechar, most) if table.quotechar else LineRows(most)


def _floors(consumers: Mapping[str, DurableConsumer]) -> dict[str, Seq]:
    return {name: consumer.floor for name, consumer in consumers.items()}
