"""A journal's copies: made while a gateway writes, and put back where none does.

All of it blocks: it is for the command line, not for the reactor's thread.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from sqlite3 import Connection

from lineside.journal.soundness import Progress, Soundness, examine, open_to_read
from lineside.model.errors import LinesideError
from lineside.store.lock import FileLock

PAGES = 2048
"""Pages that are copied between two signs of progress."""
LOGS = ("-wal", "-shm")
"""What SQLite keeps beside a file that is in use, or whose process was killed."""


def back_up(journal: Path, copy: Path, *, progress: Progress = lambda what, done, total: None) -> Soundness:
    """Copy a journal as it is at one moment, synced and read back; a gateway may hold and write it meanwhile.

    The copy is one file, for its owner only. It gets its name when it is whole.

    Raises:
        LinesideError: there is no journal, ``copy`` is there already, cannot be written, or is not sound.

    """
    if os.path.lexists(copy):
        raise LinesideError(f"{copy} is there already; give the name of a new file")
    with _coming(copy) as unfinished:
        _copy(journal, unfinished, progress)
        found = _sound(unfinished, progress)
        unfinished.rename(copy)
        _sync(copy.parent)
    return found


def put_back(
    copy: Path, journal: Path, *, progress: Progress = lambda what, done, total: None, now: float | None = None
) -> tuple[Soundness, Path | None]:
    """Put a copy in a journal's place; returns what it holds, and where the one before was moved to.

    The copy is read before anything is changed, and stays. The journal gets a new epoch: who follows its sequence
    from outside must not take the next events for those that had the same numbers before.

    Raises:
        JournalLocked: a gateway holds the journal.
        LinesideError: the copy is not sound, or cannot be put there.

    """
    found = _sound(copy, progress)
    lock = FileLock(journal.with_name(journal.name + ".lock"))
    try:
        lock.acquire()
    except OSError as failed:
        raise LinesideError(f"cannot lock {journal}: {failed.strerror}") from failed
    try:
        with _coming(journal) as unfinished:
            _copy(copy, unfinished, progress, renew=True)
            _own_like(unfinished, journal if journal.exists() else journal.parent)
            replaced = _set_aside(journal, time.time() if now is None else now) if journal.exists() else None
            unfinished.replace(journal)
            _sync(journal.parent)
    finally:
        lock.release()
    return found, replaced


@contextmanager
def _coming(path: Path) -> Iterator[Path]:
    """Give a new file beside ``path``, which is removed again where it does not become it."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        yield unfinished
    except OSError as failed:
        raise LinesideError(f"cannot write {path}: {failed.strerror}") from failed
    finally:
        for name in ("", "-journal"):
            with suppress(OSError):
                unfinished.with_name(unfinished.name + name).unlink()


def _copy(source: Path, target: Path, progress: Progress, *, renew: bool = False) -> None:
    def tell(status: int, remaining: int, total: int) -> None:
        progress("copying", total - remaining, total)

    try:
        with closing(open_to_read(source)) as reading, closing(_connect(target)) as writing:
            # One snapshot for all steps: SQLite would begin anew at each commit of the gateway's.
            reading.execute("BEGIN")
            reading.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
            reading.backup(writing, pages=PAGES, progress=tell, sleep=0)
            # A file in WAL mode would leave two others beside it wherever it is opened.
            writing.execute("PRAGMA journal_mode=DELETE")
            if renew:
                writing.execute("UPDATE journal SET epoch = lower(hex(randomblob(8)))")
    except sqlite3.Error as failed:
        raise LinesideError(f"cannot copy {source} to {target.parent}: {failed}") from failed
    _sync(target)


def _connect(path: Path) -> Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _sound(path: Path, progress: Progress) -> Soundness:
    found = examine(path, quick=True, progress=progress)
    if not found.sound:
        raise LinesideError(f"{path} is not sound: {found.problems[0]}")
    return found


def _set_aside(journal: Path, now: float) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    replaced = journal.with_name(f"{journal.name}.replaced-{stamp}")
    if os.path.lexists(replaced):
        raise LinesideError(f"{replaced} is there already; wait a second")
    # Where it can be opened its log goes into it, so that there is one file to move. A damaged one keeps its log.
    with suppress(sqlite3.Error), closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    try:
        # A second name, so that at no moment the journal has none: a gateway would begin an empty one.
        replaced.hardlink_to(journal)
    except OSError:
        journal.rename(replaced)
    for log in LOGS:
        beside = journal.with_name(journal.name + log)
        if beside.exists():
            beside.rename(replaced.with_name(replaced.name + log))
    _sync(journal.parent)
    return replaced


def _own_like(path: Path, other: Path) -> None:
    # Whoever restores as root must not leave a file that the gateway's user cannot open.
    if os.geteuid() == 0:
        owner = other.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
