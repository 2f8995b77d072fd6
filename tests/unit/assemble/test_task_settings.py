"""What the configuration can say of tasks, and what it is told where that is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import indent
from typing import Any

import msgspec
import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.settings import Settings
from lineside.assemble.tasks import compile_tasks
from lineside.assemble.tasktriggers import trigger_route, trigger_spec
from lineside.model.errors import ConfigurationError
from lineside.model.event import Event, Record, Seq
from lineside.tasks.calendar import Cron, Every
from lineside.tasks.task import Task

SOURCE = """
[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
"""
SITE = """
[targets.{name}]
type = "frappe"
url = "https://{name}.example.com"
api_key = {{ env = "KEY" }}
api_secret = {{ env = "SECRET" }}
"""
ROUTE = """
[routes.note]
doctype = "ToDo"
document = {{ description = "{{{{ payload }}}}" }}
target = "{name}"
"""
CODE = '''
from lineside.tasks.context import Context
from msgspec import Struct

class Item(Struct):
    """Parameters."""
    item: str

def plain(context): ...
async def coroutine(context): ...
async def steps(context): yield 1
def typed(context: Context[Item]): ...
def either(context: Context[int | str]): ...
def alone(): ...
def two(context, other): ...
'''
RUN = 'run = "settled:plain"\n'
NO_DURATION = 'is no duration such as "250ms", "10s", "5m", "12h" or "7d"'
YOURS = "your own are written module:function"
REMEDY = "make it, or set code.path"
A_NAME = "a name has lower-case letters, digits, - and _, and begins with a letter or digit"


class TaskSettings(SynchronousTestCase):
    """One task, and what surrounds it."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = tmp_path / "lineside.toml"
        (tmp_path / "tasks").mkdir()
        (tmp_path / "tasks/settled.py").write_text(CODE)
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.delitem(sys.modules, "settled", raising=False)

    def read(self, text: str) -> Settings:
        self.path.write_text(text, encoding="utf-8")
        return load(self.path, {"KEY": "k", "SECRET": "s"})

    def task(self, table: str, *, around: str = SOURCE) -> Task:
        settings = self.read(f"{around}\n[tasks.nightly]\n{table}")
        self.assertEqual([], [line for line in settings.warnings if "no route" not in line])
        return compile_tasks(settings)["nightly"]

    def problems(self, text: str) -> list[str]:
        with self.assertRaises(ConfigurationError) as wrong:
            compile_tasks(self.read(text))
        return [problem.removeprefix(f"{self.path}: ") for problem in wrong.exception.problems]

    def told(self, *cases: tuple[str, str], run: str = RUN) -> None:
        """Each table of a task has one problem."""
        for table, said in cases:
            with self.subTest(table):
                self.assertEqual(
                    [f"tasks.nightly.{said}"], self.problems(f"{SOURCE}\n[tasks.nightly]\n{run}{table}\n")
                )

    def test_a_task_needs_nothing_but_what_it_runs(self) -> None:
        """Then it runs when asked for, once; no site, source or route is needed beside it."""
        task = self.task(RUN, around="")
        self.assertEqual(
            (None, "queue", 1, 1, "again", None),
            (task.schedule, task.overlap, task.concurrency, task.retry.attempts, task.interrupted, task.target),
        )
        self.assertEqual(("settled:plain", "when asked for"), (task.told.runs, task.told.when))

    def test_a_schedule_skips_what_overlaps(self) -> None:
        """An interval or a calendar, whose time zone is the plant's where the task names none."""
        task = self.task(RUN + 'every = "90s"')
        self.assertEqual((Every(90.0), "skip", "every 90s"), (task.schedule, task.overlap, task.told.when))
        plant = '[plant]\ntime_zone = "Asia/Kolkata"\n' + SOURCE
        calendar = RUN + 'cron = "0 2 * * 1-5"\n'
        self.assertEqual(Cron("0 2 * * 1-5", "UTC"), self.task(calendar).schedule)
        self.assertEqual(Cron("0 2 * * 1-5", "Asia/Kolkata"), self.task(calendar, around=plant).schedule)
        task = self.task(calendar + 'time_zone = "Europe/Berlin"\noverlap = "cancel"', around=plant)
        self.assertEqual((Cron("0 2 * * 1-5", "Europe/Berlin"), "cancel"), (task.schedule, task.overlap))
        self.assertEqual("At 02:00 on Monday through Friday, Europe/Berlin", task.told.when)

    def test_the_only_site_is_the_one_it_asks(self) -> None:
        """Of two, one is to be named."""
        one = SITE.format(name="erp") + ROUTE.format(name="erp") + SOURCE
        self.assertEqual("erp", self.task(RUN + "erp = true", around=one).target)
        two = SITE.format(name="test") + one
        self.assertIsNone(self.task(RUN, around=two).target)
        self.assertEqual("test", self.task(RUN + 'erp = true\ntarget = "test"', around=two).target)
        self.assertEqual(
            ["tasks.nightly.target: is missing; there is not just one target of the type frappe"],
            self.problems(f"{two}\n[tasks.nightly]\n{RUN}erp = true"),
        )
        self.assertEqual(
            ['tasks.nightly.target: there is no target "tset" of the type frappe; did you mean "test"?'],
            self.problems(f'{two}\n[tasks.nightly]\n{RUN}target = "tset"'),
        )

    def test_events_start_it(self) -> None:
        """One source may stand alone; only events for which ``when`` is true count, and none of the past."""
        settings = self.read(
            SOURCE
            + "[tasks.nightly]\n"
            + RUN
            + 'on = "sources.gate"\nwhen = "{{ kind == \'empty\' }}"\nkey = "event.item"'
        )
        spec = trigger_spec(trigger_route("nightly", settings.tasks["nightly"]))
        self.assertEqual(("task.nightly", {"gate"}, "new"), (spec.id, spec.sources, spec.deliver_policy))
        assert spec.accepts is not None
        empty, full = (
            Record(Seq(1), "e", "gate", 0, Event(b'{"kind": "%s"}' % kind)) for kind in (b"empty", b"full")
        )
        self.assertEqual((True, False), (spec.accepts(empty), spec.accepts(full)))
        task = compile_tasks(settings)["nightly"]
        self.assertEqual("BOLT-M8", task.key_of({"event": {"item": "BOLT-M8"}}))
        self.assertEqual("on events of gate", task.told.when)

    def test_what_it_runs(self) -> None:
        """Is a function of the user's that takes a context, or a built-in task."""
        self.told(("", "run: is missing"), run="")
        self.told(
            ("run = 5", "run: expected text, got a whole number"),
            ('run = "settled"', 'run: "settled" is neither module:function nor the name of a built-in task'),
            ('run = "a b:c"', 'run: "a b:c" is neither module:function nor the name of a built-in task'),
            ('run = "settled:"', 'run: "settled:" is neither module:function nor the name of a built-in task'),
            ('run = "../up:look"', 'run: "../up:look" is neither module:function nor the name of a built-in task'),
            (
                'run = "erp-pol"',
                f'run: there is no built-in task "erp-pol"; {YOURS}; did you mean "erp-poll"?',
            ),
            ('run = "settled:plaim"', 'run: settled has no function plaim; did you mean "plain"?'),
            (
                'run = "setled:plain"',
                f'run: there is no setled.py in {self.path.parent}/tasks; did you mean "settled"?',
            ),
            (
                'run = "settled:alone"',
                "run: alone is called with one argument, its context, and takes none such",
            ),
            (
                'run = "settled:two"',
                "run: two is called with one argument, its context, and takes none such",
            ),
            (
                'run = "settled:coroutine"\nthread = true',
                "run: settled:coroutine is a coroutine function; thread = true is for those that block",
            ),
            (
                'run = "settled:steps"\nthread = true',
                "run: settled:steps is a coroutine function; thread = true is for those that block",
            ),
            ('run = "settled:either"', "run: either: int | str is no type for parameters"),
            run="",
        )

    def test_its_parameters_are_what_its_function_wants(self) -> None:
        """As far as nobody else gives them: a schedule does not, an event or a person may."""
        self.told(
            (
                'run = "settled:typed"\nevery = "1s"',
                "params: Object missing required field `item`",
            ),
            (
                'run = "settled:typed"\nevery = "1s"\nparams = { item = [1] }',
                "params: Expected `str`, got `array` - at `$.item`",
            ),
            run="",
        )
        task = self.task('run = "settled:typed"')
        self.assertEqual("BOLT-M8", task.accepts({"item": "BOLT-M8"}).item)
        self.assertRaises(msgspec.ValidationError, task.accepts, {})

    def test_begins_in_one_way(self) -> None:
        """And what belongs to another way is not left idle in silence."""
        one = "a task has one of every, cron and on; make two tasks of it"
        self.told(
            ('every = "1s"\ncron = "0 2 * * *"', f"cron: {one}"),
            ('every = "1s"\non = "sources.gate"', f"on: {one}"),
            ('cron = "0 2 * * *"\non = "sources.gate"', f"on: {one}"),
            ('time_zone = "Europe/Berlin"', "time_zone: means nothing without cron"),
            ('when = "{{ a }}"', "when: means nothing without on"),
            ('catch_up = "all"', "catch_up: means nothing without every or cron"),
        )

    def test_a_schedule_is_one_that_comes(self) -> None:
        """Intervals have a unit and are not too short; a calendar has days that there are, and a known zone."""
        example = 'an example is "0 2 * * 1-5"'
        self.told(
            ('every = "soon"', f'every: "soon" {NO_DURATION}'),
            ('every = "10ms"', "every: must be at least 0.1"),
            ("cron = 5", "cron: expected text, got a whole number"),
            ('cron = "0 2 * *"', f"cron: '0 2 * *' is no time for cron: Wrong number of fields; {example}"),
            ('cron = "61 2 * * *"', f"cron: '61 2 * * *' is no time for cron: Bad minute; {example}"),
            ('cron = "0 0 31 2 *"', f"cron: '0 0 31 2 *' is no time for cron: Bad day-of-month; {example}"),
            (
                'cron = "0 2 * * *"\ntime_zone = "Europe/Berln"',
                'time_zone: unknown time zone "Europe/Berln"; did you mean "Europe/Berlin"?',
            ),
        )

    def test_events_come_from_a_source_that_is_there(self) -> None:
        """It is written with its table; a condition is one expression."""
        self.told(
            ('on = "gate"', 'on: write a source as "sources.NAME"'),
            ('on = "sources.gat"', 'on: there is no source "sources.gat"; did you mean "sources.gate"?'),
            (
                'on = ["sources.gate", "sources.door"]',
                'on: there is no source "sources.door"',
            ),
            ("on = []", "on: must not be empty"),
            ("on = 5", "on: expected an array, got a whole number"),
            ('on = "sources.gate"\nwhen = "a"', 'when: expected exactly one expression, such as "{{ a }}"'),
            (
                'on = "sources.gate"\nwhen = "{{ a"',
                "when: unexpected end of template, expected 'end of print statement'.",
            ),
            (
                'key = "a b"',
                'key: "a b" is no field path such as "employee" or "order.items.0.code", without braces',
            ),
        )

    def test_policies_are_those_that_there_are(self) -> None:
        """With the nearest of them, and the bounds."""
        self.told(
            ('evry = "1s"', 'evry: unknown key; did you mean "every"?'),
            (
                'overlap = "cancle"',
                'overlap: unknown overlap "cancle"; did you mean "cancel"?; known: skip, queue, cancel',
            ),
            (
                'every = "1s"\ncatch_up = "twice"',
                'catch_up: unknown catch_up "twice"; known: none, once, all',
            ),
            (
                'interrupted = "stopp"',
                'interrupted: unknown interrupted "stopp"; did you mean "stop"?; known: again, stop',
            ),
            ('timeout = "0s"', "timeout: must be more than 0"),
            ('unique_for = "0s"', "unique_for: must be more than 0"),
            ("concurrency = 0", "concurrency: must be at least 1"),
            ("concurrency = 1001", "concurrency: must be at most 1000"),
            ("retry = 3", "retry: expected a table, got a whole number"),
            ("retry = { attemps = 3 }", 'retry.attemps: unknown key; did you mean "attempts"?'),
            ("retry = { attempts = 0 }", "retry.attempts: must be at least 1"),
            ("retry = { backoff = [] }", "retry.backoff: must not be empty"),
            ('retry = { backoff = ["soon"] }', f'retry.backoff[0]: "soon" {NO_DURATION}'),
            ("retry = { jitter = 2 }", "retry.jitter: must be at most 1.0"),
            ('retry = { on = "OSError" }', "retry.on: expected an array, got text"),
            ('keep = "1h"', "keep: must be at least 86400.0"),
            ("params = 5", "params: expected a table, got a whole number"),
            ('thread = "yes"', "thread: expected true or false, got text"),
            ('target = "erp"', 'target: there is no target "erp" of the type frappe'),
            ("erp = true", "target: is missing; there is not just one target of the type frappe"),
        )

    def test_the_tables_around_it(self) -> None:
        """A name, ``[code]``, and a table that is called almost so."""
        task = f"\n[tasks.nightly]\n{RUN}"
        cases: list[tuple[str, str]] = [
            (SOURCE + "[tasks]\nnightly = 5", "tasks.nightly: expected a table, got a whole number"),
            (SOURCE + f"[tasks.Nightly]\n{RUN}", f"tasks.Nightly: {A_NAME}"),
            (SOURCE + f'[tasks."at night"]\n{RUN}', f'tasks."at night": {A_NAME}'),
            (SOURCE + '[code]\npth = "jobs"' + task, 'code.pth: unknown key; did you mean "path"?'),
            (SOURCE + "[code]\npath = 5" + task, "code.path: expected the path of a file"),
            ("code = 5\n" + SOURCE + task, "code: expected a table, got a whole number"),
            (
                SOURCE + '[code]\npath = "jobs"' + task,
                f"tasks.nightly.run: there is no folder {self.path.parent}/jobs to find settled in; {REMEDY}",
            ),
            (SOURCE + task.replace("tasks", "task"), 'task: unknown key; did you mean "tasks"?'),
        ]
        for text, said in cases:
            with self.subTest(said):
                self.assertIn(said, self.problems(text), indent(text, "  "))

    def test_all_that_is_wrong_is_said_at_once(self) -> None:
        """Of several tasks, and in one of them."""
        tables: dict[str, Any] = {"a": "settled:nothing", "b": "nothing:plain", "c": "settled:plain"}
        text = "".join(f'[tasks.{name}]\nrun = "{run}"\n' for name, run in tables.items())
        self.assertEqual(
            [
                "tasks.a.run: settled has no function nothing",
                f"tasks.b.run: there is no nothing.py in {self.path.parent}/tasks",
            ],
            self.problems(SOURCE + text),
        )
        self.assertEqual(
            ["tasks.a.concurrency: must be at least 1", "tasks.a.timeout: must be more than 0"],
            sorted(self.problems(f'{SOURCE}[tasks.a]\n{RUN}timeout = "0s"\nconcurrency = 0')),
        )
