"""What each answer that the Frappe contract names means, and that no answer at all breaks the reading."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.outcomes import (
    CHECK_COOKIE,
    CHECK_KEY,
    CHECK_PERMISSION,
    CHECK_URL,
    MAX_AFTER,
    Ambiguous,
    Answered,
    Conflict,
    Created,
    Verdict,
    classify,
    classify_call,
    classify_insert,
    retry_after,
)
from lineside.edges.frappe.reply import MAX_KEPT_BYTES, MAX_WORDS, Reply, Unreachable, kept, parse, to_json
from lineside.model.outcome import Blocked, Refused, TargetDown

HTML_404 = "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n"
HTML_413 = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body></body></html>"
HTML_502 = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body></body>\r\n</html>\r\n"
HTML_500 = "<html>\n  <head>\n    <title>Internal Server Error</title>\n  </head>\n</html>\n"
HTML_LOGIN = "<html><body>Please sign in to the guest network</body></html>"


def html(status: int, text: str, **headers: str) -> Reply:
    """Return an answer that some other server wrote."""
    return Reply(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, "text/html", text.encode()
    )


def v1(status: int, exc_type: str | None, *messages: str, exception: str | None = None, **headers: str) -> Reply:
    """Return an error as `/api/resource` answers it."""
    body: dict[str, Any] = {}
    if exception is not None:
        body["exception"] = exception
    if exc_type is not None:
        body["exc_type"] = exc_type
    if exception is not None:
        body["exc"] = json.dumps(["<traceback>"])
    if messages:
        wrapped = [json.dumps({"message": each, "title": "Message", "indicator": "red"}) for each in messages]
        body["_server_messages"] = json.dumps(wrapped)
    return Reply(
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        "application/json",
        json.dumps(body).encode(),
    )


def v2(status: int, type_: str, message: str | None = None, **headers: str) -> Reply:
    """Return an error as `/api/v2` answers it."""
    error = {"type": type_, "exception": "<traceback>"}
    if message is not None:
        error |= {"message": message, "title": "Message"}
    body = json.dumps({"errors": [error]}).encode()
    return Reply(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, "application/json", body
    )


def ok(body: object, status: int = 200) -> Reply:
    """Return a success."""
    return Reply(status, {}, "application/json", json.dumps(body).encode())


def misnamed(content_type: str) -> Reply:
    """Return the very answer to an insert that succeeded, with its delivery id, under another content type."""
    document = {"name": "80f260pc5b", "doctype": "ToDo", "lineside_id": "0f" * 16}
    return Reply(200, {}, content_type, json.dumps({"data": document}).encode())


def shape(verdict: Verdict | Created) -> tuple[object, ...]:
    """Return what decides of a verdict; the words are tested on their own."""
    match verdict:
        case Conflict(refused=refused, passing=passing):
            return Conflict, refused.code, passing
        case Refused(code=code):
            return Refused, code
        case Blocked(remedy=remedy):
            return Blocked, remedy
        case TargetDown(after=after):
            return TargetDown, after
    return (type(verdict),)


NAME_ERROR = "frappe.exceptions.NameError: Name cannot contain special characters like '<', '>'"
LOCK_WAIT = "frappe.exceptions.QueryTimeoutError: (1205, 'Lock wait timeout exceeded; try restarting transaction')"
DUPLICATE = "Lab Order <strong>SO-1</strong> already exists"

ROWS: dict[str, tuple[Reply | Unreachable, tuple[object, ...]]] = {
    # The key, the session, the permission: a person must act.
    "wrong key": (
        v1(401, "AuthenticationError", exception="frappe.exceptions.AuthenticationError"),
        (Blocked, CHECK_KEY),
    ),
    "wrong key, tracebacks off": (v1(401, "AuthenticationError"), (Blocked, CHECK_KEY)),
    "wrong key, v2": (v2(401, "AuthenticationError"), (Blocked, CHECK_KEY)),
    "401 of a proxy": (html(401, "<h1>401 Authorization Required</h1>"), (Blocked, CHECK_KEY)),
    "undecodable Basic": (v1(400, "InvalidAuthorizationToken"), (Blocked, CHECK_KEY)),
    "CSRF": (v1(400, "CSRFTokenError", "Invalid Request"), (Blocked, CHECK_COOKIE)),
    "CSRF, v2": (v2(400, "CSRFTokenError", "Invalid Request"), (Blocked, CHECK_COOKIE)),
    "no permission": (
        v1(403, "PermissionError", "Not permitted", exception="frappe.exceptions.PermissionError: Not permitted"),
        (Blocked, CHECK_PERMISSION),
    ),
    "no permission, v14 without words": (
        v1(403, None, exception="frappe.exceptions.PermissionError"),
        (Blocked, CHECK_PERMISSION),
    ),
    "unknown site": (html(404, HTML_404), (Blocked, CHECK_URL)),
    "site folder gone": (v1(404, "IncorrectSitePath"), (Blocked, CHECK_URL)),
    "405 of another server": (html(405, "<title>405 Method Not Allowed</title>"), (Blocked, CHECK_URL)),
    # The whole site, for now.
    "rate limit": (
        v1(429, "TooManyRequestsError", exception="frappe.exceptions.TooManyRequestsError", retry_after="5"),
        (TargetDown, 5.0),
    ),
    "rate limit, v2": (v2(429, "TooManyRequestsError", retry_after="5"), (TargetDown, 5.0)),
    "rate limit, plain text": (
        Reply(429, {"retry-after": "5"}, "text/plain", b"Too Many Requests"),
        (TargetDown, 5.0),
    ),
    "limit of one endpoint": (v1(429, "RateLimitExceededError"), (TargetDown, None)),
    "maintenance": (
        v1(503, "SessionStopped", exception="frappe.exceptions.SessionStopped: Session Stopped"),
        (TargetDown, None),
    ),
    "read only": (v1(503, "InReadOnlyMode"), (TargetDown, None)),
    "queue full": (v1(503, "QueueOverloaded", retry_after="2"), (TargetDown, 2.0)),
    "gunicorn down": (html(502, HTML_502), (TargetDown, None)),
    "proxy gave up": (html(504, "<h1>504 Gateway Time-out</h1>"), (TargetDown, None)),
    "content network": (html(522, "<h1>Connection timed out</h1>"), (TargetDown, None)),
    "connection refused": (Unreachable("Connection was refused", sent=False), (TargetDown, None)),
    # Look it up, then refuse.
    "same name": (v1(409, "DuplicateEntryError", DUPLICATE), (Conflict, "DuplicateEntryError", False)),
    "same name, v2": (v2(409, "DuplicateEntryError", DUPLICATE), (Conflict, "DuplicateEntryError", False)),
    "bad name": (v1(409, "NameError", exception=NAME_ERROR), (Conflict, "NameError", False)),
    "same value in a unique field": (
        v1(417, "UniqueValidationError", "Lineside ID must be unique"),
        (Conflict, "UniqueValidationError", False),
    ),
    "same value in a unique field, v2": (
        v2(417, "UniqueValidationError", "External Ref must be unique"),
        (Conflict, "UniqueValidationError", False),
    ),
    "mandatory": (
        v1(417, "MandatoryError", "Error: Value missing for ToDo: Description"),
        (Conflict, "MandatoryError", False),
    ),
    "mandatory, v14 without exc_type": (
        v1(417, None, exception="frappe.exceptions.MandatoryError: [ToDo, 9rq8ouegqp]: description"),
        (Conflict, "MandatoryError", False),
    ),
    "link": (v1(417, "LinkValidationError", "Could not find X: y"), (Conflict, "LinkValidationError", False)),
    "417 without words": (html(417, ""), (Conflict, "HTTP 417", False)),
    # Look it up, then try again.
    "changed meanwhile": (v1(417, "TimestampMismatchError"), (Conflict, "TimestampMismatchError", True)),
    "document locked": (v1(417, "DocumentLockedError"), (Conflict, "DocumentLockedError", True)),
    # The record's own fault.
    "no such document": (v1(404, "DoesNotExistError", "Customer X not found"), (Refused, "DoesNotExistError")),
    "too large": (html(413, HTML_413), (Refused, "HTTP 413")),
    "media type": (v1(415, "UnsupportedMediaType"), (Refused, "UnsupportedMediaType")),
    "link expired": (v1(410, "LinkExpired"), (Refused, "LinkExpired")),
    # Who knows? Look it up.
    "500 page": (html(500, HTML_500), (Ambiguous,)),
    "lock wait": (v1(500, "QueryTimeoutError", exception=LOCK_WAIT), (Ambiguous,)),
    "lock wait, v2": (v2(500, "QueryTimeoutError"), (Ambiguous,)),
    "deadlock": (v1(500, "QueryDeadlockError"), (Ambiguous,)),
    "deadlock of the page path": (html(508, "Loop Detected"), (Ambiguous,)),
    "bad date": (v1(500, "OperationalError", exception="pymysql.err.OperationalError: (1292, 'x')"), (Ambiguous,)),
    "MariaDB's DataError": (v1(500, "DataError", exception="pymysql.err.DataError: (1264, 'x')"), (Ambiguous,)),
    "a bug's NameError": (v1(500, "NameError", exception="NameError: name 'x' is not defined"), (Ambiguous,)),
    "a file's PermissionError": (v1(500, "PermissionError"), (Ambiguous,)),
    "log-in locked": (v1(500, "SecurityException"), (Ambiguous,)),
    "mail not sent": (v1(501, "OutgoingEmailError"), (Ambiguous,)),
    "request time-out": (html(408, ""), (Ambiguous,)),
    "redirect": (html(301, "", location="https://erp.example/api/resource/ToDo"), (Ambiguous,)),
    "200 of a captive portal": (html(200, HTML_LOGIN), (Ambiguous,)),
    "200 without an envelope": (ok({"home_page": "/app"}), (Ambiguous,)),
    "200 of another call": (ok({"message": "pong"}), (Ambiguous,)),
    "200 with a list": (ok([{"name": "x"}]), (Ambiguous,)),
    "200 cut short": (Reply(200, {}, "application/json", b'{"data": {"name": "T'), (Ambiguous,)),
    "created, but called a page": (misnamed("text/html"), (Ambiguous,)),
    "created, but called nothing": (misnamed(""), (Ambiguous,)),
    "204": (Reply(204, {}, "", b""), (Ambiguous,)),
    "a data that is no document": (ok({"data": "ok"}), (Ambiguous,)),
    "a document without a name": (ok({"data": {"description": "x"}}), (Ambiguous,)),
    "connection lost": (Unreachable("the connection was lost", sent=True), (Ambiguous,)),
    # The one way to succeed.
    "created": (ok({"data": {"name": "80f260pc5b", "doctype": "ToDo"}}), (Created,)),
}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_each_row_of_the_contract(row: str) -> None:
    """The answer to an insert leads to the one verdict that the contract demands."""
    answer, expected = ROWS[row]
    assert shape(classify_insert(answer)) == expected


class Words(SynchronousTestCase):
    def test_a_refusal_speaks_frappes_words_as_plain_text(self) -> None:
        """Markup is taken out, a sign that is none stays, and the code is the exception's class."""
        verdict = classify_insert(v1(409, "DuplicateEntryError", DUPLICATE, DUPLICATE, "Use &lt; or <br>else"))
        assert isinstance(verdict, Conflict)
        self.assertEqual(verdict.refused.reason, "Lab Order SO-1 already exists; Use < or else")
        bad_name = classify_insert(v1(409, None, exception=NAME_ERROR))
        assert isinstance(bad_name, Conflict)
        self.assertEqual(bad_name.refused.reason, "Name cannot contain special characters like '<', '>'")

    def test_words_are_found_wherever_a_version_puts_them(self) -> None:
        """Of v1, v2 and the plain message, the most telling source is read."""
        for reply, words in [
            (v2(417, "UniqueValidationError", "External Ref must be unique"), "External Ref must be unique"),
            (v1(417, "X", exception="frappe.exceptions.X: [ToDo]: description"), "[ToDo]: description"),
            (ok({"exc_type": "X", "_error_message": "You need <b>create</b>"}, 417), "You need create"),
            (ok({"message": "Invalid login credentials"}, 417), "Invalid login credentials"),
            (ok({"exc_type": "X", "_server_messages": "[not json"}, 417), "[not json"),
        ]:
            self.assertEqual(parse(reply).words, words)

    def test_a_wordless_answer_is_named_by_its_status(self) -> None:
        """What stands in a page is not told: it may repeat what was sent, and this goes into the log."""
        self.assertEqual(classify(html(502, HTML_502)), TargetDown("HTTP 502", certain=False))
        self.assertEqual(classify(Reply(503, {}, "", b"")), TargetDown("HTTP 503"))
        self.assertEqual(
            classify(html(302, "", location="https://erp.example/login")),
            Ambiguous("HTTP 302: redirected to https://erp.example/login"),
        )

    def test_the_answer_itself_is_kept_but_not_all_of_a_long_one(self) -> None:
        """A dead letter holds the reply as received, up to 16 KiB, and a reason of one bounded line."""
        short = html(413, HTML_413)
        self.assertEqual(kept(short), HTML_413)
        verdict = classify(html(413, "é" * MAX_KEPT_BYTES))
        assert isinstance(verdict, Refused)
        assert verdict.reply is not None
        self.assertEqual(len(verdict.reply), MAX_KEPT_BYTES // 2)
        self.assertLessEqual(len(verdict.reason), MAX_WORDS + len("HTTP 413: "))

    def test_a_document_that_is_called_a_page_is_named_so(self) -> None:
        """A success has the right content type too; else something stands between, and the words lead there."""
        verdict = classify(misnamed("text/html"))
        assert isinstance(verdict, Ambiguous)
        self.assertEqual(
            verdict.reason, "HTTP 200: JSON, but called text/html; let no proxy change the content type"
        )
        self.assertIsInstance(classify(misnamed("text/html"), question=True), Answered)
        called = Reply(200, {}, "text/html", b"{}")
        self.assertIsInstance(classify_call(called), Ambiguous)
        self.assertEqual(classify_call(ok({})), Answered(None))

    def test_an_error_is_read_whatever_it_is_called(self) -> None:
        """The status says that nothing was done; the body only says why."""
        body = v1(417, "MandatoryError", "Value missing: time").body
        self.assertEqual(
            shape(classify_insert(Reply(417, {}, "text/html", body))), (Conflict, "MandatoryError", False)
        )

    def test_what_cannot_pass_by_itself_is_no_fault_of_the_record(self) -> None:
        """A certificate that does not count means down; the reason holds the remedy, and nothing was sent."""
        reason = "the certificate of erp.example is for erp.local; check the target's url"
        verdict = classify(Unreachable(reason, sent=False, lasting=True))
        self.assertEqual(verdict, TargetDown(reason, sent=False, lasting=True))

    def test_a_success_needs_the_envelope_of_its_call(self) -> None:
        """A method answers under ``message``, a resource under ``data``; neither stands for the other."""
        self.assertEqual(classify(ok({"message": "Administrator"}), "message"), Answered("Administrator"))
        self.assertEqual(classify(ok({"data": []})), Answered([]))
        self.assertIsInstance(classify(ok({"data": []}), "message"), Ambiguous)


class RetryAfter(SynchronousTestCase):
    def after(self, status: int = 429, **headers: str) -> float | None:
        return retry_after(html(status, "", **headers))

    def test_seconds_and_dates(self) -> None:
        """A date is read against the answer's own Date, not against our clock."""
        self.assertEqual(self.after(retry_after="5"), 5.0)
        self.assertEqual(self.after(503, retry_after=" 7 "), 7.0)
        date = "Sun, 22 Nov 2026 13:20:05 GMT"
        self.assertEqual(self.after(retry_after="Sun, 22 Nov 2026 13:20:35 GMT", date=date), 30.0)

    def test_frappes_own_limiter_header_stands_in(self) -> None:
        """Where a 429 has no Retry-After, the end of the limiter's window is the same."""
        self.assertEqual(self.after(x_ratelimit_reset="4"), 4.0)
        self.assertIsNone(self.after(503, x_ratelimit_reset="4"))

    def test_what_makes_no_sense_is_as_good_as_nothing(self) -> None:
        """No malformed, endless or negative pause stops deliveries."""
        for told in [
            "",
            "soon",
            "-3",
            "nan",
            "inf",
            "1e999",
            "Sun, 22 Nov 2026 13:20:35 GMT",
            "99, 99 X 9 9:9:9 Z",
        ]:
            self.assertIsNone(self.after(retry_after=told), told)
        self.assertEqual(self.after(retry_after="86400"), MAX_AFTER)


class Json(SynchronousTestCase):
    def test_what_json_cannot_hold_is_an_error_not_a_null(self) -> None:
        """A NaN would arrive as null and be stored as 0."""
        for value in [float("nan"), float("inf"), {1, 2}, b"x", "\ud800"]:
            with self.assertRaises((TypeError, ValueError)):
                to_json({"value": value})
        self.assertEqual(to_json({"code": "00123", "ö": 1.5}), '{"code":"00123","ö":1.5}'.encode())


DEEP = b"[" * 100_000
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FRAPPE_KEYS = st.sampled_from(
    ["data", "message", "exc_type", "exception", "errors", "_server_messages", "messages", "_error_message", "name"]
)
BODIES = (
    st.binary()
    | st.dictionaries(FRAPPE_KEYS, JSON_VALUES | JSON_VALUES.map(json.dumps)).map(lambda v: json.dumps(v).encode())
    | st.just(DEEP)
)


@given(st.integers(100, 599), BODIES, st.dictionaries(st.sampled_from(["retry-after", "date"]), st.text()))
@example(417, json.dumps({"_server_messages": DEEP.decode()}).encode(), {})
@example(200, b'{"data": {"name": "x"}', {})
def test_no_answer_breaks_the_reading_or_succeeds_by_chance(
    status: int, body: bytes, headers: dict[str, str]
) -> None:
    """Whatever comes has a verdict, and a success has the envelope with a named document."""
    verdict = classify_insert(Reply(status, headers, "application/json", body))
    if isinstance(verdict, Created):
        assert status in {200, 201, 202}
        assert str(json.loads(body)["data"]["name"]) == verdict.name
    assert not isinstance(verdict, Answered)
