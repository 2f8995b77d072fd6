"""Whatever a configuration holds, it is settings or errors that say where: never a traceback."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.rig.hostile import bent, fuzzed
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble import sample
from lineside.assemble.config import load
from lineside.model.errors import ConfigurationError

GOOD = """
[journal]
path = "lineside.db"
[sources.gate]
type = "lines"
listen = "tcp:7001"
public = true
max_line = 1000
framing = { type = "stx-etx", checksum = "lrc" }
format = { type = "csv", columns = ["a", "b"], delimiter = ";" }
[http]
listen = "tcp:8080"
[targets.erp]
type = "frappe"
url = "https://erp.example.com/"
api_key = { env = "ERP_KEY" }
api_secret = { env = "ERP_SECRET" }
[routes.checkin]
source = "gate"
doctype = "Employee Checkin"
when = "{{ kind == 'checkin' }}"
document = { employee = "{{ employee }}" }
"""
VALUES = st.sampled_from(
    [
        "1",
        "-1",
        "0",
        "1e999",
        "nan",
        "9" * 5000,
        "true",
        "[]",
        "{}",
        '""',
        '"\\u0000"',
        '"../../etc/passwd"',
        '"{{ 9 ** 9 }}"',
        "1979-05-27",
        "[[[[]]]]",
        "[" * 5000 + "]" * 5000,
        '{ env = "NO" }',
        '{ file = "/dev/null" }',
        '"tcp:99999999"',
        '"https://[::1/"',
    ]
)


@st.composite
def altered(draw: st.DrawFn) -> bytes:
    """Return a good configuration in which some values are others."""
    lines = GOOD.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        name, equals, _ = lines[at].partition(" = ")
        if equals:
            lines[at] = f"{name} = {draw(VALUES)}"
    return "\n".join(lines).encode()


class FuzzedConfiguration(SynchronousTestCase):
    """lineside.toml."""

    @fuzzed
    @given(altered() | bent(st.just(GOOD.encode())) | bent(st.just(sample.text().encode())))
    def test_it_is_settings_or_errors(self, content: bytes) -> None:
        """Each error begins with the file, and is one line without control characters."""
        path = Path("lineside.toml")
        path.write_bytes(content)
        try:
            load(path, {"ERP_KEY": "k", "ERP_SECRET": "s"})
        except ConfigurationError as wrong:
            self.assertTrue(wrong.problems)
            for problem in wrong.problems:
                self.assertTrue(problem.startswith("lineside.toml: "), problem)
                self.assertTrue(problem.isprintable(), ascii(problem)[:300])

    def test_the_worst_is_told_in_words(self) -> None:
        """Nested without end, numbers without end, and what commands a terminal."""
        for content, told in (
            (b"a = " + b"[" * 100_000, "tables or arrays are nested too deeply"),
            (b"a = " + b"9" * 5000, "a number has more than 4300 digits"),
            (b'[sources.gate]\ntype = "\\u001b[2J"', 'sources.gate.type: unknown type "\\x1b[2J"'),
        ):
            path = Path("lineside.toml")
            path.write_bytes(content)
            with self.assertRaises(ConfigurationError) as raised:
                load(path, {})
            self.assertIn(told, str(raised.exception))
