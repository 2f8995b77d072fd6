"""Errors that a person may see: each is one clear line."""

from __future__ import annotations


class LinesideError(Exception):
    """Something failed that a person can act on; ``str()`` is the line to show. The command exits with 1."""


class ConfigurationError(LinesideError):
    """The configuration is wrong; ``problems`` holds every error found, one line each. Exits with 2."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class JournalLocked(LinesideError):
    """Another process holds the journal."""


class JournalUnusable(LinesideError):
    """The journal's file cannot be opened, is damaged, or belongs to a newer release."""


class JournalClosed(LinesideError):
    """The journal is not open, or not any more: nothing is stored and nothing is read."""


class JournalFull(LinesideError, OSError):
    """The journal takes no events at present, before the disk itself refuses: what was not stored is sent again."""


class SourcePaused(JournalFull):
    """A person stopped the source for a while: what was not stored is sent again."""


class Unreached(LinesideError):
    """What somebody goes to is not to be had now; ``remedy`` says what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


class FileNotTaken(LinesideError):
    """A file was not taken, and is where it was: it is to be given again later."""


class CommitInDoubt(LinesideError, OSError):
    """The journal's disk failed in the middle of a commit, and goes on failing: nobody knows whether it is stored.

    Once the journal takes writes again, it is not. Were the gateway to end before that, it may be.
    """


class Unfit(LinesideError):
    """What was given does not fit what it is for, whenever it is given again."""


class NotFound(LinesideError):
    """There is no such record, dead letter, route or source."""
