"""What a demonstration script is written with: an ERP, the chapter's example, clients and a narrator.

A demonstration drives programs from outside as a person at a terminal would, one after the other. So it is plain
blocking code, in a process without a reactor. It uses whatever free ports there are, works in a folder of its own
that is removed at the end, and leaves no process behind.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from lineside.workshop.course import installed_course
from lineside.workshop.erp import Erp
from lineside.workshop.programs import PATIENCE, Missed, Program
from lineside.workshop.screen import Screen
from lineside.workshop.websocket import WebSocket

SHOWN = 70
"""Characters of what a scanner sends that are shown."""

Play = Callable[["Stage"], None]


class Stage:
    """Where a demonstration plays.

    Args:
        chapter: the chapter's folder.
        screen: shows it.
        python: the interpreter that runs the example; Lineside need not be installed there.
        stack: closes what was opened.

    """

    def __init__(self, chapter: Path, screen: Screen, python: str, stack: ExitStack) -> None:
        self.chapter = chapter
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lineside-workshop-")))
        """A folder for what the demonstration writes; removed at the end."""
        self.failed: list[str] = []
        """Claims that did not hold."""
        self._screen = screen
        self._python = python
        self._stack = stack
        self.step, self.say, self.notice = screen.step, screen.say, screen.notice

    def erp(self) -> Erp:
        """Start the ERP with the warehouse's master data."""
        erp = Erp(installed_course().root, self.folder / "erp.db")
        self._stack.callback(erp.stop)
        return erp

    def example(
        self, *arguments: str, file: str = "example.py", environ: dict[str, str] | None = None, quiet: bool = False
    ) -> Program:
        """Start the chapter's example, or another file of the chapter, and show what it prints.

        Its output is to be waited for with `Program.expect`.
        """
        self._screen.command(shlex.join(["python", file, *arguments]))
        heard = (lambda line: None) if quiet else (lambda line: self._screen.lines(Path(file).stem, line))
        program = Program(
            file,
            [self._python, str(self.chapter / file), *arguments],
            environ=environ,
            folder=self.folder,
            heard=heard,
        )
        self._stack.callback(program.stop)
        return program

    def run(self, *command: str, send: str = "", within: float = PATIENCE, shown: str | None = None) -> str:
        """Run a program such as curl to its end, and show what it printed.

        Args:
            command: the program and its arguments.
            send: what it gets on standard input.
            within: seconds until it counts as hanging.
            shown: what is shown as typed, where the command itself is too long to read.

        Returns:
            What it printed, standard error included. A failure is no exception: it may be what is shown.

        Raises:
            Missed: it did not end in time.

        """
        self._screen.command(shown or shlex.join(command))
        try:
            done = subprocess.run(  # noqa: S603 (the course's own commands)
                command,
                input=send,
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=within,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise Missed(f"{command[0]} did not end within {within:.0f} s") from late
        self._screen.lines(Path(command[0]).name, done.stdout.rstrip("\n"))
        return done.stdout

    def curl(self, url: str, *, send: str | None = None, quiet: bool = False) -> tuple[int, str]:
        """Ask an HTTP server with curl, or with Python where there is none.

        Args:
            url: what is asked for.
            send: JSON for a POST; a GET without.
            quiet: whether nothing of it is shown.

        Returns:
            The status and the body; status 0 where no answer came.

        """
        command = ["curl", "--silent", "--show-error", url]
        if send is not None:
            command[-1:] = ["--header", "Content-Type: application/json", "--data", send, url]
        if not quiet:
            self._screen.command(shlex.join(command))
        fetched = _by_curl if shutil.which("curl") else _by_python
        status, body = fetched(command, url, send)
        if not quiet:
            self._screen.lines("curl", f"{status} {body}".rstrip())
        return status, body

    def installed(self, program: str) -> bool:
        """Tell whether a program is on this machine; says so where it is not."""
        found = shutil.which(program) is not None
        if not found:
            self.say(f"({program} is not installed here, so a few lines of Python take its part.)")
        return found

    def lines(self, who: str, text: str) -> None:
        """Show lines as said by a client that the script plays itself."""
        self._screen.lines(who, text)

    def scanner(self, name: str, port: int, *, quiet: bool = False) -> Scanner:
        """Connect a scanner: a plain TCP socket that speaks lines; what a quiet one says is not shown."""
        scanner = Scanner(name, port, None if quiet else self._screen)
        self._stack.callback(scanner.close)
        return scanner

    def websocket(self, port: int, *, origin: str | None = None, receive_buffer: int | None = None) -> WebSocket:
        """Connect a `WebSocket` client, which takes the same arguments; what goes over the wire is not shown."""
        client = WebSocket(port, origin=origin, receive_buffer=receive_buffer)
        self._stack.callback(client.hang_up)
        return client

    def check(self, claim: str, held: object) -> None:
        """Claim something that was to be seen; a claim that does not hold fails the demonstration at its end."""
        self._screen.claim(claim, held=bool(held))
        if not held:
            self.failed.append(claim)


class Scanner:
    """A scanner that the script plays; what goes over the wire is shown."""

    def __init__(self, name: str, port: int, screen: Screen | None) -> None:
        self._name, self._screen = name, screen
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._stream = self._socket.makefile("rb")

    def send(self, text: str) -> None:
        """Send a line, ended by CR LF."""
        self.send_bytes(text.encode() + b"\r\n")

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are: half a line, or many lines at once."""
        self._show(f"sends   {_short(data)}")
        self._socket.sendall(data)

    def answer(self) -> str:
        """Wait for a line, and return it without its end; an empty one where the other side has closed.

        Raises:
            Missed: nothing came.

        """
        try:
            line = self._stream.readline().decode().rstrip("\r\n")
        except TimeoutError as late:
            raise Missed(f"{self._name} got no answer within {PATIENCE:.0f} s") from late
        except ConnectionError:
            line = ""
        self._show(f"hears   {line!r}" if line else "is cut off")
        return line

    def _show(self, text: str) -> None:
        if self._screen is not None:
            self._screen.lines(self._name, text)

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self._socket.close()


def _by_curl(command: list[str], _url: str, _send: str | None) -> tuple[int, str]:
    done = subprocess.run(  # noqa: S603 (the course's own commands)
        [*command, "--max-time", f"{PATIENCE:.0f}", "--write-out", "\n%{http_code}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    body, _line, status = done.stdout.rpartition("\n")
    return int(status), body.strip()


def _by_python(_command: list[str], url: str, send: str | None) -> tuple[int, str]:
    request = Request(url, None if send is None else send.encode())  # noqa: S310 (the course's own servers)
    request.add_header("Content-Type", "application/json")
    try:
        with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 (as above)
            return answer.status, answer.read().decode(errors="replace").strip()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace").strip()
    except OSError as error:
        return 0, str(error)


def _short(data: bytes) -> str:
    text = repr(data.decode(errors="backslashreplace"))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(data)} bytes)"


def perform(play: Play) -> None:
    """Play a demonstration as a script; exits with 1 if it came to a stop or a claim of it did not hold.

    Ctrl-C, or the end of standard input, ends it with 130 and no traceback.
    """
    arguments = argparse.ArgumentParser(description=play.__doc__)
    arguments.add_argument("--fast", action="store_true", help="do not wait for Enter between the steps")
    arguments.add_argument("--python", default=sys.executable, help="the interpreter that runs the example")
    given = arguments.parse_args()
    screen = Screen(pauses=not given.fast)
    with ExitStack() as stack:
        # Examples work in a folder of their own. Not resolved: that an environment's Python is a link makes it one.
        python = str(Path(given.python).absolute())
        stage = Stage(Path(sys.argv[0]).resolve().parent, screen, python, stack)
        try:
            play(stage)
        except Missed as missed:
            stage.check(str(missed), held=False)
        except (KeyboardInterrupt, EOFError):  # whoever watches has seen enough
            sys.exit(130)
    if stage.failed:
        sys.exit(1)
