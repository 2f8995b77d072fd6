"""Set the project up with nothing but Python's standard library: ``python3 tools/bootstrap.py [GROUP]``.

GROUP is ``runtime`` (what `lineside` needs), ``dev`` (the default: tests and checks too) or ``docs``;
``uv ARGUMENTS`` runs the uv of the last set-up instead, with the same settings.
It uses the `uv` on PATH, else fetches the one that uv.lock pins, checks its SHA-256 and keeps it in
``.tools/``; then uv makes ``.venv`` from uv.lock. Neither pip, venv nor ensurepip is needed, so Debian's
plain ``python3`` is enough. Groups that were set up before stay. See docs/decisions/0002-two-commands.md.

The environment of pip and uv is honoured: PIP_INDEX_URL, PIP_CONFIG_FILE and pip's own files, PIP_CERT,
PIP_PROXY, UV_*, SSL_CERT_FILE, HTTPS_PROXY. Exits 0, or 1 with one line that says what to do.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # this file is what tells the reader of an older one
    sys.exit(
        f"lineside: {sys.executable} is Python {sys.version.split()[0]}; 3.11 or newer is needed. "
        "Name another one: make PYTHON=python3.12 ..."
    )

import argparse
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

try:
    import sqlite3  # noqa: F401  # not used here, but lineside cannot do without
    from urllib.request import getproxies

    from network import PYPI, Fetcher, Network, SetupFailed, home, system_authorities
    from uv_wheel import Machine, fetch_uv, locked_wheels, say
except ImportError as missing:
    sys.exit(f"lineside: this Python is not complete ({missing}). On Debian or Ubuntu: apt-get install python3")

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
OLDEST_UV = (0, 8)
"""An older uv on PATH is passed over: it does not know all that uv.lock says."""
GROUPS = ("runtime", "dev", "docs")


def uv_on_path(path: str | None) -> Path | None:
    """Return the uv on PATH if it works and is new enough."""
    program = shutil.which("uv", path=path)
    if program is None:
        return None
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.match(r"uv (\d+)\.(\d+)", answer.stdout)
    if answer.returncode or version is None or (int(version[1]), int(version[2])) < OLDEST_UV:
        return None
    return Path(program)


def uv_environment(environ: Mapping[str, str], network: Network) -> dict[str, str]:
    """Return the environment in which uv finds what pip was told."""
    env = dict(environ)
    env.pop("VIRTUAL_ENV", None)
    env["UV_PROJECT_ENVIRONMENT"] = str(VENV)
    env.setdefault("UV_PYTHON_DOWNLOADS", "never")
    if network.index:
        env["UV_DEFAULT_INDEX"] = network.index
    if network.cafile:
        env["SSL_CERT_FILE"] = network.cafile
    else:
        env.pop("SSL_CERT_FILE", None)  # it names no file; uv would trust nobody
        if system_authorities():
            env.setdefault("UV_SYSTEM_CERTS", "1")
    if network.proxy and not getproxies():
        env["ALL_PROXY"] = network.proxy
    cache = Path(env.get("UV_CACHE_DIR") or Path(env.get("XDG_CACHE_HOME") or home() / ".cache") / "uv")
    there = next(parent for parent in [cache, *cache.parents] if parent.exists())
    if not os.access(there, os.W_OK):
        env["UV_CACHE_DIR"] = str(TOOLS / "cache")
    elif there.stat().st_dev != ROOT.stat().st_dev:
        env.setdefault("UV_LINK_MODE", "copy")  # another file system: links are not possible
    return env


def stamp(group: str) -> Path:
    """Return the file that says a group is set up; newer than uv.lock and pyproject.toml while it holds."""
    return VENV / f".ready-{group}"


def install(uv: Path, groups: Iterable[str], env: Mapping[str, str], *, mirror: bool) -> None:
    """Make ``.venv`` hold exactly what uv.lock says for these groups.

    Raises:
        SetupFailed: uv failed; it has told why.

    """
    wanted = ["--no-default-groups", *(f"--group={group}" for group in groups if group != "runtime")]
    python = [] if (VENV / "bin" / "python").exists() else ["--python", sys.executable]

    def run(*arguments: str) -> None:
        if subprocess.run([str(uv), *arguments], cwd=ROOT, env=env, check=False).returncode:
            raise SetupFailed("uv could not install what uv.lock names; it said why above.")

    # Compiled now, not at the first import: where nobody may or will write byte code later, each start of each
    # process would compile everything anew.
    if not mirror:
        run("sync", "--frozen", "--compile-bytecode", *wanted, *python)
        return
    # uv.lock holds PyPI's addresses; a mirror is asked for the same files by name and hash.
    if python:
        run("venv", *python, str(VENV))
    with tempfile.TemporaryDirectory() as scratch:
        requirements = str(Path(scratch, "requirements.txt"))
        run("export", "--quiet", "--frozen", "--no-emit-project", *wanted, "--output-file", requirements)
        at = ["--python", str(VENV / "bin" / "python")]
        run("pip", "sync", "--require-hashes", "--compile-bytecode", *at, requirements)
        run("pip", "install", "--no-deps", *at, "--editable", str(ROOT))


def set_up(group: str, environ: Mapping[str, str]) -> None:
    """Set a group up, and with it again every group that was set up before."""
    network = Network.told(environ)
    fetcher = Fetcher(network)
    uv = uv_on_path(environ.get("PATH"))
    if uv is None:
        lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
        uv = fetch_uv(fetcher, network.index, locked_wheels(lock, "uv"), Machine.here(), TOOLS)
    TOOLS.mkdir(exist_ok=True)
    link = TOOLS / "uv"
    link.unlink(missing_ok=True)
    link.symlink_to(uv.relative_to(TOOLS) if uv.is_relative_to(TOOLS) else uv)
    groups = [name for name in GROUPS if name == group or stamp(name).exists()]
    say(f"installing into .venv from uv.lock ({', '.join(groups)}); the first time takes about a minute ...")
    try:
        install(uv, groups, uv_environment(environ, network), mirror=network.index is not None)
    except SetupFailed:
        if not environ.get("UV_OFFLINE"):
            fetcher.get(f"{network.index or PYPI}/uv/")  # says it better, where the network is the cause
        raise
    for name in {*groups, "runtime"}:
        stamp(name).touch()
    say("ready.")


def run_uv(arguments: list[str], environ: Mapping[str, str]) -> NoReturn:
    """Become uv, with what pip and uv were told."""
    env = uv_environment(environ, Network.told(environ))
    os.execve(TOOLS / "uv", ["uv", *arguments], env)


def fail(reason: str) -> NoReturn:
    """End with one line."""
    sys.exit(f"lineside: set-up failed: {reason}")


def main() -> None:
    """Set up what the command line names."""
    parser = argparse.ArgumentParser(description="Set the project up in .venv, from uv.lock.")
    parser.add_argument("group", nargs="?", choices=[*GROUPS, "uv"], default="dev")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="for uv")
    given = parser.parse_args()
    try:
        if given.group == "uv":
            run_uv(given.arguments, os.environ)
        set_up(given.group, os.environ)
    except SetupFailed as failed:
        fail(str(failed))
    except OSError as failed:
        fail(f"{failed}. Is the checkout writable, and is there space on the disk?")
    except KeyboardInterrupt:
        fail("interrupted; run it again, it goes on where it stopped.")


if __name__ == "__main__":
    main()
