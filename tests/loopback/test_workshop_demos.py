"""Every demonstration of the course runs, and shows what the text says it shows."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.rig.chapters import COURSE, folder, name_of

from lineside.workshop.course import Chapter
from lineside.workshop.programs import Program
from lineside.workshop.transcripts import difference, transcripts

PATIENCE = 60.0
"""Seconds until a demonstration counts as hanging; `.ci/plain-examples` holds it to 20, where nothing else runs."""


@pytest.mark.parametrize("chapter", COURSE.chapters, ids=name_of)
def test_the_demonstration_shows_what_the_text_says(chapter: Chapter) -> None:
    """`demo.py --fast` exits with 0, claims what it saw, and its landmarks appear in their order."""
    printed = subprocess.run(
        [sys.executable, "-B", str(folder(chapter) / "demo.py"), "--fast"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    output = printed.stdout
    assert printed.returncode == 0, output
    assert "\n  ok  " in output
    assert "  NO  " not in output
    assert not list(Path().iterdir()), "it left something behind"
    if "the steps by SSH are left out" in output:
        pytest.skip("ssh, sftp and ssh-keygen are not on this machine: what the chapter shows by SSH was not seen")
    for transcript in transcripts((folder(chapter) / "README.md").read_text(encoding="utf-8")):
        if transcript.file == "demo.py":
            problem = difference(transcript.seen, output)
            assert problem is None, f"README.md, line {transcript.line}: {problem}"


ENDLESS = """
import time
from lineside.workshop.stage import perform
def play(stage):
    stage.say("it plays")
    time.sleep(60)
perform(play)
"""


def test_whoever_has_seen_enough_ends_it() -> None:
    """Ctrl-C shows no traceback, and the exit code is a shell's for it."""
    demonstration = Program("demo.py", [sys.executable, "-c", ENDLESS])
    demonstration.expect("it plays")
    demonstration.kill(signal.SIGINT)
    assert demonstration.wait() == 130
    assert "Traceback" not in demonstration.output
