"""``[sources.NAME]`` with ``type = "sftp-pull"``: whole files that are fetched from a partner."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from lineside.assemble.bounds import Size
from lineside.assemble.filesettings import FileKeys
from lineside.assemble.hostsettings import HostKeys
from lineside.assemble.values import Duration, RelativePath, Shape


def _remote(path: str) -> str:
    if "\0" in path or not path.strip():
        raise ValueError("expected the path of a folder there")
    return path if path == "/" else path.rstrip("/")


RemotePath = Annotated[str, Field(min_length=1, max_length=1_024), AfterValidator(_remote), Shape("path there")]


class SftpPullSettings(FileKeys, HostKeys):
    """``[sources.NAME]`` with ``type = "sftp-pull"``: whole files in a folder of a partner's SFTP server."""

    type: Literal["sftp-pull"] = Field(description="The kind of source.")
    folder: RemotePath = Field(
        description="The folder there, such as `out`; without a `/` first, of our user's own."
    )
    path: RelativePath = Field(
        description=(
            "The local folder for this source alone: `outbox` in it gets the answers, `archive` the files whose "
            "rows are events. It is made when it is missing."
        )
    )
    pattern: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        default="*",
        description=(
            "Which files are fetched, as in a shell: `orders-*.csv`. Names that begin with a dot or end with "
            "`.part`, `.filepart`, `.tmp`, `.crdownload` or `.swp` never are."
        ),
    )
    every: Annotated[Duration, Field(ge=0.1)] = Field(default=60.0, description="How often it is looked.")
    settled: bool = Field(
        default=True,
        description=(
            "Whether a file is fetched only when two looks in a row find its size and time unchanged; `false` for "
            "a partner who renames whole files into the folder."
        ),
    )
    then: Literal["move", "delete", "keep"] = Field(
        default="keep",
        description=(
            "What becomes of a file there once it is taken and synced here: it is moved to `done`, removed, or "
            "left. One that is left is fetched again only when its size or time changes."
        ),
    )
    done: RemotePath | None = Field(
        default=None,
        description='With `then = "move"`: the folder there for taken files. Default: `done` in `folder`.',
    )
    max_file: Size = Field(
        default=1_000_000_000, gt=0, description="How large a file may be; a larger one is left, and told of."
    )
    sender: Annotated[str, Field(min_length=1, max_length=140)] | None = Field(
        default=None, description="How the partner is called. Default: the source's name."
    )

    @model_validator(mode="after")
    def _moved(self) -> Self:
        if self.done is not None and self.then != "move":
            raise ValueError('done is only for then = "move"; remove it, or set that')
        if self.done == self.folder:
            raise ValueError("done: it is the folder itself, where files would be fetched again")
        return self

    @field_validator("every")
    @classmethod
    def _not_too_seldom(cls, every: float) -> float:
        if every > 86_400:
            raise ValueError("at least once a day")
        return every
