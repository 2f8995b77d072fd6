"""``type = "sftp"``: sources whose files partners leave by SFTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lineside.assemble.bounds import Size
from lineside.assemble.filesettings import FileKeys
from lineside.assemble.values import Duration, RelativePath
from lineside.model.wording import key_path


class SftpSourceSettings(FileKeys):
    """``[sources.NAME]`` with ``type = "sftp"``: a drop box of the SSH server, for its users with this `source`."""

    type: Literal["sftp"] = Field(description="The kind of source.")
    folder: RelativePath = Field(
        description=(
            "The folder of the drop boxes. Each user has one in it, named as the user, with `inbox`, `outbox` and "
            "`archive`, and sees nothing else. They are made when they are missing."
        )
    )
    quota: Size = Field(
        default=1_000_000_000,
        gt=0,
        description=(
            "How much a user's folders may hold together, with what was cut off. The oldest files of the archive "
            "go where a file of the `largest` size had no room."
        ),
    )
    largest: Size = Field(default=200_000_000, gt=0, description="How large one file may be.")
    rate: int = Field(
        default=600, ge=1, le=100_000, description="How many files a user may begin to send within a minute."
    )
    min_free: Size | None = Field(
        default=None,
        description=(
            "How much of the disk stays free; no file is begun below. Default: a twentieth of the disk, and no "
            "more than 500 MB."
        ),
    )
    resumable: Annotated[Duration, Field(gt=0)] = Field(
        default=7 * 86_400.0,
        description="How long a file that was cut off waits for the rest before it is removed.",
    )
    keep: Annotated[Duration, Field(gt=0)] = Field(
        default=30 * 86_400.0, description="How long files stay in the archive, and answers in the outbox."
    )

    @model_validator(mode="after")
    def _largest_fits(self) -> Self:
        if self.largest > self.quota:
            raise ValueError("largest is more than quota: no such file could be sent")
        return self


def check_drop_boxes(raw: Mapping[str, Any], sources: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with drop boxes beside their own keys; the tables are as in the file."""
    ssh = raw.get("ssh")
    users = ssh.get("users") if isinstance(ssh, dict) else None
    served = (
        {user.get("source") for user in users.values() if isinstance(user, dict)} if isinstance(users, dict) else {}
    )
    folders: dict[Any, str] = {}
    for name, table in sources.items():
        if not isinstance(table, dict) or table.get("type") != "sftp":
            continue
        where = key_path("sources", name)
        if name not in served:
            yield f'{where}: nobody can send files; a table [ssh.users.NAME] with source = "{name}" is missing'
        folder = table.get("folder")
        if isinstance(folder, str):
            if folder in folders:
                yield f"{where}.folder: it is that of {folders[folder]} already"
            folders[folder] = where
