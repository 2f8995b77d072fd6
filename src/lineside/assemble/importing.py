"""Importing what a command needs, at a start that people and devices wait for."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Import in this block without a look for garbage in between.

    Hundreds of modules make hundreds of thousands of objects that stay for ever. Python would look through all of
    them again and again while they are made, a tenth of the start, and in every full collection afterwards: what is
    there at the end of the block is looked at no more.
    """
    if not gc.isenabled():
        # Inside of another such block.
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
