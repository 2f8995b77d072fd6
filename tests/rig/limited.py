"""Run ``lineside`` with less than it is used to: ``limited.py NAME=NUMBER,... COMMAND``, names as in setrlimit(2).

``limited.py NOFILE=100 run -c lineside.toml``
"""

from __future__ import annotations

import ctypes
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for limit in sys.argv.pop(1).split(","):
        name, number = limit.split("=")
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (int(number), int(number)))

    from lineside.cli import main

    main()
