"""The log: one line an event, for people or, as JSON, for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any, Literal

import msgspec
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
)
from twisted.python.failure import Failure
from zope.interface import implementer

LogFormat = Literal["text", "json"]


def begin(format: LogFormat, level: str = "info", stream: IO[str] | None = None) -> None:  # noqa: A002 (the option's name)
    """Send everything that is logged to ``stream``, standard error by default. Call once."""
    observer = LineObserver(stream or sys.stderr, format)
    globalLogBeginner.beginLoggingTo([FilteringLogObserver(observer, [levels(level)])], redirectStandardIO=False)


def levels(level: str) -> LogLevelFilterPredicate:
    """Return what decides on an event: ours are written from ``level`` on."""
    # Twisted's own notes on each connection are of no use to an operator; its warnings are.
    predicate = LogLevelFilterPredicate(defaultLogLevel=LogLevel.debug if level == "debug" else LogLevel.warn)
    predicate.setLogLevelForNamespace("lineside", LogLevel.levelWithName(level))
    if level != "debug":
        # It warns of each client that does not speak the protocol: anybody could fill the log.
        predicate.setLogLevelForNamespace("autobahn", LogLevel.error)
    return predicate


@implementer(ILogObserver)
class LineObserver:
    """Writes each event as one line: time, level, event name, then its fields."""

    def __init__(self, stream: IO[str], format: LogFormat) -> None:  # noqa: A002 (the option's name)
        self._stream = stream
        self._render = _json_line if format == "json" else _text_line

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        try:
            self._stream.write(self._render(event) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # The log's reader is gone; the gateway goes on.
            return


def _text_line(event: LogEvent) -> str:
    words = [_time(event), f"{_level(event):5}", _escaped(formatEvent(event).replace("\n", " "))]
    words += [f"{name}={_word(value)}" for name, value in _fields(event).items()]
    line = " ".join(words)
    return f"{line}\n{_traceback(event)}" if "log_failure" in event else line


def _json_line(event: LogEvent) -> str:
    facts: dict[str, Any] = {"time": _time(event), "level": _level(event), "event": formatEvent(event)}
    # No field may take the place of the event's own name.
    facts.update((f"{name}_" if name in facts else name, value) for name, value in _fields(event).items())
    if "log_failure" in event:
        facts["traceback"] = _traceback(event)
    try:
        return _escaped(msgspec.json.encode(facts, enc_hook=str).decode())
    except UnicodeEncodeError:
        # Half a character, as in the name of a file: whoever can put it there is not to be left out for it.
        return json.dumps(facts, default=str)


def _time(event: LogEvent) -> str:
    return datetime.fromtimestamp(event["log_time"], UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _level(event: LogEvent) -> str:
    level = event.get("log_level")
    return level.name if level is not None else "info"


def _fields(event: LogEvent) -> Mapping[str, Any]:
    # Twisted's own messages carry whole objects along; ours carry plain values under names of their own.
    fields = {
        name: value
        for name, value in event.items()
        if not name.startswith("log_")
        and name not in {"message", "time", "system", "format", "isError", "failure", "why"}
        and isinstance(value, str | int | float | bool | None)
    }
    failure = event.get("log_failure") or event.get("failure")
    if isinstance(failure, Failure) and failure.check(MemoryError):
        # It shows wherever memory runs out, in any of our parts or Twisted's, and is no error of theirs.
        fields["remedy"] = "allow the process more memory (MemoryMax, ulimit -v), or lower max_connections"
    return fields


def _word(value: object) -> str:
    text = str(value)
    if text and text.isprintable() and not any(c in text for c in ' "='):
        return text
    # Others' words are among the values: none of their characters may command a terminal or turn the line around.
    return _escaped(json.dumps(text, ensure_ascii=False))


def _escaped(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def _traceback(event: LogEvent) -> str:
    return str(event["log_failure"].getTraceback()).rstrip()
