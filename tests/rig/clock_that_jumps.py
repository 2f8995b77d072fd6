"""Run ``lineside`` with a wall clock that is set back by an hour at each SIGUSR1, ahead by a year at SIGUSR2.

The clock is replaced before anything else is imported, so that nobody has kept the real one.
"""

from __future__ import annotations

import ctypes
import signal
import time

HOUR_NS = 3_600_000_000_000
YEAR_NS = 365 * 24 * HOUR_NS
PR_SET_PDEATHSIG = 1

_real_ns = time.time_ns
_behind_ns = 0


def _time_ns() -> int:
    return _real_ns() - _behind_ns


def _set_back(*_: object) -> None:
    global _behind_ns  # noqa: PLW0603 (the process has one wall clock)
    _behind_ns += HOUR_NS


def _set_ahead(*_: object) -> None:
    global _behind_ns  # noqa: PLW0603 (the process has one wall clock)
    _behind_ns -= YEAR_NS


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    time.time_ns = _time_ns
    time.time = lambda: _time_ns() / 1e9
    signal.signal(signal.SIGUSR1, _set_back)
    signal.signal(signal.SIGUSR2, _set_ahead)

    from lineside.cli import main

    main()
