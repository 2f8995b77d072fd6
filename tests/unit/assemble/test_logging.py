"""One line an event, for people and for programs."""

from __future__ import annotations

import json
from io import StringIO

import msgspec
from twisted.logger import Logger, LogLevel, LogPublisher, PredicateResult
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.logging import LineObserver, LogFormat, levels


class LineObserverTests(SynchronousTestCase):
    """What is written for an event."""

    def write(self, format: LogFormat) -> tuple[Logger, StringIO]:  # noqa: A002
        stream = StringIO()
        return Logger(namespace="lineside", observer=LogPublisher(LineObserver(stream, format))), stream

    def test_a_line_for_people(self) -> None:
        """The name of the event, then its facts; a value with spaces is quoted, and stays on the line."""
        log, stream = self.write("text")
        log.warn("delivery.blocked", route="checkin", status=401, remedy="check api_key\nand role")
        [line] = stream.getvalue().splitlines()
        self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warn  delivery\.blocked ")
        self.assertTrue(line.endswith(r'route=checkin status=401 remedy="check api_key\nand role"'))

    def test_no_value_commands_the_terminal(self) -> None:
        """Control characters, marks of direction and line ends of any kind are written as escapes; letters stay."""
        log, stream = self.write("text")
        log.warn("delivery.refused", code="\x1b[2J", reason="M\u00fcller\x9b2J \u202e\u2028\ud800\x00", route="ü")
        text = stream.getvalue()
        self.assertTrue(text.removesuffix("\n").isprintable())
        self.assertIn(r'code="\u001b[2J" reason="Müller\u009b2J \u202e\u2028\ud800\u0000" route=ü', text)

    def test_no_event_of_a_librarys_does_either(self) -> None:
        """Its text is its own, and a stranger's words may be in it."""
        log, stream = self.write("text")
        log.warn("dropping {whom}", whom="\x1b[2J\u202eabc\nd")
        [line] = stream.getvalue().splitlines()
        self.assertTrue(line.isprintable())
        self.assertIn(r"warn  dropping \u001b[2J\u202eabc d", line)

    def test_a_line_for_programs(self) -> None:
        """With JSON each fact keeps its type."""
        log, stream = self.write("json")
        log.info("source.listening", source="gate", connections=3, tls=False)
        fact = msgspec.json.decode(stream.getvalue())
        self.assertEqual(
            ("source.listening", "gate", 3, False, "info"),
            (fact["event"], fact["source"], fact["connections"], fact["tls"], fact["level"]),
        )

    def test_json_commands_no_terminal_and_leaves_nothing_out(self) -> None:
        """Its reader gets each character; half of one, which no JSON holds, does not make the line vanish."""
        log, stream = self.write("json")
        for text in ("\x1b[2J\x9b2J\x7f \u202e\u2028", "a\ud800\x9b"):
            log.warn("delivery.refused", reason=text)
            line = stream.getvalue().splitlines()[-1]
            self.assertTrue(line.isprintable(), line)
            self.assertEqual(json.loads(line)["reason"], text)
        self.assertEqual(len(stream.getvalue().split("\n")), 3)

    def test_no_fact_takes_the_name_of_the_event(self) -> None:
        """A fact that is called like one of the line's own stands beside it."""
        log, stream = self.write("json")
        log.info("delivery.refused", event="epoch-1")
        fact = msgspec.json.decode(stream.getvalue())
        self.assertEqual(("delivery.refused", "epoch-1"), (fact["event"], fact["event_"]))

    def test_want_of_memory_has_a_remedy(self) -> None:
        """Wherever it shows: in a part of ours, and where Twisted tells it in its older way."""
        log, stream = self.write("json")
        failure = Failure(MemoryError())
        log.failure("lines.failed", failure=failure)
        log.critical("Unhandled Error", failure=failure)
        for line in stream.getvalue().splitlines():
            self.assertIn("allow the process more memory", msgspec.json.decode(line)["remedy"])

    def test_a_failure_keeps_its_traceback(self) -> None:
        """A bug is logged with the place where it happened."""
        for format in ("text", "json"):  # noqa: A001
            log, stream = self.write(format)
            try:
                raise RuntimeError("a bug")
            except RuntimeError:
                log.failure("background.failed", owner="route checkin")
            self.assertIn("RuntimeError", stream.getvalue())
            self.assertIn("test_logging", stream.getvalue())

    def test_what_strangers_make_libraries_say_is_not_written(self) -> None:
        """Autobahn warns of each client that does not speak the protocol: anybody could fill the log."""
        written = levels("info")
        for namespace, level, shown in (
            ("autobahn.twisted.websocket.WebSocketServerProtocol", LogLevel.warn, False),
            ("autobahn.twisted.websocket.WebSocketServerProtocol", LogLevel.error, True),
            ("twisted.internet", LogLevel.info, False),
            ("twisted.internet", LogLevel.warn, True),
            ("lineside.edges.websocket.part", LogLevel.info, True),
        ):
            told = written({"log_namespace": namespace, "log_level": level})
            self.assertEqual(shown, told is not PredicateResult.no, (namespace, level))

    def test_a_reader_that_is_gone_stops_nothing(self) -> None:
        """A closed pipe behind standard error does not reach the one who logs."""
        log, stream = self.write("text")
        stream.close()
        log.info("gateway.ready")
