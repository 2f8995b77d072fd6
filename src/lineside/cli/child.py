"""Run ``lineside`` as a child of the demonstration: ``python -m lineside.cli.child``.

A Ctrl-C in the terminal is the demonstration's alone, and a child does not outlive it.
"""

import ctypes
import os
import signal

from lineside.cli import main

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal to get when the parent dies."""

if __name__ == "__main__":
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    main()
