"""What a chapter's ``check.py`` is written with: cases whose failures teach.

A check is a trial test case, so it may return a Deferred, and a reactor that is left dirty fails it. It drives
the learner's file in memory: a `StringTransport`, a `Clock`, two protocols joined by `iosim`. It neither sleeps
nor opens a fixed port.
"""

from __future__ import annotations

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import ClassVar

from twisted.trial.unittest import TestCase

CHECKED = "LINESIDE_WORKSHOP_CHECKED"
"""The environment variable that names the file under examination."""


class Lesson(TestCase):
    """The checks of one exercise. The docstring of each says what a right answer does.

    The methods are run in the order in which they are written, and the first failure ends the examination:
    one thing is learned at a time.
    """

    exercise: ClassVar[int]
    """The exercise's number in its chapter."""
    learner: ModuleType
    """The learner's file, imported anew for every check."""

    timeout = 5
    """Seconds until a Deferred that never fires is a failure."""

    def setUp(self) -> None:
        """Import the learner's file."""
        self.learner = imported(Path(os.environ[CHECKED]))

    def teach(self, held: object, message: str) -> None:
        """Fail with a message that helps unless ``held`` is true.

        Args:
            held: what should be true.
            message: what was seen and where to look, to the learner. Never the solution.

        """
        if not held:
            raise self.failureException(message)


def imported(path: Path) -> ModuleType:
    """Import a file by its path, anew."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses and pickle look their module up
    spec.loader.exec_module(module)
    return module
