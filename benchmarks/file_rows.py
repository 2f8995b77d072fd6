"""How many rows of a partner's file a second become events? See README.md."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CSV = '{ type = "csv", delimiter = ";" }'
FORMATS = {
    "csv": CSV,
    "csv cp1252 types": '{ type = "csv", delimiter = ";", encoding = "cp1252", types = { qty = "int" } }',
    "csv utf-16": '{ type = "csv", delimiter = ";", encoding = "utf-16" }',
    "csv with trailer": CSV,
    "csv with keys": CSV,
    "json": '"json"',
    "fixed": (
        '{ type = "fixed", columns = [{ name = "code", width = 10 }, { name = "qty", width = 6 }, '
        '{ name = "place", width = 12 }, { name = "at", width = 19 }] }'
    ),
}
MORE = {"csv with trailer": "trailer = 'END;(?P<count>\\d+)'\n", "csv with keys": 'dedupe = "code"\n'}
CONFIGURATION = """
[targets.none]
type = "sql"
database = "none"
[databases.none]
type = "sqlite"
path = "none.db"
[sources.other]
type = "tasks"
[sources.files]
type = "folder"
path = "in"
every = "100ms"
done = ".done"
max_spool = "10GB"
format = {format}
{more}
[routes.none]
sources = ["other"]
table = "unread"
document = {{ a = "b" }}
"""


def content(name: str, rows: int) -> bytes:
    """Return a file."""
    values = (
        (f"C{row:09}", f"{row % 1000}", f"A-{row % 50:02}-{row % 7}", "2026-03-09T08:15:00") for row in range(rows)
    )
    if name == "json":
        return b"".join(
            json.dumps({"code": code, "qty": int(qty), "place": place, "at": at}).encode() + b"\n"
            for code, qty, place, at in values
        )
    if name == "fixed":
        return b"".join(f"{code:10}{qty:6}{place:12}{at:19}\r\n".encode() for code, qty, place, at in values)
    text = "code;qty;place;at\r\n" + "".join(";".join(row) + "\r\n" for row in values)
    if name == "csv with trailer":
        text += f"END;{rows}\r\n"
    return text.encode("utf-16" if name == "csv utf-16" else "cp1252")


def measure(name: str, data: bytes, rows: int, directory: Path) -> tuple[float, float]:
    """Return rows a second of a new gateway, from the file to its last commit, and µs of CPU a row."""
    if directory.exists():
        shutil.rmtree(directory)
    (directory / "in").mkdir(parents=True)
    (directory / "lineside.toml").write_text(CONFIGURATION.format(format=FORMATS[name], more=MORE.get(name, "")))
    sqlite3.connect(directory / "none.db").execute("CREATE TABLE unread (a TEXT, lineside_id TEXT UNIQUE)")
    with (directory / "log").open("wb") as log:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "lineside", "run", "-c", str(directory / "lineside.toml")], stderr=log
        )
    try:
        while b"gateway.ready" not in (directory / "log").read_bytes():
            time.sleep(0.05)
        (directory / "in" / "a.txt").write_bytes(data)
        os.sync()
        before = _cpu(gateway.pid)
        (directory / "in" / "a.txt.done").touch()
        began = time.monotonic()
        journal = sqlite3.connect(f"file:{directory / 'journal.db'}?mode=ro", uri=True)
        while journal.execute("SELECT state, rows FROM file").fetchall() != [("read", rows)]:
            if gateway.poll() is not None:
                sys.exit(f"the gateway ended; see {directory / 'log'}")
            time.sleep(0.02)
        took = time.monotonic() - began
        used = _cpu(gateway.pid) - before
        (stored,) = journal.execute("SELECT SUM(last - first + 1) FROM segment").fetchone()
        journal.close()
        if stored != rows:
            sys.exit(f"{stored} events of {rows} rows")
    finally:
        gateway.send_signal(signal.SIGTERM)
        gateway.wait()
    return rows / took, used / rows * 1e6


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", default=",".join(FORMATS), help="comma-separated")
    parser.add_argument("--directory", type=Path, default=Path(), help="on the disk to measure")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    results = {}
    with tempfile.TemporaryDirectory(dir=given.directory) as held:
        for name in given.formats.split(","):
            data = content(name, given.rows)
            rounds = [measure(name, data, given.rows, Path(held) / "plant") for _ in range(given.rounds)]
            rates, used = zip(*rounds, strict=True)
            results[name] = {
                "rows": given.rows,
                "bytes": len(data),
                "rows_per_second": round(statistics.median(rates)),
                "lowest": round(min(rates)),
                "highest": round(max(rates)),
                "cpu_us_per_row": round(statistics.median(used), 2),
            }
            if not given.json:
                told = results[name]
                print(
                    f"{name:20} {told['rows_per_second']:>9,} rows/s  ({told['lowest']:,} to {told['highest']:,})  "
                    f"{told['cpu_us_per_row']} µs of processor a row",
                    flush=True,
                )
    if given.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
