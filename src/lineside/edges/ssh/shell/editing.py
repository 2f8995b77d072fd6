"""One line on a terminal: typed, corrected, remembered. Pure: keys in, bytes for the screen out."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

LONGEST = 1_000
"""Characters of a line."""
REMEMBERED = 100
_KEYS = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "H": "home",
    "F": "end",
    "1~": "home",
    "7~": "home",
    "4~": "end",
    "8~": "end",
    "3~": "delete",
}
_CONTROLS = {
    "\x01": "home",
    "\x02": "left",
    "\x05": "end",
    "\x06": "right",
    "\x08": "back",
    "\x0b": "cut",
    "\x0c": "clear",
    "\x0e": "down",
    "\x10": "up",
    "\x15": "kill",
    "\x17": "word",
    "\x7f": "back",
}


class Typed(NamedTuple):
    """What came of keys: a ``line``, ``cancel`` (Ctrl-C) or ``leave`` (Ctrl-D on an empty line)."""

    what: Literal["line", "cancel", "leave"]
    text: str = ""


class LineEditor:
    """The line that is being typed.

    Args:
        prompt: before it.
        complete: returns how the last word of a text may go on.
        write: to the terminal.
        columns: how wide that is.

    """

    def __init__(
        self,
        prompt: str,
        complete: Callable[[str], Sequence[str]],
        write: Callable[[str], None],
        columns: Callable[[], int],
    ) -> None:
        self._prompt = prompt
        self._complete = complete
        self._write = write
        self._columns = columns
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._escape: str | None = None
        self._text = ""
        self._at = 0
        self._history: list[str] = []
        self._place = 0
        self._kept = ""

    def feed(self, data: bytes) -> list[Typed]:
        """Take keys; with each whole line the screen is on a new one."""
        done: list[Typed] = []
        for character in self._decoder.decode(data):
            key = self._key(character)
            if key is None:
                continue
            if key == "\x03":
                self._write("^C\r\n")
                self._begin("")
                done.append(Typed("cancel"))
            elif key == "\x04":
                if self._text:
                    self._press("delete")
                else:
                    done.append(Typed("leave"))
            elif key == "\r":
                self._write("\r\n")
                text = self._text
                if text.strip() and self._history[-1:] != [text]:
                    self._history = [*self._history[1 - REMEMBERED :], text]
                self._begin("")
                done.append(Typed("line", text))
            else:
                self._press(key)
        return done

    def show(self) -> None:
        """Draw the line, with the part of it in sight that is being typed."""
        room = max(4, self._columns() - len(self._prompt) - 1)
        begin = max(0, self._at - room + 1)
        shown = self._text[begin : begin + room]
        back = len(shown) - (self._at - begin)
        left = f"\x1b[{back}D" if back else ""
        self._write(f"\r{self._prompt}{shown}\x1b[K{left}")

    def _key(self, character: str) -> str | None:
        if self._escape is not None:
            return self._escaped(character)
        if character == "\x1b":
            self._escape = ""
            return None
        if character in "\r\x03\x04\t":
            return character
        if character == "\n":
            return "\r"
        if character in _CONTROLS:
            return _CONTROLS[character]
        # What cannot be seen is not typed either: nobody could tell what is in the line.
        return character if character.isprintable() else None

    def _escaped(self, character: str) -> str | None:
        assert self._escape is not None
        self._escape += character
        if self._escape in {"[", "O"}:
            return None
        if self._escape[0] in "[O" and not ("@" <= character <= "~") and len(self._escape) < 16:
            return None
        sequence, self._escape = self._escape[1:], None
        return _KEYS.get(sequence)

    def _begin(self, text: str) -> None:
        self._text, self._at, self._place, self._kept = text, len(text), len(self._history), ""

    def _press(self, key: str) -> None:  # noqa: PLR0912 (one for each key)
        text, at = self._text, self._at
        match key:
            case "left":
                self._at = max(0, at - 1)
            case "right":
                self._at = min(len(text), at + 1)
            case "home":
                self._at = 0
            case "end":
                self._at = len(text)
            case "back":
                self._text, self._at = text[: max(0, at - 1)] + text[at:], max(0, at - 1)
            case "delete":
                self._text = text[:at] + text[at + 1 :]
            case "kill":
                self._text, self._at = text[at:], 0
            case "cut":
                self._text = text[:at]
            case "word":
                kept = text[:at].rstrip(" ").rpartition(" ")
                self._text, self._at = kept[0] + kept[1] + text[at:], len(kept[0] + kept[1])
            case "up" | "down":
                self._recall(-1 if key == "up" else 1)
            case "clear":
                self._write("\x1b[H\x1b[2J")
            case "\t":
                self._go_on()
            case _:
                if len(text) < LONGEST:
                    self._text, self._at = text[:at] + key + text[at:], at + 1
        self.show()

    def _recall(self, step: int) -> None:
        place = self._place + step
        if not 0 <= place <= len(self._history):
            return
        if self._place == len(self._history):
            self._kept = self._text
        self._place = place
        self._text = self._kept if place == len(self._history) else self._history[place]
        self._at = len(self._text)

    def _go_on(self) -> None:
        before, after = self._text[: self._at], self._text[self._at :]
        word = before.rpartition(" ")[2]
        found = [each for each in self._complete(before) if each.startswith(word)]
        if not found:
            return
        common = found[0]
        for each in found[1:]:
            while not each.startswith(common):
                common = common[:-1]
        if len(found) == 1:
            common += " "
        if len(common) > len(word):
            added = before[: len(before) - len(word)] + common
            if len(added) + len(after) <= LONGEST:
                self._text, self._at = added + after, len(added)
            return
        self._write("\r\n" + "  ".join(found[:100]) + "\r\n")
