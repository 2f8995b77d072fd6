"""What Frappe raises: the class, the status, and the words in each place. Pure."""

from __future__ import annotations

from msgspec import Struct

STATUS = {
    "CSRFTokenError": 400,
    "InvalidAuthorizationToken": 400,
    "AuthenticationError": 401,
    "PermissionError": 403,
    "DoesNotExistError": 404,
    "DuplicateEntryError": 409,
    "NameError": 409,
    "ValidationError": 417,
    "MandatoryError": 417,
    "LinkValidationError": 417,
    "UniqueValidationError": 417,
    "TimestampMismatchError": 417,
    "UpdateAfterSubmitError": 417,
    "DocstatusTransitionError": 417,
    "CharacterLengthExceededError": 417,
    "NonNegativeError": 417,
    "LinkExistsError": 417,
    "NegativeStockError": 417,
    "MaxFileSizeReachedError": 417,
    "DataError": 417,
    "TooManyRequestsError": 429,
    "InReadOnlyMode": 503,
    "SessionStopped": 503,
}
"""Of Frappe's own exceptions; any other is answered with 500."""


class Message(Struct, frozen=True):
    """One entry of ``_server_messages``: what a person at the Desk would see."""

    message: str
    title: str = "Message"
    indicator: str | None = None
    raise_exception: bool = False
    """It was thrown, not only shown: the entry also carries an exception id."""


class FrappeError(Exception):
    """A request fails as Frappe would fail it.

    Args:
        exc_type: the class alone, as in ``exc_type`` and ``errors[].type``.
        exception: the line in ``exception``: module, class and text.
        status: of the HTTP answer.
        messages: shown to a person.
        traced: whether the answer may hold the traceback (never with 400 for CSRF and 404).
        extra: further keys of the v1 envelope.

    """

    def __init__(
        self,
        exc_type: str,
        exception: str,
        status: int,
        messages: tuple[Message, ...] = (),
        *,
        traced: bool = True,
        extra: dict[str, object] | None = None,
    ) -> None:
        super().__init__(exception)
        self.exc_type = exc_type
        self.exception = exception
        self.status = status
        self.messages = messages
        self.traced = traced
        self.extra = extra or {}


def raised(exc_type: str, detail: str = "", *messages: Message) -> FrappeError:
    """Return one of Frappe's exceptions, with what was shown to a person before it was raised."""
    line = f"frappe.exceptions.{exc_type}"
    return FrappeError(
        exc_type,
        f"{line}: {detail}" if detail else line,
        STATUS.get(exc_type, 500),
        messages,
        traced=exc_type not in {"DoesNotExistError", "CSRFTokenError"},
    )


def thrown(exc_type: str, text: str, title: str = "Message") -> FrappeError:
    """Return one of Frappe's exceptions thrown with a text for a person."""
    return raised(exc_type, text, Message(text, title, "red", raise_exception=True))


def foreign(module: str, exc_type: str, detail: str) -> FrappeError:
    """Return an exception that is not Frappe's own: always a 500, without words for a person."""
    return FrappeError(exc_type, f"{module}.{exc_type}: {detail}" if module else f"{exc_type}: {detail}", 500)


def unknown_doctype(name: str) -> FrappeError:
    """There is no such DocType: Frappe fails to import its module."""
    module = name.lower().replace(" ", "_").replace("-", "_")
    return FrappeError("ImportError", f"Error: No module named 'frappe.core.doctype.{module}'", 500)


def not_found(doctype: str, name: str) -> FrappeError:
    """There is no such document."""
    return thrown("DoesNotExistError", f"{doctype} {name} not found")


def unknown_route() -> FrappeError:
    """No rule matches the path."""
    return raised("DoesNotExistError")


def unknown_method(path: str) -> FrappeError:
    """No such function can be called."""
    module = path.rpartition(".")[0] or path
    return thrown("ValidationError", f"Failed to get method for command {path} with No module named '{module}'")


def not_whitelisted(function: str) -> FrappeError:
    """A function is not for this caller."""
    return thrown(
        "PermissionError",
        f"You are not permitted to access this resource. Function <strong>{function}</strong> is not whitelisted.",
        "Method Not Allowed",
    )


def missing_argument(function: str, argument: str) -> FrappeError:
    """A function is called without an argument it needs."""
    return foreign("", "TypeError", f"{function}() missing 1 required positional argument: '{argument}'")


def unknown_column(column: str, clause: str) -> FrappeError:
    """A list names a field that its table does not have; ``clause`` as MariaDB calls it."""
    return foreign("pymysql.err", "OperationalError", f"(1054, \"Unknown column '{column}' in '{clause}'\")")


def bad_value(kind: str, value: object, table: str, column: str) -> FrappeError:
    """MariaDB does not take a value; ``kind`` is ``date``, ``datetime`` or ``time``."""
    return foreign(
        "pymysql.err",
        "OperationalError",
        f"(1292, \"Incorrect {kind} value: '{value}' for column `standin`.`tab{table}`.`{column}` at row 1\")",
    )


def out_of_range(column: str) -> FrappeError:
    """A number is larger than its column."""
    return foreign("pymysql.err", "DataError", f"(1264, \"Out of range value for column '{column}' at row 1\")")


def duplicate_name(doctype: str, name: str) -> FrappeError:
    """A document of this name exists."""
    return raised(
        "DuplicateEntryError",
        f"('{doctype}', '{name}', IntegrityError(1062, \"Duplicate entry '{name}' for key 'PRIMARY'\"))",
        Message(f"{doctype} <strong>{name}</strong> already exists", "Duplicate Name", "red"),
    )


def duplicate_value(doctype: str, name: str, fieldname: str, label: str, value: object) -> FrappeError:
    """Another document holds this value in a unique field."""
    return raised(
        "UniqueValidationError",
        f"('{doctype}', '{name}', IntegrityError(1062, \"Duplicate entry '{value}' for key '{fieldname}'\"))",
        Message(f"{label} must be unique"),
    )


def mandatory(doctype: str, name: str, missing: list[tuple[str, str]], row: int | None = None) -> FrappeError:
    """Mandatory fields are empty: their names and labels; ``row`` is that of a child table."""
    where = f"{doctype}" if row is None else f"<strong>{doctype}</strong> Row #{row}"
    return raised(
        "MandatoryError",
        f"[{doctype}, {name}]: {', '.join(fieldname for fieldname, _ in missing)}",
        *(Message(f"Error: Value missing for {where}: {label}") for _, label in missing),
    )


def empty_table(doctype: str, name: str, fieldname: str, label: str) -> FrappeError:
    """A mandatory child table has no rows."""
    return raised(
        "MandatoryError", f"[{doctype}, {name}]: {fieldname}", Message(f"Error: Data missing in table: {label}")
    )


def still_linked(doctype: str, name: str, other: str, other_name: str) -> FrappeError:
    """Another document links to the one that should go."""
    return thrown(
        "LinkExistsError",
        f"Cannot delete or cancel because {doctype} <strong>{name}</strong> is linked with {other} "
        f"<strong>{other_name}</strong>",
    )


def guest_may_not(doctype: str, permission: str) -> FrappeError:
    """Nobody is logged in, and the DocType is not for guests."""
    who = "User <strong>Guest</strong> does not have doctype access via role permission for document"
    told = f"{who} <strong>{doctype}</strong>"
    if permission != "read":
        told = f"Not allowed via controller permission check<br>{told}<br>"
        told += "User <strong>Guest</strong> does not have access to this document"
    error = raised("PermissionError", "", Message(told))
    error.extra["_error_message"] = (
        f"You need the '{permission}' permission on <strong>{doctype}</strong>  to perform this action."
    )
    return error


def read_only_mode() -> FrappeError:
    """The site is under maintenance, and only reads go on."""
    return thrown(
        "InReadOnlyMode",
        "This site is in read only mode, full functionality will be restored soon.",
        "In Read Only Mode",
    )


def lock_wait() -> FrappeError:
    """Another transaction holds a row for too long."""
    return raised("QueryTimeoutError", "(1205, 'Lock wait timeout exceeded; try restarting transaction')")


def connection_lost() -> FrappeError:
    """MariaDB went away in the middle of the transaction."""
    return foreign("pymysql.err", "OperationalError", "(2013, 'Lost connection to MySQL server during query')")


def deadlock() -> FrappeError:
    """MariaDB rolled the transaction back."""
    return raised(
        "QueryDeadlockError", "(1213, 'Deadlock found when trying to get lock; try restarting transaction')"
    )
