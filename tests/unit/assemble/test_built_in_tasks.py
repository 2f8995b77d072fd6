"""What the configuration can say of the tasks that come with the gateway, and what is told where it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.builtintasks import BUILT_IN, Prepared, WrongBuiltIn, prepared
from lineside.assemble.config import load
from lineside.assemble.tasks import compile_tasks
from lineside.assemble.tasksettings import BUILT_IN as NAMES
from lineside.model.errors import ConfigurationError

SITE = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "KEY" }
api_secret = { env = "KEY" }

[routes.note]
doctype = "ToDo"
document = { description = "{{ text }}" }

[databases.plant]
type = "sqlite"
path = "plant.db"

[sources.found]
type = "tasks"

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
"""


class Built(SynchronousTestCase):
    """One task, altered."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.path = tmp_path / "lineside.toml"

    def write(self, run: str, params: str, more: str = "") -> None:
        self.path.write_text(f'{SITE}\n[tasks.night]\nrun = "{run}"\n{more}\n[tasks.night.params]\n{params}\n')

    def prepared(self, run: str, params: str, environ: dict[str, str] | None = None) -> Prepared:
        self.write(run, params)
        settings = load(self.path, {"KEY": "k"})
        return prepared(settings.tasks["night"], settings, "erp", environ)

    def problems(self, run: str, params: str, environ: dict[str, str] | None = None) -> list[str]:
        problems: list[str] = self.assertRaises(WrongBuiltIn, self.prepared, run, params, environ).problems
        return problems

    def test_the_configuration_knows_each(self) -> None:
        """The names are told in one place without importing what they stand for; each says what it does."""
        self.assertEqual(sorted(NAMES), sorted(BUILT_IN))
        for name, made in BUILT_IN.items():
            self.assertTrue(made().about, name)

    def test_durations_are_written_as_elsewhere(self) -> None:
        """Text with a unit, or seconds."""
        task = self.prepared("erp-poll", 'doctype = "ToDo"\ninto = "found"\noverlap = "10m"')
        self.assertEqual(600.0, task.accepts({}).overlap)
        self.assertEqual(
            ['params.overlap: "soon" is no duration such as "250ms", "10s", "5m", "12h" or "7d"'],
            self.problems("erp-poll", 'doctype = "ToDo"\ninto = "found"\noverlap = "soon"'),
        )

    def test_what_is_missing_or_strange_is_told_by_its_key(self) -> None:
        """A parameter that is unknown, missing, of another type, or out of its bounds."""
        for params, told in (
            ('doctype = "ToDo"', "missing required field `into`"),
            ('doctype = "ToDo"\ninto = "found"\nfeilds = []', "unknown field `feilds`"),
            ('doctype = "ToDo"\ninto = "found"\nbatch = 0', "params.batch: Expected `int` >= 1"),
            ('doctype = 7\ninto = "found"', "params.doctype: Expected `str`, got `int`"),
        ):
            [problem] = self.problems("erp-poll", params)
            self.assertIn(told, problem)

    def test_what_it_needs_must_be_there(self) -> None:
        """Its source, its database, its file: each by the key that names it."""
        self.assertEqual(
            ['params.into: there is no source "fonud"; did you mean "found"?'],
            self.problems("erp-poll", 'doctype = "ToDo"\ninto = "fonud"'),
        )
        self.assertEqual(
            ['params.into: the source gate is of another type; it has to be one with type = "tasks"'],
            self.problems("erp-poll", 'doctype = "ToDo"\ninto = "gate"'),
        )
        self.assertEqual(
            ['params.database: unknown database "plnt"; did you mean "plant"?'],
            self.problems("sql-poll", 'database = "plnt"\ntable = "t"\nkey = "id"\ninto = "found"'),
        )
        [problem] = self.problems("journal-backup", 'folder = "lineside.toml"')
        self.assertTrue(problem.startswith("params.folder: "), problem)
        self.assertIn("is a file", problem)

    def test_a_secret_must_be_there_where_something_runs(self) -> None:
        """Whoever only asks for runs needs none; the value is told nowhere."""
        call = 'url = "https://crm.example.com/"\nsecrets.Authorization = { env = "CRM", before = "Bearer " }'
        self.prepared("http-call", call)
        self.prepared("http-call", call, {"CRM": "token"})
        self.assertEqual(
            ["params.secrets.Authorization: the environment variable CRM is not set"],
            self.problems("http-call", call, {}),
        )
        [problem] = self.problems("http-call", call, {"CRM": "a\nb"})
        self.assertNotIn("a\nb", problem)
        [problem] = self.problems("http-call", 'url = "https://crm.example.com/"\nca = "ca.pem"', {})
        self.assertTrue(problem.startswith("params.ca: "), problem)

    def test_every_mistake_of_a_call_is_told_at_once(self) -> None:
        """Its address and its templates."""
        told = self.problems("http-call", 'url = "ftp://crm"\nheaders.X-A = "{{"\nmethod = "GET"\nbody = "x"')
        self.assertEqual(
            ["params.headers", "params.method", "params.url"],
            sorted(problem.partition(":")[0].removesuffix(".X-A") for problem in told),
        )

    def test_whoever_asks_for_a_run_changes_nothing_that_is_configured(self) -> None:
        """Neither where a request goes nor what is read: only what a built-in lets be given."""
        poll = self.prepared("erp-poll", 'doctype = "ToDo"\ninto = "found"')
        told = str(self.assertRaises(ValueError, poll.accepts, {"doctype": "User"}))
        self.assertEqual("doctype: stands in the configuration; a run is given nothing", told)
        self.assertRaises(ValueError, poll.accepts, {"unheard": 1})
        call = self.prepared("http-call", 'url = "https://crm.example.com/"')
        told = str(self.assertRaises(ValueError, call.accepts, {"url": "http://169.254.169.254/"}))
        self.assertEqual("url: stands in the configuration; a run is given values", told)
        self.assertEqual({"order": "SO-1"}, call.accepts({"values": {"order": "SO-1"}}).values)

    def test_an_event_may_start_each(self) -> None:
        """What comes with it is for those that want it, and is left out for the others."""
        event = {"event": {"order": "SO-1"}, "seq": 7, "source": "gate", "device": None}
        poll = self.prepared("erp-poll", 'doctype = "ToDo"\ninto = "found"')
        self.assertEqual("ToDo", poll.accepts(event).doctype)
        call = self.prepared("http-call", 'url = "https://crm.example.com/"')
        accepted = call.accepts(event)
        self.assertEqual(({"order": "SO-1"}, 7), (accepted.event, accepted.seq))

    def test_a_change_of_the_configuration_holds_for_runs_that_wait(self) -> None:
        """What is configured is not stored with a run."""
        self.write("http-call", 'url = "https://crm.example.com/"')
        task = compile_tasks(load(self.path, {"KEY": "k"}))["night"]
        self.assertEqual({}, dict(task.params))
        before: Any = task.accepts({})
        self.write("http-call", 'url = "https://new.example.com/"')
        after: Any = compile_tasks(load(self.path, {"KEY": "k"}))["night"].accepts({})
        self.assertEqual(("https://crm.example.com/", "https://new.example.com/"), (before.url, after.url))

    def test_the_whole_configuration_tells_it_with_its_place(self) -> None:
        """As every other error; a copy of the journal blocks and so gets a thread by itself."""
        self.write("erp-poll", 'into = "found"')
        wrong = self.assertRaises(ConfigurationError, compile_tasks, load(self.path, {"KEY": "k"}))
        self.assertEqual(
            [f"{self.path}: tasks.night.params: Object missing required field `doctype`"], wrong.problems
        )
        self.write("journal-backup", 'folder = "copies"')
        self.assertTrue(compile_tasks(load(self.path, {"KEY": "k"}))["night"].thread)
