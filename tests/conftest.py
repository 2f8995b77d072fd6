"""What holds for every test."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from tests.rig.forked import nursery

# One for all tests of a process that use it: it takes longer to start than most of them.
__all__ = ["nursery"]

# A busy machine makes no test fail: no example is judged by how long it takes.
settings.register_profile("unhurried", parent=settings(), deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in an empty directory of its own: trial's `mktemp` makes its files in the current one."""
    monkeypatch.chdir(tmp_path)
