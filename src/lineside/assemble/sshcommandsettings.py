"""``[sources.NAME]`` with ``type = "ssh-command"``: lines that a command on a host writes."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lineside.assemble.framings import CrFraming, CrlfFraming, LfFraming
from lineside.assemble.hostsettings import HostKeys
from lineside.assemble.linessettings import PollSettings, StreamKeys
from lineside.assemble.values import Duration, Shape


def _command(text: str) -> str:
    if "\0" in text or not text.strip():
        raise ValueError("expected a command as the host's shell reads it")
    return text


def _path(text: str) -> str:
    if not text.startswith("/") or text.endswith("/") or any(each in text for each in "\0\n!"):
        raise ValueError("expected the whole path of a file there, such as /var/log/scale.log")
    return text


_OF_COMMANDS = ("poll", "ack", "idle_timeout", "commands", "rate", "max_in_flight")
_OF_FILES = ("every", "rotated", "begin")
_LINES = (LfFraming, CrlfFraming, CrFraming)


class CommandKeys(HostKeys):
    """The keys for the way to the lines."""

    type: Literal["ssh-command"] = Field(description="The kind of source.")
    command: Annotated[str, Field(max_length=8_192), AfterValidator(_command)] | None = Field(
        default=None,
        description=(
            "What is run there, as our user's shell reads it: `tail -n 0 -F /var/log/scale.log`. Its standard "
            "output is the source's stream; when it ends it is run again. A source has this or `follow`. Default: "
            "none, for a source that follows a file."
        ),
    )
    follow: Annotated[str, Field(max_length=4_096), AfterValidator(_path), Shape("path there")] | None = Field(
        default=None,
        description=(
            "A file there whose lines become events, each once: how far it was taken is stored with them. The host "
            "needs `tail -c +N`. Default: none, for a source that runs a command."
        ),
    )
    every: Annotated[Duration, Field(ge=0.1, le=3_600.0)] = Field(
        default=1.0, description="With `follow`: how often the file is looked at."
    )
    rotated: Annotated[str, Field(max_length=4_096), AfterValidator(_path), Shape("path there")] | None = Field(
        default=None,
        description=(
            "With `follow`: what the file is called after its rotation, not compressed yet. Default: the file's "
            "name and `.1`."
        ),
    )
    begin: Literal["all", "new"] = Field(
        default="all",
        description=(
            "With `follow`: where a file begins that was never followed before: with all its lines, or with those "
            "to come."
        ),
    )
    poll: PollSettings | None = Field(
        default=None,
        description=(
            "What is written to the command's standard input, and how often: a table, as for a device that is "
            "dialled. Default: nothing, it writes by itself."
        ),
    )
    ack: bool = Field(
        default=False,
        description=(
            "Whether each line is answered on the command's standard input, once it is on disk. Only a command "
            "that reads its input has a use for that."
        ),
    )
    idle_timeout: Duration = Field(
        default=0.0,
        description=(
            'Silence after which the command is begun again, over a new connection; `"0"` for never. A host that '
            "is not there any more is found without it, within two minutes."
        ),
    )


class SshCommandSettings(StreamKeys, CommandKeys):
    """``[sources.NAME]`` with ``type = "ssh-command"``: what a command writes on a host that speaks SSH."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.command is None) == (self.follow is None):
            raise ValueError("command is missing: what is run there? Or set follow, for a file; set one of them")
        idle = _OF_FILES if self.follow is None else _OF_COMMANDS
        for key in idle:
            if key in self.model_fields_set:
                needed = "follow" if self.follow is None else "command"
                raise ValueError(f"{key} is only for a source with {needed}; remove it")
        if self.follow is not None and not isinstance(self.framing, _LINES):
            raise ValueError('follow needs lines: framing is "lf", "crlf" or "cr"')
        return self

    @property
    def place(self) -> str:
        """Where it runs, for people."""
        host = self.address
        return f"ssh://{self.user}@{host.host}:{host.port}{self.follow or ''}"
