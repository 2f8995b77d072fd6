"""Solution of exercise 3: an operator's words."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import maybeDeferred, succeed
from twisted.logger import Logger


class Refused(Exception):
    """A command cannot be carried out; the operator should read why."""


@dataclass(frozen=True)
class Command:
    """A command that operators may give."""

    word: str
    roles: frozenset[str]
    arguments: tuple[str, ...]
    call: Callable

    @property
    def usage(self):
        return " ".join([self.word, *self.arguments])


class Console:
    """An operator's console."""

    log = Logger()

    def __init__(self, commands, role):
        # Whatever this role may not use is left out here, once: no later line can forget to ask.
        self.commands = {command.word: command for command in commands if role in command.roles}

    def run(self, line):
        try:
            words = shlex.split(line.decode("utf-8"))
        except ValueError:  # a quote that is not closed; UnicodeDecodeError is one too
            return succeed(("the quotes do not match, or this is no text", 2))
        if words == ["help"]:
            return succeed(("\n".join(command.usage for command in self.commands.values()), 0))
        command = self.commands.get(words[0]) if words else None
        if command is None:
            return succeed(("no such command; help tells what there is", 2))
        if len(words) - 1 != len(command.arguments):
            return succeed((f"usage: {command.usage}", 2))
        # maybeDeferred takes in what raises at once, what returns text, and what returns a Deferred.
        called = maybeDeferred(command.call, *words[1:])
        return called.addCallback(lambda text: (clean(text), 0)).addErrback(self.failed)

    def failed(self, failure):
        if failure.check(Refused):
            return clean(failure.getErrorMessage()), 1
        # Those who run the gateway find the whole of it in the log; the operator's screen is no place for it.
        self.log.failure("command.failed", failure)
        return "it did not work; the gateway's log says why", 1


def clean(text):
    """Return a text without control characters: an item's name from the ERP could steer the operator's terminal."""
    return "".join(letter for letter in text if letter.isprintable() or letter == "\n")
