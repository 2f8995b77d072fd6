"""Install sslyze, which scans listeners in the tests: ``python tools/tls_scanner.py``, which `make test` calls.

It is in an environment of its own, ``.tools/sslyze``, with what tls_scanner.txt pins by hash: it needs an older
cryptography than the gateway is tested with. Where it is there already it says nothing and is done at once. It
never fails: without a package index the tests that need it are skipped, with the reason.

The pins are made anew with ``echo sslyze | python3 tools/bootstrap.py uv pip compile --generate-hashes --universal
--python-version 3.11 --no-header --no-annotate - > tools/tls_scanner.txt``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tools" / "tls_scanner.txt"
PLACE = ROOT / ".tools" / "sslyze"
PROGRAM = PLACE / "bin" / "sslyze"
SECONDS = 300.0


def is_there(place: Path = PLACE, pins: Path = PINS) -> bool:
    """Tell whether what the pins name is installed."""
    mark = place / "pins.txt"
    return mark.exists() and mark.read_bytes() == pins.read_bytes()


def install(place: Path = PLACE, pins: Path = PINS) -> str | None:
    """Install it; return why that failed, in a line."""
    uv = [sys.executable, str(ROOT / "tools" / "bootstrap.py"), "uv"]
    for command in (
        ["venv", "--quiet", "--clear", "--python", sys.executable, str(place)],
        [
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--python",
            str(place / "bin" / "python"),
            "-r",
            str(pins),
        ],
    ):
        try:
            done = subprocess.run([*uv, *command], capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return f"uv {command[0]} took more than {SECONDS:.0f} s"
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            return lines[-1].strip() if lines else f"uv {command[0]} exited with {done.returncode}"
    # The last thing: what was begun and not finished is begun again.
    (place / "pins.txt").write_bytes(pins.read_bytes())
    return None


def main() -> None:
    """Install what is missing, if that is possible."""
    if is_there():
        return
    print("installing for the tests: sslyze", flush=True)
    why = install()
    if why is not None:
        print(f"not installed: sslyze ({why}); tests that need it are skipped", flush=True)


if __name__ == "__main__":
    main()
