"""Reading `lineside.toml`: what it comes to, and what is said of every mistake."""

from __future__ import annotations

from pathlib import Path

from tests.rig.certificates import Authority, day
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble import sample
from lineside.assemble.config import load
from lineside.assemble.settings import Settings
from lineside.model.errors import ConfigurationError

ENVIRON = {"ERP_KEY": "k3y", "ERP_SECRET": "s3cret"}
TARGET = """
[targets.erp]
type = "frappe"
url = "https://erp.example.com/"
api_key = { env = "ERP_KEY" }
api_secret = { env = "ERP_SECRET" }
"""
SOURCE = """
[sources.gate]
type = "lines"
listen = "tcp:7001"
public = true
"""
ROUTE = """
[routes.checkin]
doctype = "Employee Checkin"
document = { employee = "{{ employee }}" }
"""


def read(text: str, *, secrets: bool = True) -> Settings:
    """Load a configuration from a file in the current directory."""
    path = Path("lineside.toml")
    path.write_text(text, encoding="utf-8")
    return load(path, ENVIRON, secrets=secrets)


def route(keys: str) -> str:
    """Return a configuration whose route has these keys as well."""
    return f"{TARGET}{SOURCE}{ROUTE}{keys}"


def source(keys: str) -> str:
    """Return a configuration whose source has these keys as well."""
    return f"{TARGET}{SOURCE}{keys}{ROUTE}"


def target(keys: str) -> str:
    """Return a configuration whose target has these keys as well."""
    return f"{TARGET}{keys}{SOURCE}{ROUTE}"


class ConfigTestCase(SynchronousTestCase):
    """A test of a configuration."""

    def assertProblems(self, text: str, *problems: str) -> None:
        """Check that exactly these problems are told, each with the file's name."""
        with self.assertRaises(ConfigurationError) as caught:
            read(text)
        self.assertEqual([f"lineside.toml: {problem}" for problem in problems], caught.exception.problems)


class Reading(ConfigTestCase):
    """A configuration that is right."""

    def test_what_is_left_out_has_its_default(self) -> None:
        """The smallest file makes a whole gateway."""
        settings = read(TARGET + SOURCE + ROUTE)
        self.assertEqual(Path.cwd() / "journal.db", settings.journal.path)
        self.assertEqual(Path.cwd() / "journal.db.sock", settings.journal.control_path)
        self.assertEqual(7 * 86_400, settings.journal.dedupe_window)
        erp = settings.sites["erp"]
        self.assertEqual(
            ("https://erp.example.com", None, "lineside_id", 4, 30.0, None),
            (erp.url, erp.site, erp.id_field, erp.concurrency, erp.timeout, erp.time_zone),
        )
        gate = settings.lines["gate"]
        self.assertEqual(("lf", "json"), (gate.framing.type, gate.format.type))
        self.assertEqual((True, None, None), (gate.ack, gate.dedupe, gate.device))
        self.assertEqual(
            (65_536, 1_024, 300.0, 4_096),
            (gate.max_line, gate.max_connections, gate.idle_timeout, gate.max_in_flight),
        )
        checkin = settings.routes["checkin"]
        self.assertEqual(("insert", 8, "all"), (checkin.action, checkin.max_deliver, checkin.deliver_policy))
        self.assertEqual((1.0, 2.0, 5.0, 15.0, 60.0), checkin.backoff)
        self.assertEqual("erp", settings.target_of(checkin))
        self.assertEqual(("gate",), settings.sources_of(checkin))
        self.assertEqual([], settings.warnings)

    def test_paths_start_at_the_file(self) -> None:
        """A gateway started from anywhere finds the same journal."""
        Path("etc").mkdir()
        path = Path("etc/lineside.toml")
        path.write_text(f'[journal]\npath = "data/j.db"\ncontrol = "/run/l.sock"\n{TARGET}{SOURCE}{ROUTE}')
        journal = load(path, ENVIRON).journal
        self.assertEqual(Path.cwd() / "etc/data/j.db", journal.path)
        self.assertEqual(Path("/run/l.sock"), journal.control_path)

    def test_durations_are_seconds(self) -> None:
        """With a unit or as a number."""
        settings = read(route('backoff = ["250ms", "10s", "5m", "12h", "7d", 3, 0.5, "0", "1.5 s"]'))
        expected = (0.25, 10.0, 300.0, 43_200.0, 604_800.0, 3.0, 0.5, 0.0, 1.5)
        self.assertEqual(expected, settings.routes["checkin"].backoff)
        self.assertEqual(0.0, read(source('idle_timeout = "0"')).lines["gate"].idle_timeout)

    def test_settings_do_not_change(self) -> None:
        """What was checked stays as it was."""
        settings = read(TARGET + SOURCE + ROUTE)
        with self.assertRaises(ValueError):
            settings.lines["gate"].ack = False

    def test_the_sample_is_right_as_it_stands(self) -> None:
        """Whoever begins with `lineside init` begins without an error or a warning."""
        path = Path("lineside.toml")
        path.write_text(sample.text(), encoding="utf-8")
        settings = load(path, {"LINESIDE_ERP_KEY": "k", "LINESIDE_ERP_SECRET": "s"})
        self.assertEqual([], settings.warnings)
        self.assertEqual(
            (["erp"], ["gate"], ["checkin"], 2),
            (list(settings.targets), list(settings.sources), list(settings.routes), len(settings.tests)),
        )


class Secrets(ConfigTestCase):
    """Where secrets come from, and that they stay there."""

    def test_come_from_the_environment_or_a_file(self) -> None:
        """The end of a file's line does not belong to the secret."""
        Path("key").write_text("fr0m-file\n")
        Path("key").chmod(0o640)
        text = (TARGET + SOURCE + ROUTE).replace('{ env = "ERP_KEY" }', '{ file = "key" }')
        erp = read(text).sites["erp"]
        self.assertEqual(("fr0m-file", "s3cret"), (erp.api_key.reveal(), erp.api_secret.reveal()))

    def test_a_file_that_others_know_or_chose_is_refused(self) -> None:
        """What anybody on the machine may read is no secret; what others may write is theirs."""
        Path("key").write_text("fr0m-file")
        text = (TARGET + SOURCE + ROUTE).replace('{ env = "ERP_KEY" }', '{ file = "key" }')
        for mode, what in ((0o644, "read"), (0o604, "read"), (0o620, "write"), (0o602, "write")):
            Path("key").chmod(mode)
            with self.assertRaises(ConfigurationError) as caught:
                read(text)
            self.assertIn(f"others may {what} {Path.cwd() / 'key'} (mode {mode:04o})", str(caught.exception))
        for mode in (0o600, 0o400, 0o640):
            Path("key").chmod(mode)
            self.assertEqual("fr0m-file", read(text).sites["erp"].api_key.reveal())

    def test_come_from_the_service_manager(self) -> None:
        """A credential is the file of its name in the directory that the environment tells."""
        Path("handed").mkdir()
        Path("handed/erp-key").write_text("fr0m-root\n")
        text = (TARGET + SOURCE + ROUTE).replace('{ env = "ERP_KEY" }', '{ credential = "erp-key" }')
        Path("lineside.toml").write_text(text)
        settings = load(Path("lineside.toml"), {**ENVIRON, "CREDENTIALS_DIRECTORY": str(Path("handed").absolute())})
        self.assertEqual("fr0m-root", settings.sites["erp"].api_key.reveal())
        self.assertEqual("", read(text, secrets=False).sites["erp"].api_key.reveal())

    def test_are_never_shown(self) -> None:
        """Neither by the settings, nor by an error beside them."""
        settings = read(TARGET + SOURCE + ROUTE)
        self.assertNotIn("s3cret", repr(settings) + str(settings.sites["erp"].api_secret))
        with self.assertRaises(ConfigurationError) as caught:
            read((TARGET + "concurrency = 0" + SOURCE + ROUTE).replace('{ env = "ERP_SECRET" }', '["s3cret"]'))
        self.assertNotIn("s3cret", str(caught.exception))

    def test_a_literal_is_warned_of(self) -> None:
        """It works, for a first try."""
        settings = read((TARGET + SOURCE + ROUTE).replace('{ env = "ERP_SECRET" }', '"plain"'))
        self.assertEqual("plain", settings.sites["erp"].api_secret.reveal())
        self.assertEqual(
            ['targets.erp.api_secret: the secret stands in the file; use { env = "NAME" } or { file = "path" }'],
            settings.warnings,
        )

    def test_what_needs_none_reads_without(self) -> None:
        """Looking at the journal works where the gateway's environment is not."""
        text = (
            (TARGET + SOURCE + ROUTE)
            .replace("ERP_KEY", "UNSET")
            .replace('{ env = "ERP_SECRET" }', '{ file = "x" }')
        )
        erp = read(text, secrets=False).sites["erp"]
        self.assertEqual(("", ""), (erp.api_key.reveal(), erp.api_secret.reveal()))

    def test_say_what_they_lack(self) -> None:
        """Each place that a secret was looked for in vain is named."""
        Path("empty").write_text("\n")
        Path("words").write_text("two words")
        for name in ("empty", "words"):
            Path(name).chmod(0o600)
        here = Path.cwd()
        for given, problem in (
            ('{ env = "UNSET" }', "the environment variable UNSET is not set"),
            ('{ file = "missing" }', f"cannot read {here / 'missing'}: No such file or directory"),
            ('{ file = "empty" }', f"{here / 'empty'} is empty"),
            ('{ file = "words" }', f"{here / 'words'} holds characters that no key has"),
            ('""', "the secret is empty"),
            (
                '{ credential = "key" }',
                "there are no credentials: CREDENTIALS_DIRECTORY is not set; systemd does it for LoadCredential=",
            ),
            ('{ credential = "../key" }', "a credential has a name of letters, digits, -, _ and dots"),
            ("7", 'expected { env = "NAME" }, { file = "path" }, { credential = "NAME" } or text'),
            ('{ evn = "X" }', 'expected { env = "NAME" }, { file = "path" }, { credential = "NAME" } or text'),
        ):
            text = (TARGET + SOURCE + ROUTE).replace('{ env = "ERP_KEY" }', given)
            self.assertProblems(text, f"targets.erp.api_key: {problem}")


class Files(ConfigTestCase):
    """A file that cannot be read."""

    def test_missing(self) -> None:
        """The error says how to get one."""
        with self.assertRaises(ConfigurationError) as caught:
            load(Path("lineside.toml"), {})
        self.assertEqual(
            ["lineside.toml: there is no such file; `lineside init` writes one to start from"],
            caught.exception.problems,
        )

    def test_a_directory(self) -> None:
        """The system's own reason is told."""
        Path("lineside.toml").mkdir()
        with self.assertRaises(ConfigurationError) as caught:
            load(Path("lineside.toml"), {})
        self.assertEqual(["lineside.toml: cannot be read: Is a directory"], caught.exception.problems)

    def test_no_toml(self) -> None:
        """The place of a syntax error is told."""
        self.assertProblems("[journal]\npath = \n", "line 2, column 8: Invalid value")
        self.assertProblems('[journal]\npath = "', "line 2, column 9: Unterminated string")
        Path("lineside.toml").write_bytes(b'a = 1\nb = "\xff"')
        with self.assertRaises(ConfigurationError) as caught:
            load(Path("lineside.toml"), {})
        self.assertEqual(["lineside.toml: line 2: not UTF-8"], caught.exception.problems)

    def test_empty(self) -> None:
        """A gateway without devices, documents or an ERP is a mistake."""
        self.assertProblems(
            "", *(f"{key}: there are none; add a table [{key}.NAME]" for key in ("targets", "sources", "routes"))
        )


class Mistakes(ConfigTestCase):
    """What is wrong inside a table."""

    def test_all_are_told_at_once(self) -> None:
        """One run of the check is enough to find them all."""
        text = f"""
jornal = 1
{TARGET}
concurrency = 65
{SOURCE}
ack = "yes"
lisen = "tcp:7002"
{ROUTE}
when = "{{{{ kind | uper }}}}"
sources = ["gat"]
max_deliver = 0
"""
        self.assertProblems(
            text,
            'jornal: unknown key; did you mean "journal"?',
            "targets.erp.concurrency: must be at most 64",
            "sources.gate.ack: expected true or false, got text",
            'sources.gate.lisen: unknown key; did you mean "listen"?',
            "routes.checkin.max_deliver: must be at least 1",
            'routes.checkin.when: unknown filter "uper"; did you mean "upper"?',
            'routes.checkin.sources: unknown source "gat"; did you mean "gate"?',
        )

    def test_templates(self) -> None:
        """Each with its key path, however deep; a wrong key beside them hides none."""
        text = (
            TARGET
            + SOURCE
            + """
[routes.checkin]
docype = "Employee Checkin"
when = "kind == 'checkin'"
[routes.checkin.document]
time = "{{ at | sitetime }}"
rows = [{ "item code" = "{{ x" }]
"""
        )
        self.assertProblems(
            text,
            'routes.checkin.docype: unknown key; did you mean "doctype"?',
            "routes.checkin.when: expected exactly one expression, such as \"{{ kind == 'checkin' }}\"",
            'routes.checkin.document.time: unknown filter "sitetime"; did you mean "site_time"?',
            'routes.checkin.document.rows[0]."item code": unexpected end of template, '
            "expected 'end of print statement'.",
            "routes.checkin.doctype: is missing",
        )

    def test_kinds(self) -> None:
        """What another release may know is refused with what this one knows."""
        self.assertProblems(
            source('format = "xml"'),
            'sources.gate.format: unknown format "xml"; known: json, csv, keyvalue, regex, fixed, raw',
        )
        self.assertProblems(
            route('action = "upset"'),
            'routes.checkin.action: unknown action "upset"; did you mean "upsert"?; '
            "known: insert, update, upsert, call",
        )
        text = (TARGET + SOURCE + ROUTE).replace('"frappe"', '"frape"')
        self.assertProblems(
            text, 'targets.erp.type: unknown type "frape"; did you mean "frappe"?; known: frappe, sql'
        )
        text = (TARGET + SOURCE + ROUTE).replace('type = "lines"', "")
        known = "lines, sql, frappe, http, tasks, folder, sftp, sftp-pull, ssh-command"
        self.assertProblems(text, f"sources.gate.type: is missing; known: {known}")
        self.assertProblems(
            route('deliver_policy = "last"'),
            'routes.checkin.deliver_policy: expected "all", "new" or a sequence',
        )

    def test_values(self) -> None:
        """Each says what is expected of it."""
        for text, problem in (
            (
                target('timeout = "30 seconds"'),
                'targets.erp.timeout: "30 seconds" is no duration such as "250ms", "10s", "5m", "12h" or "7d"',
            ),
            (target("timeout = -1"), 'targets.erp.timeout: expected a duration such as "10s", or seconds'),
            (target("timeout = true"), 'targets.erp.timeout: expected a duration such as "10s", or seconds'),
            (target("timeout = inf"), 'targets.erp.timeout: expected a duration such as "10s", or seconds'),
            (target("timeout = 0"), "targets.erp.timeout: must be more than 0"),
            (
                target('time_zone = "Kolkata"'),
                'targets.erp.time_zone: unknown time zone "Kolkata"; did you mean "Asia/Kolkata"?',
            ),
            (
                target('time_zone = "Asia/Kolkatta"'),
                'targets.erp.time_zone: unknown time zone "Asia/Kolkatta"; did you mean "Asia/Kolkata"?',
            ),
            (target('time_zone = "../etc/passwd"'), 'targets.erp.time_zone: unknown time zone "../etc/passwd"'),
            (
                target('id_field = "Lineside ID"'),
                'targets.erp.id_field: "Lineside ID" does not match ^[a-z][a-z0-9_]{0,63}$',
            ),
            (target('site = ""'), "targets.erp.site: must not be empty"),
            (
                source('dedupe = "{{ scan_id }}"'),
                (
                    'sources.gate.dedupe: "{{ scan_id }}" is no field path such as "employee" or '
                    '"order.items.0.code", without braces'
                ),
            ),
            (source("max_line = 1.5"), "sources.gate.max_line: expected a whole number, got a number"),
            (source("max_line = true"), "sources.gate.max_line: expected a whole number, got a boolean"),
            (route("backoff = []"), "routes.checkin.backoff: must not be empty"),
            (
                route('backoff = ["1s", "x"]'),
                'routes.checkin.backoff[1]: "x" is no duration such as "250ms", "10s", "5m", "12h" or "7d"',
            ),
            (route('sources = "gate"'), "routes.checkin.sources: expected an array, got text"),
            (route('sources = ["gate", "gate"]'), 'routes.checkin.sources: "gate" stands here twice'),
            (route("when = 2026-03-02"), "routes.checkin.when: expected text, got a date or time"),
            ("[journal]\npath = 7\n" + TARGET + SOURCE + ROUTE, "journal.path: expected the path of a file"),
            ("journal = 7\n" + TARGET + SOURCE + ROUTE, "journal: expected a table, got a whole number"),
            ("tests = 7\n" + TARGET + SOURCE + ROUTE, "tests: expected tables [[tests]], got a whole number"),
        ):
            self.assertProblems(text, problem)

    def test_addresses_of_a_site(self) -> None:
        """No credentials in it, and nothing but a site's root."""
        for url, problem in (
            ("https://k:s@erp.example.com", "it must hold no credentials; they belong into api_key and api_secret"),
            ("erp.example.com", 'expected an address such as "https://erp.example.com"'),
            ("ftp://erp.example.com", 'expected an address such as "https://erp.example.com"'),
            ("http://erp.example.com:0", 'expected an address such as "https://erp.example.com"'),
            ("http://erp.example.com:99999", "it is no address: Port out of range 0-65535"),
            ("http://[::1", "it is no address: Invalid IPv6 URL"),
            (
                "https://erp.example.com/a b",
                "it must have no spaces, and other letters than ASCII in their encoded form",
            ),
            (
                "https://\u00e9rp.example.com",
                "it must have no spaces, and other letters than ASCII in their encoded form",
            ),
            ("https://erp.example.com/?a=b", "it must end with the host, its port or a path"),
        ):
            text = (TARGET + SOURCE + ROUTE).replace("https://erp.example.com/", url)
            self.assertProblems(text, f"targets.erp.url: {problem}")

    def test_names(self) -> None:
        """Names of tables can be typed in a shell and stand in an address."""
        self.assertProblems(
            (TARGET + SOURCE + ROUTE).replace("sources.gate", 'sources."Gate 1"'),
            'sources."Gate 1": a name has lower-case letters, digits, - and _, and begins with a letter or digit',
        )

    def test_a_control_socket_that_no_system_can_make(self) -> None:
        """Its path is measured before the gateway fails on it, also when it is the default."""
        name = "j" * 120
        self.assertProblems(
            f'[journal]\npath = "/{name}"\n{TARGET}{SOURCE}{ROUTE}',
            f"journal.control: a Unix socket's path has at most 107 bytes, unlike /{name}.sock; set a shorter one",
        )


class BetweenTables(ConfigTestCase):
    """What must hold between the tables."""

    def test_two_sources_cannot_share_an_address(self) -> None:
        """Also where one of them listens everywhere; port 0 is always another."""
        second = '[sources.door]\ntype = "lines"\nlisten = "tcp:7001:interface=127.0.0.1"\n'
        problem = "sources.door.listen: the source gate listens there already"
        self.assertProblems(TARGET + SOURCE + second + ROUTE, problem)
        read((TARGET + SOURCE + second + ROUTE).replace("tcp:7001", "tcp:0"))

    def test_route_ids_are_unique(self) -> None:
        """Two routes with one id would share their progress."""
        second = ROUTE.replace("checkin", "second") + 'id = "checkin"\n'
        problem = 'routes.second.id: the route checkin has the id "checkin" already'
        self.assertProblems(TARGET + SOURCE + ROUTE + second, problem)
        read(TARGET + SOURCE + ROUTE + 'id = "second"' + second)

    def test_a_route_names_its_target(self) -> None:
        """It may be left out only where there is one."""
        second = TARGET.replace("erp", "other", 1)
        self.assertProblems(
            TARGET + second + SOURCE + ROUTE, "routes.checkin.target: is missing; choose one of erp, other"
        )
        self.assertProblems(
            route('target = "epr"'), 'routes.checkin.target: unknown target "epr"; did you mean "erp"?'
        )

    def test_a_document_leaves_some_fields_to_lineside(self) -> None:
        """The delivery id is no template's business, and the DocType has its own key."""
        for document, problem in (
            (
                '{ lineside_id = "x" }',
                "lineside_id: this is the target's id_field; Lineside fills it with the delivery id",
            ),
            ('{ doctype = "ToDo" }', "doctype: the DocType stands beside the document, as routes.checkin.doctype"),
        ):
            text = TARGET + SOURCE + ROUTE.replace('{ employee = "{{ employee }}" }', document)
            self.assertProblems(text, f"routes.checkin.document.{problem}")
        self.assertProblems(
            target('id_field = "event_id"').replace('{ employee = "{{ employee }}" }', '{ event_id = "x" }'),
            "routes.checkin.document.event_id: this is the target's id_field; Lineside fills it with the "
            "delivery id",
        )

    def test_each_action_has_its_keys_and_no_others(self) -> None:
        """What an action needs is asked for, and what it would ignore is told."""
        for keys, problem in (
            (
                'action = "update"',
                'match: is missing: by which fields is the document found? Such as match = { name = "{{ code }}" }',
            ),
            ('action = "upsert"\nmatch = {}', "match: must not be empty"),
            ('match = { name = "x" }', "match: only update and upsert look for a document first; remove it"),
            ('method = "app.do"', 'method: only a call has one; remove it, or set action = "call"'),
            (
                'action = "update"\nmatch = { name = "x" }\nsubmit = true',
                "submit: only inserted and upserted documents are submitted; remove it",
            ),
            ('action = "upsert"\nmatch = { name = "x" }\nbatch = 5', "batch: only inserts go together; remove it"),
            ("submit = true\nbatch = 5", "batch: documents that are submitted go one by one; remove it"),
            ("batch = 201", "batch: must be at most 200"),
            ('action = "call"\nmethod = "app.do"', "doctype: a call has a method, and no DocType; remove it"),
            (
                'action = "update"\nmatch = { name = "{{ x" }',
                "match.name: unexpected end of template, expected 'end of print statement'.",
            ),
        ):
            self.assertProblems(route(keys), f"routes.checkin.{problem}")
        for method in ("do", "app..do", "app.do()"):
            text = route(f'action = "call"\nmethod = "{method}"').replace('doctype = "Employee Checkin"', "")
            with self.assertRaises(ConfigurationError) as caught:
                read(text)
            self.assertIn("routes.checkin.method", str(caught.exception))

    def test_an_action_leaves_some_fields_alone(self) -> None:
        """Submission has its key, and a document that is found by its name keeps it."""
        for keys, field, problem in (
            ("", "docstatus = 1", "docstatus: set submit = true in routes.checkin instead"),
            (
                'action = "upsert"\nmatch = { code = "x" }',
                'name = "x"',
                "name: a document keeps its name; to find it by its name, put it into match",
            ),
        ):
            text = route(keys).replace('employee = "{{ employee }}"', field)
            self.assertProblems(text, f"routes.checkin.document.{problem}")

    def test_what_each_action_promises_is_told(self) -> None:
        """A call may happen twice and an upsert without order may insert twice: warnings, no errors."""
        call = route('action = "call"\nmethod = "app.do"').replace('doctype = "Employee Checkin"', "")
        self.assertEqual(
            ["routes.checkin.action: a call whose answer is lost is made again; may it happen twice?"],
            read(call).warnings,
        )
        upsert = 'action = "upsert"\nmatch = { code = "x" }\n'
        self.assertEqual(
            ["routes.checkin: two first events for one document may both insert it; set order_by"],
            read(route(upsert)).warnings,
        )
        settings = read(route(upsert + 'order_by = "code"'))
        self.assertEqual([], settings.warnings)
        self.assertEqual(["Employee Checkin"], settings.prepared_doctypes("erp"))
        self.assertEqual([], read(route('action = "update"\nmatch = { code = "x" }')).prepared_doctypes("erp"))

    def test_inserts_go_together_unless_they_are_submitted(self) -> None:
        """Batches are the default where they may be, and a route may have none."""
        for keys, expected in (("", 20), ("submit = true", 1), ("batch = 200", 200), ("batch = 1", 1)):
            self.assertEqual(expected, read(route(keys)).routes["checkin"].at_once)

    def test_examples_name_what_exists(self) -> None:
        """A test that tries nothing would always pass."""
        text = (
            TARGET
            + SOURCE
            + SOURCE.replace("gate", "door").replace("7001", "7002")
            + ROUTE
            + """
sources = ["gate"]
[[tests]]
source = "gat"
input = {}
expect = { chekin = "skipped" }
[[tests]]
source = "door"
input = "{}"
expect = { checkin = "skipped" }
[[tests]]
source = "gate"
input = { at = 2026-03-02 }
expect = { checkin = "skiped" }
"""
        )
        self.assertProblems(
            text,
            "tests[2].input: JSON has no dates and times; put them in quotes",
            'tests[2].expect: for route "checkin" expected a document or "skipped"',
            'tests[0].source: unknown source "gat"; did you mean "gate"?',
            'tests[0].expect.chekin: unknown route "chekin"; did you mean "checkin"?',
            "tests[1].expect.checkin: this route takes nothing from door",
        )

    def test_what_leads_nowhere_is_warned_of(self) -> None:
        """Events that nobody takes, a target that nobody uses, and a key that anyone on the way can read."""
        text = (
            TARGET.replace("https", "http")
            + TARGET.replace("erp]", "other]")
            + SOURCE
            + SOURCE.replace("gate", "door").replace("7001", "7002")
            + ROUTE
            + 'sources = ["gate"]\ntarget = "erp"'
        )
        self.assertEqual(
            [
                "sources.door: no route takes its events; they are kept, and delivered nowhere",
                "targets.other: no route leads here",
                "targets.erp.url: the API key crosses the network unencrypted; use https",
            ],
            read(text).warnings,
        )
        for local in ("http://127.0.0.1:8000", "http://[::1]", "http://localhost"):
            text = (TARGET + SOURCE + ROUTE).replace("https://erp.example.com/", local)
            self.assertEqual([], read(text).warnings)


class Authorities(ConfigTestCase):
    """``ca``: whose signature makes a site's certificate count."""

    def setUp(self) -> None:
        self.directory = Path("pki").absolute()
        self.directory.mkdir()
        self.path = self.directory / "ca.pem"

    def test_a_ca_is_read_beside_the_configuration(self) -> None:
        """Of a bundle, what may vouch for a server now is trusted, and nothing else."""
        root = Authority(self.directory, "Plant CA")
        line = Authority(self.directory, "Line CA", above=root)
        old = Authority(self.directory, "Old CA", begins=-9, ends=-1)
        server = root.sign("erp.example.com").certificate.read_bytes()
        self.path.write_bytes(b"The plant's own\n" + old.pem + root.pem + server + line.pem)
        settings = read(target('ca = "pki/ca.pem"'))
        self.assertEqual((root.certificate, line.certificate), settings.sites["erp"].ca)

    def test_nothing_is_read_for_what_talks_to_no_target(self) -> None:
        """The events of a journal can be listed when the CA has expired; and then nobody is trusted."""
        self.assertEqual((), read(target('ca = "pki/ca.pem"'), secrets=False).sites["erp"].ca)

    def test_a_file_that_is_of_no_use(self) -> None:
        """Each is a mistake in the configuration, told with the file and the reason."""
        root = Authority(self.directory, "Plant CA")
        key = root.sign("erp.example.com").key.read_bytes()
        holds = {
            b" \n": "is empty",
            b"\x30\x82\x01\x0a": "holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----",
            key: "holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----",
            root.pem[:200] + root.pem[210:]: "holds a certificate that cannot be read",
            root.sign("erp.example.com").certificate.read_bytes(): (
                "holds no certificate of a CA; give that of the CA which signed the server's"
            ),
            Authority(self.directory, "Line CA", above=root).pem: (
                "holds only intermediate CAs; add the root CA which signed them"
            ),
            Authority(self.directory, "Old CA", begins=-9, ends=-1).pem: f"holds a CA that expired on {day(-1)}",
            Authority(self.directory, "New CA", begins=1, ends=9).pem: (
                f"holds a CA that is not valid before {day(1)}"
            ),
        }
        for contents, problem in holds.items():
            self.path.write_bytes(contents)
            self.assertProblems(target('ca = "pki/ca.pem"'), f"targets.erp.ca: {self.path} {problem}")

    def test_a_file_that_cannot_be_read(self) -> None:
        """One that is not there, and a directory."""
        missing = f"targets.erp.ca: cannot read {self.path}: No such file or directory"
        self.assertProblems(target('ca = "pki/ca.pem"'), missing)
        self.assertProblems(target('ca = "pki"'), f"targets.erp.ca: cannot read {self.directory}: Is a directory")
        self.assertProblems(target("ca = 7"), "targets.erp.ca: expected the path of a file")

    def test_a_ca_that_would_guard_nothing(self) -> None:
        """Whoever sets one means to be safe; over http nobody is."""
        Authority(self.directory, "ca")
        self.assertProblems(
            target('ca = "pki/ca.pem"').replace("https:", "http:"),
            "targets.erp.ca: http shows no certificate; use https, or remove it",
        )
