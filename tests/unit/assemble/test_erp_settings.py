"""What the configuration can say of documents that are shown, and what it is told where that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.settings import Settings
from lineside.model.errors import ConfigurationError

PLANT = """
[targets.erp]
type = "frappe"
url = "https://erp.example"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }

[sources.gate]
type = "lines"
listen = "tcp:7001"
public = true

[routes.checkin]
target = "erp"
doctype = "Employee Checkin"
document = { employee = "{{ employee }}" }
"""
SECOND = """
[targets.other]
type = "frappe"
url = "https://other.example"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }
"""
TABLES = """
[databases.plant]
type = "sqlite"
path = "plant.db"

[targets.plant]
type = "sql"
database = "plant"
"""
HTTP = "[http]\n"
ITEM = '[erp.Item]\nfields = ["item_name"]\n'


class ErpSettings(SynchronousTestCase):
    """One configuration, altered."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.path = tmp_path / "lineside.toml"

    def read(self, text: str) -> Settings:
        self.path.write_text(text, encoding="utf-8")
        return load(self.path, {"KEY": "k", "SECRET": "s"})

    def problems(self, text: str) -> list[str]:
        with self.assertRaises(ConfigurationError) as wrong:
            self.read(text)
        return [problem.removeprefix(f"{self.path}: ") for problem in wrong.exception.problems]

    def test_what_is_right_is_read(self) -> None:
        """With its defaults, and without a warning; a DocType may have a blank."""
        settings = self.read(PLANT + HTTP + ITEM + '[erp."Work Order"]\nfields = ["qty"]\nttl = "0"\n')
        self.assertEqual([], settings.warnings)
        self.assertEqual(["Item", "Work Order"], list(settings.erp))
        item = settings.erp["Item"]
        self.assertEqual(
            ("erp", ("item_name",), {}, (), "name", 100, 30.0, 3600.0, 5.0, "read"),
            (
                settings.shown_from(item),
                item.fields,
                item.filters,
                item.filter_by,
                item.order_by,
                item.limit,
                item.ttl,
                item.stale_if_error,
                item.timeout,
                item.permission,
            ),
        )

    def test_filters_are_checked(self) -> None:
        """Each with what is wrong with it."""
        for filters, told in (
            ('{ item_group = ["among", "A"] }', "item_group: unknown operator 'among'"),
            ('{ item_group = ["in", "A"] }', "item_group: `in` takes an array of values"),
            ('{ "1 = 1; --" = 0 }', "'1 = 1; --' is no field name"),
            ("{ modified = 2026-01-01 }", "modified: expected text or a number; a date is written as text"),
        ):
            [problem] = self.problems(f"{PLANT}{HTTP}{ITEM}filters = {filters}\n")
            self.assertTrue(problem.startswith("erp.Item.filters: "), problem)
            self.assertIn(told, problem)

    def test_fields_are_names_and_nothing_else(self) -> None:
        """No function, no star, no other table's; at least one of them."""
        for field in ("*", "count(name)", "`tabUser`.name", "a b", "name as secret", ""):
            [problem] = self.problems(f'{PLANT}{HTTP}[erp.Item]\nfields = ["{field}"]\n')
            self.assertTrue(problem.startswith("erp.Item.fields[0]: "), problem)
        [problem] = self.problems(f"{PLANT}{HTTP}[erp.Item]\nfields = []\n")
        self.assertTrue(problem.startswith("erp.Item.fields: "), problem)
        [problem] = self.problems(f'{PLANT}{HTTP}{ITEM}order_by = "name; DROP"\n')
        self.assertTrue(problem.startswith("erp.Item.order_by: "), problem)

    def test_a_parameter_of_lists_is_no_field_to_filter_by(self) -> None:
        """Nobody could tell which is meant."""
        self.assertEqual(
            ["erp.Item.filter_by: limit is a parameter of every list; leave it out"],
            self.problems(f'{PLANT}{HTTP}{ITEM}filter_by = ["limit", "item_group"]\n'),
        )

    def test_the_site_must_be_known(self) -> None:
        """Which one it is, that it is there, and that it is one."""
        for text, told in (
            (PLANT + SECOND + ITEM, "is missing; choose one of erp, other"),
            (PLANT + ITEM + 'target = "erq"\n', 'unknown target "erq"; did you mean "erp"?'),
            (PLANT + TABLES + ITEM + 'target = "plant"\n', "only a target of the type frappe can be asked"),
        ):
            self.assertEqual([f"erp.Item.target: {told}"], self.problems(text + HTTP))
        self.assertIn(
            "erp.Item.target: is missing; and no target has the type frappe",
            self.problems(TABLES + PLANT[PLANT.index("[sources") :].replace('"erp"', '"plant"') + ITEM + HTTP),
        )

    def test_a_doctype_is_a_name(self) -> None:
        """What Frappe would not take for one is told, and so is what is no table."""
        for doctype in ("../User", "1st", "Item ", "a/b", "x" * 62):
            [problem] = self.problems(f'{PLANT}{HTTP}[erp."{doctype}"]\nfields = ["a"]\n')
            self.assertIn("no name of a DocType", problem)
        self.assertEqual(["erp.Item: expected a table, got text"], self.problems(f'erp.Item = "x"\n{PLANT}{HTTP}'))
        self.assertEqual(
            ["erp: expected tables [erp.DOCTYPE], got text"], self.problems(f'erp = "x"\n{PLANT}{HTTP}')
        )
        self.assertEqual(["erp.Item.fields: is missing"], self.problems(f"{PLANT}{HTTP}[erp.Item]\n"))

    def test_a_site_that_is_only_looked_at_is_in_use(self) -> None:
        """But nobody can look without HTTP."""
        text = PLANT + SECOND + ITEM + 'target = "other"\n'
        self.assertEqual([], self.read(text + HTTP).warnings)
        self.assertEqual(["erp: nobody can look without a table [http]"], self.read(text).warnings)
