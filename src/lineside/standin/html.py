"""Text that holds HTML, made harmless as Frappe does before it stores it. Pure.

Tags that are not on the list become text. Attributes that could run something are dropped. Text without any
tag stays as it is: "5 < 6" is no HTML.
"""

from __future__ import annotations

import json
import re
from html import escape
from html.parser import HTMLParser

TAGS = frozenset(
    re.findall(
        r"\w+",
        """a abbr acronym address article aside audio b big blockquote br button caption center cite code col
        colgroup dd del details dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img
        ins kbd li main map mark menu meter nav ol optgroup option p pre progress q s samp section small source
        span strike strong sub summary sup table tbody td tfoot th thead time tr tt u ul var video""",
    )
)
VOID = frozenset({"br", "col", "hr", "img", "source"})

SAFE_ADDRESS = re.compile(r"\s*(?:(?:https?|mailto|cid|data):|[^:]*(?:[/?#]|$))", re.IGNORECASE)

UNTOUCHED = frozenset({"Attach", "Attach Image", "Barcode", "Code", "JSON", "Password"})
"""Fields of these types are stored as they come."""


def sanitised(text: str) -> str:
    """Return text with all HTML harmless; JSON stays as it is."""
    if ("<" not in text and ">" not in text) or _is_json(text):
        return text
    cleaner = Cleaner()
    cleaner.feed(text)
    cleaner.close()
    return cleaner.result() if cleaner.tags else text


class Cleaner(HTMLParser):
    """Writes again what it reads, without what could do harm."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.tags = 0
        self._written: list[str] = []
        self._open: list[str] = []

    def result(self) -> str:
        """Return what was read, with the elements closed that were left open."""
        return "".join(self._written) + "".join(f"</{tag}>" for tag in reversed(self._open))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Write a tag that may stay, or its text."""
        self.tags += 1
        if tag not in TAGS:
            self._written.append(escape(self.get_starttag_text() or "", quote=False))
            return
        kept = "".join(f' {name}="{escape(value or "")}"' for name, value in attrs if _harmless(name, value or ""))
        self._written.append(f"<{tag}{kept}>")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Write a tag that closes itself as one that is closed at once."""
        self.handle_starttag(tag, attrs)
        if tag in TAGS and tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the element, with those inside it that were left open."""
        self.tags += 1
        if tag not in TAGS:
            self._written.append(f"&lt;/{tag}&gt;")
        elif tag in self._open:
            while True:
                last = self._open.pop()
                self._written.append(f"</{last}>")
                if last == tag:
                    break

    def handle_data(self, data: str) -> None:
        """Write text."""
        self._written.append(escape(data, quote=False))

    def handle_entityref(self, name: str) -> None:
        """Write a reference as it is."""
        self._written.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        """Write a reference as it is."""
        self._written.append(f"&#{name};")

    def handle_comment(self, data: str) -> None:
        """Leave a comment out."""
        self.tags += 1


def _harmless(name: str, value: str) -> bool:
    if name.startswith("on"):
        return False
    return name not in {"href", "src", "action", "formaction"} or SAFE_ADDRESS.match(value) is not None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
