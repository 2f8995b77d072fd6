"""The installed command line, all of it in one process: help, examples, and wrong use."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec
from msgspec import Struct
from twisted.trial.unittest import SynchronousTestCase

from lineside.cli import commands

DRIVER = """
import contextlib, io, json, runpy, sys

def run(arguments):
    sys.argv = ["lineside", *arguments]
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module("lineside", run_name="__main__")
        except SystemExit as ended:
            code = ended.code or 0
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}

print(json.dumps([run(arguments) for arguments in json.load(sys.stdin)]))
"""
"""Runs `python -m lineside` with each of many lists of arguments: an interpreter takes half a second to start."""


Words = tuple[str, ...]


class Ended(Struct, frozen=True):
    """How one run ended."""

    code: int
    out: str
    err: str


def commands_below(group: click.Group = commands, words: Words = ()) -> Iterator[tuple[Words, click.Command]]:
    """Yield every command, the groups included, with the words that call it."""
    context = click.Context(group)
    yield words, group
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands_below(command, (*words, name))
        else:
            yield (*words, name), command


EVERY = dict(commands_below())
LEAVES = {words: command for words, command in EVERY.items() if not isinstance(command, click.Group)}


def without_a_configuration() -> dict[Words, Words]:
    """Return for each command that reads a configuration how to call it with one that is not there."""
    lines = {}
    for words, command in LEAVES.items():
        if any("--config" in parameter.opts for parameter in command.params):
            needed: list[str] = []
            for parameter in command.params:
                if isinstance(parameter, click.Argument) and (parameter.required or parameter.nargs == -1):
                    needed.append(value_for(parameter))
                elif parameter.required:
                    needed += [parameter.opts[0], value_for(parameter)]
            if words[0] == "simulate" and any("--source" in parameter.opts for parameter in command.params):
                # Only a source's name makes it read one.
                needed += ["--source", "gate"]
            lines[words] = (*words, *needed, "-c", "nowhere.toml")
    return lines


def value_for(parameter: click.Parameter) -> str:
    """Return a word that the parameter takes."""
    return str(parameter.type.choices[0]) if isinstance(parameter.type, click.Choice) else "1"


@cache
def ended() -> dict[Words, Ended]:
    """Run all lines that the tests look at, in one process."""
    lines: list[Words] = [("evnets",), ("--version",), *without_a_configuration().values()]
    lines += [(*words, option) for words in EVERY for option in ("--help", "--no-such-option")]
    with TemporaryDirectory() as directory:
        done = subprocess.run(
            [sys.executable, "-c", DRIVER],
            input=json.dumps(lines),
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert not done.stderr, done.stderr
        assert not list(Path(directory).iterdir()), "a command left something behind"
    return dict(zip(lines, msgspec.json.decode(done.stdout, type=list[Ended]), strict=True))


class CommandLine(SynchronousTestCase):
    """Every command there is."""

    def test_help_of_every_command_ends_with_an_example_of_it(self) -> None:
        """Exit 0, and a line that can be copied."""
        for words in EVERY:
            result = ended()[*words, "--help"]
            self.assertEqual((result.code, result.err), (0, ""), words)
            _, example, line = result.out.rpartition("Example: ")
            self.assertTrue(example, result.out)
            self.assertIn(f"lineside {' '.join(words)}", " ".join(line.split()))

    def test_help_of_every_group_lists_its_commands(self) -> None:
        """`lineside` itself names each command with what it is for."""
        for words, group in EVERY.items():
            if isinstance(group, click.Group):
                listed = ended()[*words, "--help"].out.partition("Commands:\n")[2].partition("\n\n")[0]
                names = {line.split()[0] for line in listed.splitlines() if line[:3].strip()}
                self.assertEqual(names, set(group.list_commands(click.Context(group))))

    def test_wrong_use_of_every_command(self) -> None:
        """Exit 2, nothing on standard output, and what is wrong on the last line of the other."""
        for words in EVERY:
            result = ended()[*words, "--no-such-option"]
            self.assertEqual((result.code, result.out), (2, ""), words)
            self.assertRegex(result.err.splitlines()[-1], "^Error: No such option.*--no-such-option")

    def test_a_configuration_that_is_not_there(self) -> None:
        """Each command that reads one says so in one line, with what to do, and exits with 2."""
        lines = without_a_configuration()
        self.assertGreater(len(lines), 10)
        for words, line in lines.items():
            result = ended()[line]
            self.assertEqual((result.code, result.out), (2, ""), words)
            expected = "nowhere.toml: there is no such file; `lineside init` writes one to start from\n"
            self.assertEqual(result.err, expected, words)

    def test_a_command_that_is_none(self) -> None:
        """Exit 2, and the word is named."""
        result = ended()["evnets",]
        self.assertEqual((result.code, result.out), (2, ""))
        self.assertIn("No such command 'evnets'", result.err)

    def test_the_release(self) -> None:
        """One line with the name and the number."""
        self.assertRegex(ended()["--version",].out, r"^lineside \d+\.\d+\.\d+\S*\n$")
