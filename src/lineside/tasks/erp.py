"""What the ERP refuses a task. The names are what `retry.on` may list; `ErpError` stands for all of them."""

from __future__ import annotations

from lineside.model.errors import LinesideError


class ErpError(LinesideError):
    """The ERP did not do what a task asked for.

    Args:
        reason: in the ERP's own words, as far as it has any.
        code: the class of the ERP's own exception, such as ``LinkValidationError``; None where it names none.

    """

    def __init__(self, reason: str, code: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class ErpNotFound(ErpError):
    """There is no such document, DocType or method (404)."""


class ErpDenied(ErpError):
    """It turned the gateway away (401, 403); the text ends with the remedy."""


class ErpConflict(ErpError):
    """Somebody else was faster (409, a deadlock): the document is there already, was changed, or is locked."""


class ErpRefused(ErpError):
    """It does not take what it was asked with (417 and others); asking again the same way is of no use."""


class ErpFailed(ErpError):
    """Its own code failed (500)."""


class ErpSilent(ErpError):
    """A question got no answer, several times. Nothing was changed."""


class ErpUnsure(ErpError):
    """No answer came to a call that is not ``safe``: nobody knows whether it was carried out."""
