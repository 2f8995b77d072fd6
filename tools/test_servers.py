"""Install what the tests run beside the gateway: ``python tools/test_servers.py``, which `make test` calls.

MariaDB, PostgreSQL, Redis, Chromium, OpenSSL's client, OpenSSH, dig and dnsmasq come from Debian's packages. Where
all are installed it says nothing and is done at once. As root on a Debian system it installs what is missing, and
lets no service start. Otherwise it says what is missing and why it stays so: the tests that need it are then
skipped, with the reason. It never fails: a machine without a network runs the other tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "mariadb-server": ("mariadbd", "/usr/sbin/mariadbd"),
    "postgresql": ("/usr/lib/postgresql/*/bin/postgres",),
    "chromium": ("chromium",),
    "chromium-headless-shell": ("chromium-headless-shell",),
    "redis-server": ("redis-server",),
    "openssl": ("openssl",),
    "openssh-client": ("sftp",),
    "openssh-server": ("/usr/sbin/sshd",),
    "bind9-dnsutils": ("dig",),
    "dnsmasq-base": ("dnsmasq", "/usr/sbin/dnsmasq"),
}
"""By Debian's package: programs of which one says that it is there; on PATH, or a pattern of files."""

UPDATE_SECONDS = 120.0
INSTALL_SECONDS = 900.0
NO_SERVICE = "#!/bin/sh\nexit 101\n"
"""A policy by which no package starts its service (Debian Policy, section 9.3.3.1, `invoke-rc.d`)."""
POLICY = Path("/usr/sbin/policy-rc.d")


def there(programs: Iterable[str]) -> bool:
    """Tell whether one of these programs is installed."""
    return any(
        any(Path("/").glob(program[1:])) if program.startswith("/") else shutil.which(program) is not None
        for program in programs
    )


def missing() -> list[str]:
    """Return the packages whose programs are not installed."""
    return [package for package, programs in PROGRAMS.items() if not there(programs)]


def obstacle() -> str | None:
    """Return why nothing can be installed here; None where it can."""
    if shutil.which("apt-get") is None:
        return "this is no Debian system"
    if os.geteuid() != 0:
        return "only root installs packages"
    return None


@contextmanager
def quiet_services(policy: Path = POLICY) -> Iterator[None]:
    """Let no package start its service meanwhile; a policy that is there already stays."""
    if policy.exists():
        yield
        return
    policy.write_text(NO_SERVICE, encoding="ascii")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def install(packages: list[str], run: Callable[[list[str], float], str | None]) -> str | None:
    """Install packages; return why that failed, in a line."""
    stale = run(["apt-get", "update", "-qq"], UPDATE_SECONDS)
    # Without fresh lists the packages may be had all the same.
    wrong = run(["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages], INSTALL_SECONDS)
    return wrong and (stale or wrong)


def run_quietly(command: list[str], seconds: float) -> str | None:
    """Run a command; return the last line that it said if it failed."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    with tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=environment,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"{' '.join(command[:2])} took more than {seconds:.0f} s"
        except OSError as failed:
            return f"{command[0]}: {failed.strerror}"
        if done.returncode == 0:
            return None
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"{' '.join(command[:2])} exited with {done.returncode}"


def main() -> None:
    """Install what is missing, if that is possible."""
    packages = missing()
    if not packages:
        return
    names = ", ".join(packages)
    why = obstacle()
    if why is None:
        print(f"installing for the tests, from Debian's packages: {names}", flush=True)
        with quiet_services():
            why = install(packages, run_quietly)
        packages = missing()
    if packages:
        print(f"not installed: {', '.join(packages)} ({why}); tests that need them are skipped", flush=True)


if __name__ == "__main__":
    main()
