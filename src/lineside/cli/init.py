"""``lineside init``: a configuration to start from."""

from __future__ import annotations

from pathlib import Path

import click

from lineside.assemble import sample
from lineside.model.errors import LinesideError


@click.command(epilog="Example: lineside init /etc/lineside/lineside.toml")
@click.argument("path", type=click.Path(path_type=Path), default="lineside.toml")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def command(path: Path, force: bool) -> None:
    """Write a commented configuration to PATH, a file or a directory; default: lineside.toml."""
    if path.is_dir():
        path /= "lineside.toml"
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(sample.text())
    except FileExistsError:
        raise LinesideError(f"{path} exists already; --force overwrites it") from None
    except OSError as wrong:
        raise LinesideError(f"cannot write {path}: {wrong.strerror}") from wrong
    option = "" if path == Path("lineside.toml") else f" -c {path}"
    click.echo(f"wrote {path}; edit it, then: lineside check{option}")
