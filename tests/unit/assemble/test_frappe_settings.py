"""Frappe sites as sources: what the configuration can say of webhooks and polls, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.frappesettings import FrappeSourceSettings
from lineside.assemble.settings import Settings
from lineside.model.errors import ConfigurationError

SITE = """
[journal]
control = "/run/lineside.sock"
[targets.erp]
type = "frappe"
url = "https://erp.example"
api_key = { env = "KEY" }
api_secret = { env = "KEY" }
"""
ROUTE = """
[routes.note]
target = "erp"
doctype = "ToDo"
document = { description = "{{ name }}" }
"""
HTTP = "[http]\n"
ENVIRON = {"KEY": "x", "HOOKS": "geheim"}


class Reading(SynchronousTestCase):
    def load(self, source: str, *, more: str = HTTP, site: str = SITE) -> Settings:
        """Read a file with one Frappe source."""
        path = Path(self.mktemp())
        path.write_text(f'{site}{ROUTE}{more}[sources.orders]\ntype = "frappe"\n{source}')
        return load(path, ENVIRON)

    def problems(self, source: str, *, more: str = HTTP, site: str = SITE) -> list[str]:
        wrong = self.assertRaises(ConfigurationError, self.load, source, more=more, site=site)
        return [problem.partition(": ")[2] for problem in wrong.problems]

    def test_webhooks_and_a_poll_are_one_source(self) -> None:
        """What is left out is as it is best for most."""
        settings = self.load(
            """
            doctype = "Sales Order"
            secret = { env = "HOOKS" }
            poll = { fields = ["status"], filters = [["status", "!=", "Draft"], ["qty", ">", 3]] }
            """
        )
        source = settings.hooks["orders"]
        assert isinstance(source, FrappeSourceSettings)
        assert source.secret is not None
        assert source.poll is not None
        self.assertEqual(
            ("geheim", True, "erp"), (source.secret.reveal(), source.takes_hooks, settings.polled_by(source))
        )
        self.assertEqual((("status",), 60.0, 300.0), (source.poll.fields, source.poll.every, source.poll.overlap))
        self.assertEqual((("status", "!=", "Draft"), ("qty", ">", 3)), source.poll.filters)
        self.assertEqual(("new", []), (source.poll.begin, settings.warnings))

    def test_a_poll_alone_needs_no_http(self) -> None:
        """And takes nothing at /hooks."""
        settings = self.load('doctype = "Sales Order"\npoll = {}\n', more="")
        self.assertFalse(settings.hooks["orders"].takes_hooks)

    def test_an_unsigned_webhook_is_refused_unless_it_is_said(self) -> None:
        """Forgetting the secret opens nothing."""
        [problem] = self.problems('doctype = "Sales Order"\n')
        self.assertEqual(
            "sources.orders.secret: is missing; set the Webhook's secret, or a table poll, or both", problem
        )
        settings = self.load('doctype = "Sales Order"\nunsigned = true\npoll = {}\n')
        [warning] = settings.warnings
        self.assertIn("sources.orders.unsigned: everyone who can connect can make events", warning)
        [problem] = self.problems(
            'doctype = "Sales Order"\nunsigned = true\nsecret = { env = "HOOKS" }\npoll = {}\n'
        )
        self.assertIn("sources.orders.unsigned: with a secret all are signed", problem)

    def test_webhooks_need_http(self) -> None:
        """Else nobody could post them."""
        for key in ('secret = { env = "HOOKS" }', "unsigned = true"):
            [problem] = self.problems(f'doctype = "Sales Order"\n{key}\n', more="")
            self.assertIn("nobody can post webhooks without a table [http]", problem)

    def test_webhooks_without_a_poll_have_gaps(self) -> None:
        """That works, and is warned of."""
        settings = self.load('doctype = "Sales Order"\nsecret = { env = "HOOKS" }\n')
        self.assertEqual(1, len(settings.warnings))
        self.assertIn("sources.orders.poll: Frappe drops a webhook after three attempts", settings.warnings[0])

    def test_only_a_frappe_site_can_be_asked(self) -> None:
        """Which one is said where there are several."""
        poll = 'doctype = "Sales Order"\npoll = {{ target = "{}" }}\n'
        [problem] = self.problems(poll.format("epr"))
        self.assertEqual('sources.orders.poll.target: unknown target "epr"; did you mean "erp"?', problem)
        table = '[databases.db]\ntype = "sqlite"\npath = "db"\n[targets.rows]\ntype = "sql"\ndatabase = "db"\n'
        self.assertIn("rows is no Frappe site", self.problems(poll.format("rows"), more=table)[0])
        another = SITE[SITE.index("[targets") :].replace("erp]", "other]")
        [problem] = self.problems('doctype = "Sales Order"\npoll = {}\n', more=another)
        self.assertEqual("sources.orders.poll.target: is missing; choose one of erp, other", problem)

    def test_filters_are_frappes(self) -> None:
        """Each a field, an operator and a value."""
        for filters, told in (
            ('{ status = "Open" }', "expected an array"),
            ('[["status", "Open"]]', "an operator"),
        ):
            [problem] = self.problems(f'doctype = "Sales Order"\npoll = {{ filters = {filters} }}\n')
            self.assertIn(told, problem)
