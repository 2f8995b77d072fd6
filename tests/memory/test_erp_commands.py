"""The commands that talk to an ERP, against the stand-in's own site and without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError  # noqa: A004
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from lineside.assemble.config import load
from lineside.assemble.frappetargetsettings import FrappeTargetSettings
from lineside.assemble.settings import Settings
from lineside.cli.check import check_targets
from lineside.cli.erp import Preparation, prepare_targets
from lineside.cli.try_ import try_at_targets
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.doctypes import Field
from lineside.edges.frappe.idfield import Missing, read_field
from lineside.edges.frappe.outcomes import Answered
from lineside.edges.frappe.view import Site as ErpSite
from lineside.model.errors import LinesideError
from lineside.standin import methods
from lineside.standin.authentication import Credentials
from lineside.standin.documents import memory_documents
from lineside.standin.faults import FaultKnobs
from lineside.standin.site import make_site
from lineside.standin.users import seed_user

TARGET = """
[targets.NAME]
type = "frappe"
url = "http://NAME.localhost"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }
"""
SOURCE = """
[sources.gate]
type = "lines"
listen = "tcp:7001:interface=127.0.0.1"
"""
ROUTE = """
[routes.NAME]
target = "TARGET"
doctype = "DOCTYPE"
document = { description = "{{ text }}" }
"""


def target(name: str, secret: str = "RIGHT", **options: str) -> str:
    table = TARGET.replace("NAME", name).replace("SECRET", secret)
    return table + "".join(f'{key} = "{value}"\n' for key, value in options.items())


def route(name: str, target: str, doctype: str) -> str:
    return ROUTE.replace("NAME", name).replace("TARGET", target).replace("DOCTYPE", doctype)


class Site:
    """One ERP, and the clients that were made for it."""

    def __init__(self, clock: Clock, user: str = "Administrator") -> None:
        self.documents = memory_documents(random=Random(1))
        site = make_site(clock, self.documents, FaultKnobs(Random(2)), Credentials("key", "secret", user))
        self.agent: IAgent = RequestTraversalAgent(site.resource)


@implementer(IAgent)
class Unreachable:
    """An agent that connects to nothing."""

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        return fail(ConnectionRefusedError())


class ClosedClient(FrappeClient):
    """A client that tells whether it was closed."""

    closed = False

    async def close(self) -> None:
        await super().close()
        self.closed = True


class TwoSites(SynchronousTestCase):
    """Two ERPs, neither prepared."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sites = {f"http://{name}.localhost": Site(self.clock) for name in ("erp", "hr")}
        self.clients: list[ClosedClient] = []

    def connect(
        self,
        reactor: Any,
        settings: FrappeTargetSettings,
        around: Callable[[IAgent], IAgent] = lambda agent: agent,
    ) -> FrappeClient:
        client = ClosedClient(
            reactor,
            settings.url,
            settings.api_key.reveal(),
            settings.api_secret.reveal(),
            agent=self.sites[settings.url].agent,
            around=around,
        )
        self.clients.append(client)
        return client

    def settings(self, *tables: str) -> Settings:
        path = Path("lineside.toml")
        path.write_text("\n".join([SOURCE, *tables]))
        return load(path, {"KEY": "key", "RIGHT": "secret", "WRONG": "another"})

    def prepare(self, settings: Settings, only: str | None = None) -> tuple[list[Preparation], str]:
        """Return what was prepared, and the error's text; every client that was made is closed."""
        told: list[Preparation] = []
        failures: list[Failure] = []
        done = Deferred.fromCoroutine(prepare_targets(self.clock, settings, only, told.append, self.connect))
        self.successResultOf(done.addErrback(failures.append))
        self.assertTrue(all(client.closed for client in self.clients))
        for failure in failures:
            failure.trap(LinesideError)
        return told, "".join(failure.getErrorMessage() for failure in failures)

    def field(self, name: str, doctype: str, field: str) -> object:
        url = f"http://{name}.localhost"
        client = FrappeClient(self.clock, url, "key", "secret", agent=self.sites[url].agent)
        return self.successResultOf(Deferred.fromCoroutine(read_field(client, doctype, field)))


class ErpPrepare(TwoSites):
    """`lineside erp prepare`."""

    def test_every_doctype_of_every_route_gets_its_targets_field_once(self) -> None:
        """Each site has the field its target names, unique; a second run makes nothing and says so."""
        settings = self.settings(
            target("erp"),
            target("hr", id_field="event_id"),
            route("todo", "erp", "ToDo"),
            route("again", "erp", "ToDo"),
            route("company", "erp", "Company"),
            route("badge", "hr", "Employee Checkin"),
        )
        first = [
            Preparation("erp", "ToDo", "lineside_id", created=True),
            Preparation("erp", "Company", "lineside_id", created=True),
            Preparation("hr", "Employee Checkin", "event_id", created=True),
        ]
        self.assertEqual(self.prepare(settings), (first, ""))
        second = [Preparation(done.target, done.doctype, done.field, created=False) for done in first]
        self.assertEqual(self.prepare(settings), (second, ""))
        for done in first:
            field = self.field(done.target, done.doctype, done.field)
            assert isinstance(field, Field)
            self.assertTrue(field.unique)

    def test_one_target_alone(self) -> None:
        """--target leaves the other sites untouched."""
        settings = self.settings(
            target("erp"), target("hr"), route("todo", "erp", "ToDo"), route("badge", "hr", "Employee Checkin")
        )
        told, error = self.prepare(settings, "hr")
        self.assertEqual((told, error), ([Preparation("hr", "Employee Checkin", "lineside_id", created=True)], ""))
        self.assertEqual(len(self.clients), 1)
        self.assertEqual(self.field("erp", "ToDo", "lineside_id"), Missing())

    def test_what_fails_does_not_keep_the_rest_from_being_prepared(self) -> None:
        """A DocType that is none and a site with another key are named; the others are ready, and told."""
        settings = self.settings(
            target("erp"),
            target("hr", secret="WRONG"),
            route("typo", "erp", "To Do"),
            route("todo", "erp", "ToDo"),
            route("badge", "hr", "Employee Checkin"),
        )
        told, error = self.prepare(settings)
        self.assertEqual(told, [Preparation("erp", "ToDo", "lineside_id", created=True)])
        typo, key = error.splitlines()
        self.assertRegex(typo, r"^targets\.erp: To Do: .*To Do")
        self.assertRegex(key, r"^targets\.hr: .*: check the target's api_key and api_secret$")

    def test_a_target_without_routes(self) -> None:
        """Asked for by name it is an error, since nothing can be prepared; otherwise it is passed over."""
        settings = self.settings(target("erp"), target("hr"), route("todo", "erp", "ToDo"))
        self.assertEqual(
            self.prepare(settings, "hr"), ([], "no route leads to the target hr: there is nothing to prepare")
        )
        self.assertEqual(self.clients, [])
        told, error = self.prepare(settings)
        self.assertEqual(([done.target for done in told], error), (["erp"], ""))


class Checking(TwoSites):
    """Sites that are asked by `lineside check --connect`."""

    def check(self, settings: Settings, *, as_json: bool = False) -> tuple[int, list[str], list[str]]:
        """Return the exit code and the lines on standard output and error; every client that was made is closed."""
        out, err, failures = StringIO(), StringIO(), list[Failure]()
        with redirect_stdout(out), redirect_stderr(err):
            done = Deferred.fromCoroutine(
                check_targets(self.clock, Path("lineside.toml"), settings, as_json, self.connect)
            )
            self.successResultOf(done.addErrback(failures.append))
        self.assertTrue(self.clients)
        self.assertTrue(all(client.closed for client in self.clients))
        for failure in failures:
            failure.trap(SystemExit)
        [code] = [failure.value.args[0] for failure in failures if failure.value is not None] or [0]
        return code, out.getvalue().splitlines(), err.getvalue().splitlines()


class CheckConnect(Checking):
    """`lineside check --connect`."""

    def test_a_prepared_site_is_found_so(self) -> None:
        """Each DocType once, in whatever number of routes; exit 0 and nothing on standard error."""
        settings = self.settings(target("erp"), route("todo", "erp", "ToDo"), route("again", "erp", "ToDo"))
        self.prepare(settings)
        found = [
            "lineside.toml: ok: targets.erp: answers and takes the key; its times are in Europe/Berlin",
            "lineside.toml: ok: targets.erp: ToDo: lineside_id is there and unique",
        ]
        self.assertEqual(self.check(settings), (0, found, []))

    def test_what_is_missing_is_told_with_its_remedy_and_not_mended(self) -> None:
        """A DocType that is not prepared, one that does not exist, and a wrong key, all at once; exit 1."""
        settings = self.settings(
            target("erp"),
            target("hr", secret="WRONG"),
            route("todo", "erp", "ToDo"),
            route("typo", "erp", "To Do"),
            route("badge", "hr", "Employee Checkin"),
        )
        code, found, [todo, typo, key] = self.check(settings)
        self.assertEqual((code, len(found)), (1, 1))
        self.assertEqual(
            todo, "lineside.toml: targets.erp: ToDo has no field lineside_id; run lineside erp prepare"
        )
        self.assertRegex(typo, "targets.erp: .*To Do.*; check the route's doctype$")
        self.assertRegex(key, "targets.hr: .*; check the target's api_key and api_secret$")
        self.assertEqual(self.field("erp", "ToDo", "lineside_id"), Missing())

    def test_a_site_that_is_down_is_asked_one_thing(self) -> None:
        """Its DocTypes are not asked for in vain, one time-out after the other."""
        self.sites["http://erp.localhost"].agent = Unreachable()
        settings = self.settings(target("erp"), route("todo", "erp", "ToDo"))
        code, found, errors = self.check(settings)
        self.assertEqual((code, found, len(errors)), (1, [], 1))
        self.assertIn("is the site running, and is url its address?", errors[0])

    def test_another_zone_than_the_site_says_is_a_warning(self) -> None:
        """The site is believed; only rehearsals would differ."""
        settings = self.settings(target("erp", time_zone="Asia/Kolkata"), route("todo", "erp", "ToDo"))
        self.prepare(settings)
        code, _, [warning] = self.check(settings)
        self.assertEqual(code, 0)
        self.assertIn("warning: targets.erp.time_zone: the site says Europe/Berlin", warning)

    def test_json_is_one_object(self) -> None:
        """A program gets what a person reads as errors and warnings."""
        settings = self.settings(target("erp"), route("todo", "erp", "ToDo"))
        code, [line], errors = self.check(settings, as_json=True)
        self.assertEqual((code, errors), (1, []))
        problem = "targets.erp: ToDo has no field lineside_id; run lineside erp prepare"
        self.assertEqual(json.loads(line), {"ok": False, "problems": [problem], "warnings": []})


class WhatIsShown(Checking):
    """`lineside check --connect` of what is shown of the ERP."""

    def checked(self, *views: str) -> tuple[int, list[str], list[str]]:
        settings = self.settings(target("erp"), route("todo", "erp", "ToDo"), "[http]", *views)
        self.prepare(settings)
        code, found, errors = self.check(settings)
        return code, found[2:], errors

    def test_each_view_is_tried(self) -> None:
        """With the fields by which callers may filter, too."""
        told = self.checked('[erp.ToDo]\nfields = ["description"]\nfilter_by = ["status"]')
        self.assertEqual(told, (0, ["lineside.toml: ok: erp.ToDo: the site shows it"], []))

    def test_what_the_site_does_not_have_is_told(self) -> None:
        """A field that lacks, a DocType that lacks; exit 1."""
        for view, word in (
            ('[erp.ToDo]\nfields = ["descriptoin"]', "descriptoin"),
            ('[erp.ToDo]\nfields = ["status"]\nfilter_by = ["prio"]', "prio"),
            ('[erp."To Do"]\nfields = ["status"]', "To Do"),
        ):
            code, found, [error] = self.checked(view)
            self.assertEqual((code, found), (1, []))
            self.assertIn(word, error)
            self.assertRegex(error, r'^lineside.toml: erp\.("To Do"|ToDo): .*does the DocType have these fields')

    def test_what_the_api_user_does_not_see_is_a_warning(self) -> None:
        """A site leaves such fields out of its answer without a word."""

        async def lacking(site: object, body: bytes) -> Answered:
            return Answered([{"name": "T-1", "status": "Open"}])

        self.patch(ErpSite, "ask", lacking)
        code, found, errors = self.checked('[erp.ToDo]\nfields = ["status", "secret"]')
        self.assertEqual((code, found), (0, []))
        self.assertEqual(
            errors,
            ["lineside.toml: warning: erp.ToDo: the site does not show secret; may the API user read it?"],
        )


class FieldsOfRoutes(Checking):
    """What `check --connect` and `try --erp` say of fields, before there is a document."""

    BADGE = """
[routes.badge]
target = "hr"
doctype = "Employee Checkin"
document = { FIELDS }
"""
    TIMED = BADGE.replace("FIELDS", 'employee = "{{ who }}", time = "{{ at }}"')

    def setUp(self) -> None:
        super().setUp()
        self.user = "gateway@example.com"
        self.sites["http://hr.localhost"] = Site(self.clock, self.user)

    def become(self, *roles: str) -> None:
        documents = self.sites["http://hr.localhost"].documents
        self.successResultOf(documents.write(lambda records: seed_user(records, self.user, roles)))

    def test_a_field_above_the_users_level_is_a_problem(self) -> None:
        """The site would drop it in every document; once the role is given all is well."""
        settings = self.settings(target("hr"), self.TIMED)
        self.prepare(settings)
        self.become("Employee")
        code, _, [told] = self.check(settings)
        self.assertEqual(code, 1)
        self.assertIn("routes.badge: Employee Checkin.time is permission level 1, where the API user may not", told)
        self.assertIn("; give one of the API user's roles the permission to write at level 1", told)
        self.become("HR User")
        self.assertEqual(self.check(settings)[::2], (0, []))

    def test_a_level_of_which_nothing_is_known_is_a_warning(self) -> None:
        """A site may keep the roles of its users to itself."""
        settings = self.settings(target("hr"), self.TIMED)
        self.prepare(settings)
        roles = "frappe.core.doctype.user.user.get_roles"
        self.addCleanup(methods.METHODS.__setitem__, roles, methods.METHODS.pop(roles))
        code, _, [told] = self.check(settings)
        self.assertEqual(code, 0)
        self.assertIn("Employee Checkin.time is permission level 1, and the site does not say", told)

    def test_a_mandatory_field_that_no_route_fills_is_a_warning(self) -> None:
        """Code of the site may fill it: the document is sent, and the ERP has the last word."""
        settings = self.settings(target("hr"), self.BADGE.replace("FIELDS", 'log_type = "IN"'))
        self.prepare(settings)
        line = "Employee Checkin: the mandatory field employee is not in the document; code of the site may fill it"
        self.assertEqual(self.check(settings)[::2], (0, [f"lineside.toml: warning: routes.badge: {line}"]))
        out = StringIO()
        for as_json in (True, False):
            with redirect_stdout(out):
                trying = try_at_targets(self.clock, settings, "gate", ["hr"], [b"{}\n"], as_json, self.connect)
                self.successResultOf(Deferred.fromCoroutine(trying))
        told, _, text = out.getvalue().partition("\n")
        self.assertEqual(json.loads(told)["routes"]["badge"]["erp"]["remarks"], [line])
        self.assertIn(f"    mind: {line}\n", text)

    def test_a_trial_of_what_would_be_dropped_says_so(self) -> None:
        """The request is not shown: it would never be sent."""
        settings = self.settings(target("hr"), self.TIMED)
        self.prepare(settings)
        self.become("Employee")
        out = StringIO()
        with redirect_stdout(out):
            line = b'{"who": "HR-EMP-00001", "at": "2026-03-02 06:58:30"}\n'
            trying = try_at_targets(self.clock, settings, "gate", ["hr"], [line], True, self.connect)
            self.successResultOf(Deferred.fromCoroutine(trying))
        erp = json.loads(out.getvalue())["routes"]["badge"]["erp"]
        self.assertEqual(erp["outcome"], "blocked")
        self.assertIn("Employee Checkin.time is permission level 1", erp["reason"])


class TryErp(TwoSites):
    """`lineside try SOURCE --erp`."""

    def tried(
        self, settings: Settings, *targets: str, line: bytes = b'{"text":"a"}\n', as_json: bool = True
    ) -> str:
        """Return what is printed of a line; every client that was made is closed."""
        out = StringIO()
        with redirect_stdout(out):
            trying = try_at_targets(self.clock, settings, "gate", list(targets), [line], as_json, self.connect)
            self.successResultOf(Deferred.fromCoroutine(trying))
        self.assertTrue(all(client.closed for client in self.clients))
        return out.getvalue()

    def todos(self, name: str) -> list[Any]:
        documents = self.sites[f"http://{name}.localhost"].documents
        listed: list[Any] = self.successResultOf(documents.read(lambda records: records.list("ToDo", {})))
        return listed

    def test_each_route_shows_its_request_and_none_is_sent(self) -> None:
        """Method, path and body as they would go out, in JSON and for a person; no site holds a document."""
        settings = self.settings(target("erp"), route("todo", "erp", "ToDo"))
        self.prepare(settings)
        shown = json.loads(self.tried(settings, "erp"))["routes"]["todo"]
        self.assertEqual((shown["outcome"], shown["time_zone"]), ("document", "Europe/Berlin"))
        identity = shown["erp"]["body"]["lineside_id"]
        body = {"description": "a", "lineside_id": identity}
        request = {"outcome": "request", "method": "POST", "path": "/api/resource/ToDo", "body": body}
        self.assertEqual(shown["erp"], request)
        text = self.tried(settings, "erp", as_json=False)
        self.assertIn("site times of targets.erp are in Europe/Berlin, as for a gateway\n", text)
        self.assertIn("    POST /api/resource/ToDo\n      {\n", text)
        self.assertIn(f'        "lineside_id": "{identity}"\n', text)
        self.assertEqual(self.todos("erp"), [])

    def test_what_would_not_be_sent_says_why(self) -> None:
        """A field the site does not know is refused; a DocType that is not prepared keeps the route waiting."""
        wrong = route("todo", "erp", "ToDo").replace("description =", "descriptoin =")
        settings = self.settings(target("erp"), wrong, route("badge", "erp", "Employee Checkin"))
        self.prepare(self.settings(target("erp"), wrong))
        routes = json.loads(self.tried(settings, "erp"))["routes"]
        self.assertEqual(
            (routes["todo"]["erp"]["outcome"], routes["todo"]["erp"]["code"]), ("refused", "preflight")
        )
        self.assertIn('did you mean "description"?', routes["todo"]["erp"]["reason"])
        self.assertEqual(routes["badge"]["erp"]["remedy"], "run lineside erp prepare")
        text = self.tried(settings, "erp", as_json=False)
        self.assertIn("not sent, it would be refused: preflight: descriptoin", text)
        self.assertIn("the route would wait: Employee Checkin has no field lineside_id; run lineside erp", text)

    def test_only_the_targets_that_are_meant_are_asked(self) -> None:
        """Routes to others are shown as without --erp, in the zone that is assumed."""
        settings = self.settings(target("erp"), target("hr"), route("a", "erp", "ToDo"), route("b", "hr", "ToDo"))
        routes = json.loads(self.tried(settings, "hr"))["routes"]
        self.assertEqual([(name, "erp" in shown) for name, shown in routes.items()], [("a", False), ("b", True)])
        self.assertEqual([shown["time_zone"] for shown in routes.values()], ["UTC", "Europe/Berlin"])
        self.assertEqual(len(self.clients), 1)

    def test_a_site_that_turns_us_away_ends_it(self) -> None:
        """The target and the remedy are named, and no line is shown in a zone that nobody knows."""
        settings = self.settings(target("erp", secret="WRONG"), route("todo", "erp", "ToDo"))
        out = StringIO()
        with redirect_stdout(out):
            trying = try_at_targets(self.clock, settings, "gate", ["erp"], [b"{}\n"], False, self.connect)
            failure = self.failureResultOf(Deferred.fromCoroutine(trying), LinesideError)
        self.assertRegex(failure.getErrorMessage(), r"^targets\.erp: .*check the target's api_key and api_secret$")
        self.assertEqual(out.getvalue(), "")
        self.assertTrue(all(client.closed for client in self.clients))
