"""How fast does a partner's file arrive? OpenSSH's ``sftp`` sends one to the drop box, to sshd and to asyncssh.

See README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MEGABYTE = 1_000_000
PATIENCE = 300.0
SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/id.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
Ciphers {cipher}
MACs {mac}
"""


class Side:
    """A server in a folder of its own."""

    def __init__(self, name: str, folder: Path, user: str, goal: str) -> None:
        self.name = name
        self.folder = folder
        self.user = user
        self.goal = goal
        self.rates: list[float] = []
        self.server: subprocess.Popen[str] | None = None

    def key(self) -> None:
        """Make the keys."""
        for name in ("id", "host"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)], check=True
            )

    def run(self, *words: str) -> int:
        """Start a server that prints its port."""
        self.server = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.server.stdout is not None
        return int(self.server.stdout.readline())

    def stop(self) -> None:
        """End it."""
        if self.server is not None:
            if self.server.stdin is None:
                # A session that outlives sshd is nobody's child, and its processor time would be lost.
                sessions = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children")
                for _ in range(200):
                    if not sessions.read_text():
                        break
                    time.sleep(0.05)
                self.server.terminate()
            self.server.communicate(timeout=PATIENCE)


def start_box(side: Side, cipher: str, mac: str) -> int:
    """Start the drop box; its client chooses cipher and MAC."""
    return side.run("-m", "tests.rig.drop_box_server", str(side.folder), '{"largest": 1000000000}')


def start_asyncssh(side: Side, cipher: str, mac: str) -> int:
    """Start asyncssh."""
    (side.folder / "root").mkdir()
    return side.run(str(ROOT / "benchmarks/sftp/asyncssh_side.py"), str(side.folder), cipher, mac)


def start_sshd(side: Side, cipher: str, mac: str) -> int:
    """Start OpenSSH's server."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise SystemExit("sshd is not here: apt-get install openssh-server")
    Path("/run/sshd").mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    config = side.folder / "sshd_config"
    config.write_text(SSHD.format(port=port, folder=side.folder, cipher=cipher, mac=mac))
    side.server = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL, text=True)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return port
        time.sleep(0.05)
    raise SystemExit("sshd does not come up")


def upload(side: Side, port: int, file: Path, cipher: str, mac: str) -> float:
    """Send the file; return the seconds from the command to the next prompt, without the log-in."""
    words = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={side.folder / 'known'}", "BatchMode=yes"]
    words += [f"Ciphers={cipher}", f"MACs={mac}", "IdentitiesOnly=yes", "Compression=no"]
    options = [word for option in words for word in ("-o", option)]
    client = subprocess.Popen(
        [
            *("sftp", "-F", "none", "-i", str(side.folder / "id"), "-P", str(port)),
            *(*options, "-b", "-", f"{side.user}@127.0.0.1"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(f"put {file} {side.goal}\npwd\n")
    client.stdin.close()
    moments: dict[str, float] = {}
    for line in client.stdout:
        for word in ("put", "pwd"):
            if line.startswith(f"sftp> {word}"):
                moments[word] = time.monotonic()
    if client.wait(PATIENCE) != 0 or len(moments) != 2:
        raise SystemExit(f"{side.name} did not take the file")
    return moments["pwd"] - moments["put"]


def seconds_of_children() -> float:
    """Return the processor time of what has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds_of(process: int) -> float:
    """Return the processor time of what runs, all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(megabytes: int, rounds: int, cipher: str, mac: str, directory: Path) -> dict[str, Any]:
    """Run all sides in turn, each time with a new process and an empty folder."""
    file = directory / "file"
    with file.open("wb") as out:
        for _ in range(megabytes):
            out.write(os.urandom(MEGABYTE))
    starts: dict[str, tuple[Callable[[Side, str, str], int], str, str, str]] = {
        "lineside": (start_box, "acme", "/inbox/file", "taken/file"),
        "sshd": (start_sshd, os.environ.get("USER", "root"), "{folder}/file", "file"),
        "asyncssh": (start_asyncssh, "acme", "/file", "root/file"),
    }
    rates: dict[str, list[float]] = {name: [] for name in starts}
    busy: dict[str, list[float]] = {name: [] for name in starts}
    for turn in range(rounds):
        for name, (start, user, goal, place) in starts.items():
            folder = directory / f"{name}{turn}"
            folder.mkdir()
            side = Side(name, folder, user, goal.format(folder=folder))
            side.key()
            try:
                port = start(side, cipher, mac)
                assert side.server is not None
                started = seconds_of(side.server.pid)
                seconds = upload(side, port, file, cipher, mac)
                before = seconds_of_children()
            finally:
                side.stop()
            busy[name].append((seconds_of_children() - before - started) / megabytes * 1000)
            if (folder / place).stat().st_size != file.stat().st_size:
                raise SystemExit(f"{name} has not the whole file")
            shutil.rmtree(folder)
            rates[name].append(megabytes / seconds)
            print(
                f"  {name:9} {megabytes / seconds:7.1f} MB/s   {busy[name][-1]:6.1f} ms of a processor a MB",
                file=sys.stderr,
                flush=True,
            )
    medians = {name: statistics.median(found) for name, found in rates.items()}
    return {
        "megabytes": megabytes,
        "cipher": cipher,
        "mac": mac,
        "load": os.getloadavg()[0],
        "rates": rates,
        "medians": medians,
        "milliseconds a megabyte": {name: statistics.median(found) for name, found in busy.items()},
        "of sshd": medians["lineside"] / medians["sshd"],
        "of asyncssh": medians["lineside"] / medians["asyncssh"],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cipher", default="aes128-ctr")
    parser.add_argument("--mac", default="hmac-sha2-256")
    parser.add_argument("--directory", type=Path, default=Path())
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory, prefix="sftp-") as directory:
        found = measure(given.megabytes, given.rounds, given.cipher, given.mac, Path(directory).resolve())
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for name, rate in found["medians"].items():
        print(f"{name:9} {rate:7.1f} MB/s   {found['milliseconds a megabyte'][name]:6.1f} ms of a processor a MB")
    print(f"of sshd {found['of sshd']:.2f}, of asyncssh {found['of asyncssh']:.2f}; load {found['load']:.1f}")


if __name__ == "__main__":
    main()
