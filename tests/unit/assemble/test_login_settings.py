"""What a configuration may say of people who log in."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.model.errors import ConfigurationError

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "https://erp.example.com"
api_key = "k"
api_secret = "s"

[sources.gate]
type = "lines"
listen = "tcp:7001:interface=127.0.0.1"

[routes.checkin]
doctype = "Employee Checkin"
target = "erp"
document = { employee = "{{ employee }}" }

[http]
"""
SECOND = (
    CONFIGURATION
    + """
[targets.other]
type = "frappe"
url = "https://b.example.com"
api_key = "k"
api_secret = "s"
"""
)


class LogInSettingsTests(SynchronousTestCase):
    """Tables ``[http.login]``, right and wrong."""

    def problems(self, login: str, configuration: str = CONFIGURATION) -> list[str]:
        path = Path("lineside.toml")
        path.write_text(configuration + login)
        try:
            load(path, {})
        except ConfigurationError as wrong:
            return [problem.removeprefix("lineside.toml: ") for problem in wrong.problems]
        return []

    def test_a_role_for_somebody_is_enough(self) -> None:
        """The only ERP checks the passwords."""
        self.assertEqual(self.problems('[http.login.roles]\nviewer = ["Stock User"]'), [])

    def test_which_erp_must_be_clear(self) -> None:
        """Of two one is named, and one that there is."""
        roles = '\n[http.login.roles]\nviewer = ["Stock User"]'
        self.assertEqual(
            self.problems(roles, SECOND),
            ["http.login.target: is missing; there is not just one target of type frappe"],
        )
        self.assertEqual(
            self.problems(f'[http.login]\ntarget = "othr"{roles}', SECOND),
            ["http.login.target: there is no site 'othr'; did you mean \"other\"?"],
        )

    def test_somebody_must_be_let_in(self) -> None:
        """A table without roles is a mistake, and so is a role that there is not."""
        self.assertEqual(
            self.problems("[http.login.roles]"),
            ["http.login.roles: lets nobody in; name roles of the ERP for viewer, operator or admin"],
        )
        [problem] = self.problems('[http.login.roles]\nviewers = ["Stock User"]\nadmin = ["System Manager"]')
        self.assertIn("http.login.roles.viewers: unknown key", problem)
