"""Text on its way into CSV that a person may open in a spreadsheet. Pure."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula
(https://owasp.org/www-community/attacks/CSV_Injection)."""


def guarded(text: str) -> str:
    """Return text with an apostrophe in front where a spreadsheet would calculate it; it shows it as it is then."""
    return f"'{text}" if text.startswith(_FORMULA) else text
