"""Exercise 3 (open): an operator's words.

The example has three commands, and everybody who gets in may use them all. Write what a real operator's shell needs: a
console that knows roles, and whose errors tell operators what they can use, and nobody anything else.

``Console(commands, role).run(line)`` takes a line, as bytes, and returns a Deferred of ``(text, code)``; it never
fails. ``commands`` is a list of `Command`: a word, the roles that may use it, the names of its arguments, and what to
call with them; that returns text, or a Deferred of text.

- ``stock BOLT-M8`` calls the command ``stock`` with ``"BOLT-M8"``; the text is what it returned, and the code 0.
- Words are quoted as in a shell: ``note "two words"`` has one argument. See ``shlex.split``.
- A line that is no command, is badly quoted, is no UTF-8, or is empty: some text that helps, and the code 2.
- A command that the role may not use is answered exactly as one that does not exist.
- ``help`` lists the commands that the role may use, each in a line, such as ``stock ITEM``, in their order.
- Too few arguments or too many: ``usage: stock ITEM``, and the code 2. Nothing is called.
- A command that raises `Refused`, or whose Deferred fails with it: its text, and the code 1.
- Any other failure: the code 1, and a text of yours that holds nothing of the exception, for it may hold a password.
- Whatever a command returns, the text holds no control characters but line feeds: those of a terminal can do harm.
"""

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import succeed


class Refused(Exception):
    """A command cannot be carried out; the operator should read why."""


@dataclass(frozen=True)
class Command:
    """A command that operators may give."""

    word: str
    roles: frozenset[str]
    arguments: tuple[str, ...]
    call: Callable


class Console:
    """An operator's console."""

    def __init__(self, commands, role):
        self.commands, self.role = commands, role

    def run(self, line):
        # TODO
        return succeed(("no such command; help tells what there is", 2))
