"""``[sources.NAME]`` with ``type = "ssh-command"``: lines that a command on a host writes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from lineside.assemble.hostsettings import HostKeys
from lineside.assemble.linessettings import PollSettings, StreamKeys
from lineside.assemble.values import Duration


def _command(text: str) -> str:
    if "\0" in text or not text.strip():
        raise ValueError("expected a command as the host's shell reads it")
    return text


class CommandKeys(HostKeys):
    """The keys for the way to the lines."""

    type: Literal["ssh-command"] = Field(description="The kind of source.")
    command: Annotated[str, Field(max_length=8_192), AfterValidator(_command)] = Field(
        description=(
            "What is run there, as our user's shell reads it: `tail -n 0 -F /var/log/scale.log`. Its standard "
            "output is the source's stream; when it ends it is run again."
        )
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

    @property
    def place(self) -> str:
        """Where it runs, for people."""
        host = self.address
        return f"ssh://{self.user}@{host.host}:{host.port}"
