"""The samples in the guide for devices become what the guide says."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.rehearsal import Rehearsal

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "devices.md").read_text(encoding="utf-8")
SECTION = GUIDE[GUIDE.index("(other-devices)=") : GUIDE.index("## A device in Python")]
FENCES = re.findall(r"^```(toml|text)\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
REST = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }

[routes.note]
doctype = "ToDo"
document = { description = "{{ payload }}" }
"""


class OtherDevices(SynchronousTestCase):
    """The section on devices that speak otherwise."""

    def test_every_configuration_works_with_all_others(self) -> None:
        """Put together they are one gateway."""
        path = Path("lineside.toml")
        path.write_text(REST + "\n".join(text for kind, text in FENCES if kind == "toml"), encoding="utf-8")
        settings = load(path, {}, secrets=False)
        self.assertEqual({"scale", "press", "plc", "printer", "scanner", "goods_in"}, set(settings.sources))
        self.assertEqual([], settings.warnings)

    def test_every_sample_becomes_what_is_said(self) -> None:
        """Letter by letter: `1.250` is not `1.25`."""
        shown = 0
        for (_, configuration), (kind, samples) in pairwise(FENCES):
            if kind != "text":
                continue
            path = Path("lineside.toml")
            path.write_text(REST + configuration, encoding="utf-8")
            settings = load(path, {}, secrets=False)
            for sample in samples.splitlines():
                sent, fields = sample.split("    → ")
                [line] = Rehearsal(settings, next(iter(settings.sources)), lambda: 1).example(sent)
                self.assertEqual(json.loads(fields, parse_float=str), json.loads(line.event.body, parse_float=str))
                shown += 1
        self.assertEqual(4, shown)

    def test_the_scale_is_as_it_is_said(self) -> None:
        """The one sample that stands in the text."""
        sample = re.search(r"sends\n`(ST,.*?)` and gives `(\{.*?\})`", SECTION)
        assert sample is not None
        path = Path("lineside.toml")
        path.write_text(REST + FENCES[0][1], encoding="utf-8")
        [line] = Rehearsal(load(path, {}, secrets=False), "scale", lambda: 1).example(sample[1])
        self.assertEqual(json.loads(sample[2]), json.loads(line.event.body))
