"""Code in the course's text is the code of its files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lineside.workshop.excerpts import NoExcerpt, excerpt, filled

SOURCE = '''"""A module."""
import os
from sys import argv

LIMIT = 5
"""How many."""

# Why it is a class.
@final
class Scanner(LineReceiver):
    """Takes lines."""

    delimiter = b"\\n"

    # Not decoded here: it may not be text.
    @timed
    def lineReceived(self, line):
        return line  # as it is

    def other(self):
        pass


if os.name == "posix":
    def main():
        def inner():
            return 1
        return inner
'''

METHOD = """# Not decoded here: it may not be text.
@timed
def lineReceived(self, line):
    return line  # as it is
"""


class Excerpts(SynchronousTestCase):
    """Objects of a source, by their names."""

    def test_a_method_at_the_margin(self) -> None:
        """Its decorators and the comments right above come along, its class's indentation does not."""
        self.assertEqual(METHOD, excerpt(SOURCE, ["Scanner.lineReceived"]))

    def test_a_class_with_all_that_is_in_it(self) -> None:
        """From the comment above its decorator to its last line."""
        text = excerpt(SOURCE, ["Scanner"])
        self.assertTrue(text.startswith("# Why it is a class.\n@final\nclass Scanner"))
        self.assertTrue(text.endswith("    def other(self):\n        pass\n"))

    def test_several_objects_with_room_between(self) -> None:
        """Two empty lines around functions, one between smaller things; in the order asked for."""
        text = excerpt(SOURCE, ["main", "Scanner.delimiter", "LIMIT"])
        main = "def main():\n    def inner():\n        return 1\n    return inner"
        self.assertEqual(f'{main}\n\n\ndelimiter = b"\\n"\n\nLIMIT = 5\n"""How many."""\n', text)

    def test_what_is_inside_a_function_and_the_imports(self) -> None:
        """Nested functions have dotted names; `imports` are all there are."""
        self.assertEqual("def inner():\n    return 1\n", excerpt(SOURCE, ["main.inner"]))
        self.assertEqual("import os\nfrom sys import argv\n", excerpt(SOURCE, ["imports"]))

    def test_a_name_that_is_not_there(self) -> None:
        """The error names it, and what may have been meant."""
        wrong = self.assertRaises(NoExcerpt, excerpt, SOURCE, ["Scanner.lineRecieved"])
        self.assertIn("Scanner.lineRecieved", str(wrong))
        self.assertIn("lineReceived", str(wrong).replace("lineRecieved", ""))

    def test_a_source_that_is_not_python(self) -> None:
        """Says so with the place, rather than ending in a traceback."""
        wrong = self.assertRaises(NoExcerpt, excerpt, "def broken(:\n", ["broken"])
        self.assertIn("line 1", str(wrong))


class Pages(SynchronousTestCase):
    """Markdown pages with marks."""

    def setUp(self) -> None:
        """Have a chapter with an example."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        (self.folder / "example.py").write_text(SOURCE)

    def test_fills_what_is_marked_and_nothing_else(self) -> None:
        """Prose and other fences stay as they are; filling again changes nothing."""
        page = (
            "# A\n\n```python\nold\n```\n\n<!-- from example.py: Scanner.lineReceived -->\n```python\nold\n```\nB\n"
        )
        text, problems = filled(page, self.folder)
        self.assertEqual([], problems)
        mark = "<!-- from example.py: Scanner.lineReceived -->"
        self.assertEqual(f"# A\n\n```python\nold\n```\n\n{mark}\n```python\n{METHOD}```\nB\n", text)
        self.assertEqual((text, []), filled(text, self.folder))

    def test_the_whole_file_into_an_empty_fence(self) -> None:
        """A fence may be empty at first; its language comes from the file."""
        text, problems = filled("<!-- from example.py -->\n```\n```\n", self.folder)
        self.assertEqual([], problems)
        self.assertEqual(f"<!-- from example.py -->\n```python\n{SOURCE}```\n", text)

    def test_problems_are_told_with_their_lines(self) -> None:
        """A mark without a fence, a file and an object that are not there; the text stays."""
        page = (
            "A\n\n<!-- from example.py -->\nno fence\n\n<!-- from none.py -->\n```python\n```\n"
            "<!-- from example.py: Nobody -->\n```python\n```\n"
        )
        text, problems = filled(page, self.folder)
        self.assertEqual(page, text)
        self.assertEqual(["line 3", "line 6", "line 9"], [problem.partition(":")[0] for problem in problems])

    def test_the_command_writes_and_checks(self) -> None:
        """`--check` fails without a change, the command fills, `--check` passes then."""
        page = self.folder / "README.md"
        stale = "<!-- from example.py: LIMIT -->\n```python\n```\n"
        page.write_text(stale)

        def run(*options: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "lineside.workshop.excerpts", str(self.folder), *options]
            return subprocess.run(command, capture_output=True, text=True, check=False)

        before = run("--check")
        self.assertEqual((1, stale), (before.returncode, page.read_text()))
        self.assertIn("README.md", before.stderr)
        self.assertEqual(0, run().returncode)
        self.assertIn('LIMIT = 5\n"""How many."""\n', page.read_text())
        self.assertEqual(0, run("--check").returncode)
