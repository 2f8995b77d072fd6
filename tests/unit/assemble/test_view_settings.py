"""What the configuration can say of views of the ERP, and what it is told where that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.settings import Settings
from lineside.model.errors import ConfigurationError

SITE = """
[targets.{name}]
type = "frappe"
url = "https://{name}.example.com"
api_key = "k"
api_secret = "s"
"""
GATE = """
[sources.gate]
type = "lines"
listen = "tcp:7001:interface=127.0.0.1"

[routes.checkin]
target = "erp"
doctype = "Employee Checkin"
document = { employee = "{{ employee }}" }
"""
VIEW = """
[views.items]
doctype = "Item"
fields = ["item_name"]
"""


class Views(SynchronousTestCase):
    """Read and checked."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def load(self, *parts: str) -> Settings:
        path = self.directory / "lineside.toml"
        path.write_text("\n".join((GATE, *parts)))
        return load(path, {})

    def problems(self, *parts: str) -> list[str]:
        with self.assertRaises(ConfigurationError) as wrong:
            self.load(*parts)
        return [problem.partition("lineside.toml: ")[2] for problem in wrong.exception.problems]

    def test_what_it_says(self) -> None:
        """A DocType and its fields are enough."""
        filters = 'filters = [["disabled", "=", 0]]\nttl = "1m"\n'
        view = self.load(SITE.format(name="erp"), "[http]", VIEW, filters).views["items"]
        self.assertEqual(
            ("Item", ("item_name",), (("disabled", "=", 0),), 60.0, 100, False),
            (view.doctype, view.fields, view.filters, view.ttl, view.limit, view.devices),
        )

    def test_what_cannot_be(self) -> None:
        """No HTTP services, no fields, another operator, a field that is none, a site that there is not."""
        erp = SITE.format(name="erp")
        self.assertEqual(["views: nobody can ask for them without a table [http]"], self.problems(erp, VIEW))
        for wrong in (
            VIEW.replace('["item_name"]', "[]"),
            VIEW + 'filters = [["disabled", "is not", 0]]\n',
            VIEW.replace("item_name", "item_name, tabUser.password"),
            VIEW + "limit = 0\n",
        ):
            for problem in self.problems(erp, "[http]", wrong):
                self.assertTrue(problem.startswith("views.items."), problem)
        (problem,) = self.problems(erp, "[http]", VIEW + 'target = "epr"\n')
        self.assertEqual("views.items.target: there is no site 'epr'; did you mean \"erp\"?", problem)

    def test_which_site(self) -> None:
        """Where there are several it is named; a DocType has one view."""
        sites = [SITE.format(name="erp"), SITE.format(name="old"), "[http]"]
        self.assertEqual(
            ["views.items.target: is missing; there is not just one site"], self.problems(*sites, VIEW)
        )
        twice = VIEW.replace("items", "again")
        (problem,) = self.problems(sites[0], "[http]", VIEW, twice)
        self.assertIn("[views.items] shows Item already", problem)
