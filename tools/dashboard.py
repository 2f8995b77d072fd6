"""Build the dashboard into the package: ``python3 tools/dashboard.py [--if-possible]``, as `make dashboard` does.

It takes the Node.js of this machine if it is new enough, else fetches the one that uv.lock pins into ``.tools/``;
installs what frontend/package-lock.json pins, by hash and without running any package's own scripts; and lets Vite
build. npm's own settings are honoured, such as a mirror of its registry. With ``--if-possible`` a failure is told
in one line and is no error: the gateway works without a dashboard, and says so at its address. With ``--check`` the
source is checked in place of being built: its types, and the tests of its pure parts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.request import getproxies

from bootstrap import ROOT, TOOLS
from network import Fetcher, Network, SetupFailed, home
from node_wheel import PACKAGE, fetch_node, node_on_path
from uv_wheel import Machine, locked_wheels, say

FRONTEND = ROOT / "frontend"
LOCK = FRONTEND / "package-lock.json"
INSTALLED = FRONTEND / "node_modules" / ".package-lock.json"
"""npm writes it when all is there."""


def npm_environment(environ: Mapping[str, str], network: Network, node: Path) -> dict[str, str]:
    """Return the environment for npm and Vite."""
    env = dict(environ)
    env["PATH"] = os.pathsep.join([str(node.parent), env.get("PATH", "")])
    env.setdefault("NO_UPDATE_NOTIFIER", "1")
    env.setdefault("npm_config_fetch_retries", "1")
    if env.get("UV_OFFLINE"):
        env.setdefault("npm_config_offline", "true")
    if network.cafile:
        env.setdefault("NODE_EXTRA_CA_CERTS", network.cafile)
    if network.proxy and not getproxies():
        env.setdefault("npm_config_https_proxy", network.proxy)
    cache = Path(env.get("npm_config_cache") or home() / ".npm")
    there = next(parent for parent in [cache, *cache.parents] if parent.exists())
    if not os.access(there, os.W_OK):
        env["npm_config_cache"] = str(TOOLS / "npm")
    return env


def run(command: list[str], env: Mapping[str, str], failed: str) -> None:
    """Run a command in frontend/; what it says is shown only if it fails.

    Raises:
        SetupFailed: it did.

    """
    done = subprocess.run(
        command, cwd=FRONTEND, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
        raise SetupFailed(failed)


def set_up(environ: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    """Install what is missing; return Node.js and the environment for it.

    Raises:
        SetupFailed: says what to do.

    """
    network = Network.told(environ)
    found = node_on_path(environ.get("PATH"))
    if found is None:
        lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
        wheels = locked_wheels(lock, PACKAGE)
        found = fetch_node(Fetcher(network), network.index, wheels, Machine.here(), TOOLS)
    node, npm = found
    env = npm_environment(environ, network, node)
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
        say("installing what builds the dashboard, from package-lock.json; once, some seconds ...")
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        run([*npm, "ci", *quiet], env, "npm could not install what frontend/package-lock.json names; see above.")
        INSTALLED.touch()
    return node, env


def build(environ: Mapping[str, str]) -> None:
    """Build the dashboard into the package.

    Raises:
        SetupFailed: says what to do.

    """
    node, env = set_up(environ)
    say("building the dashboard ...")
    vite = [str(node), "node_modules/vite/bin/vite.js"]
    run([*vite, "build"], env, "Vite could not build the dashboard; see above.")


def check(environ: Mapping[str, str]) -> None:
    """Check the source's types, and run the tests of its pure parts.

    Raises:
        SetupFailed: something is wrong; it was told.

    """
    node, env = set_up(environ)
    types = [str(node), "node_modules/vue-tsc/bin/vue-tsc.js", "--noEmit"]
    run(types, env, "types in frontend/ are wrong; see above.")
    tests = [str(node), "node_modules/vitest/vitest.mjs", "run"]
    run(tests, env, "tests in frontend/ fail; see above.")


def main() -> None:
    """Build, and end as the command line asks."""
    parser = argparse.ArgumentParser(description="Build the dashboard into the package.")
    parser.add_argument("--if-possible", action="store_true", help="a failure is told, and is no error")
    parser.add_argument("--check", action="store_true", help="check the source, and build nothing")
    given = parser.parse_args()
    try:
        (check if given.check else build)(os.environ)
    except (SetupFailed, OSError) as failed:
        if not given.if_possible:
            sys.exit(f"lineside: the dashboard: {failed}")
        say(f"going on without the dashboard: {failed}")


if __name__ == "__main__":
    main()
