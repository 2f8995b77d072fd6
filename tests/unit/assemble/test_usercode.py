"""Functions of the user's own, found by their names in one folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.usercode import NoSuchCode, find_function


class UserCode(SynchronousTestCase):
    """A folder of modules. Their names are like no others', for Python keeps what it imported."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outside = tmp_path
        self.folder = tmp_path / "tasks"
        self.folder.mkdir()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def setUp(self) -> None:
        before = set(sys.modules)
        self.addCleanup(lambda: [sys.modules.pop(name) for name in set(sys.modules) - before])

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def problem(self, named: str) -> str:
        with self.assertRaises(NoSuchCode) as wrong:
            find_function(self.folder, named)
        self.assertNotIn("\n", str(wrong.exception))
        return str(wrong.exception).replace(str(self.outside), "")

    def test_finds_a_function(self) -> None:
        """And what its module imports from beside it."""
        self.write("uc_beside.py", "LEVEL = 7\n")
        self.write("uc_plain.py", "import uc_beside\n\ndef look(context):\n    return uc_beside.LEVEL\n")
        self.assertEqual(7, find_function(self.folder, "uc_plain:look")(None))

    def test_finds_one_by_a_path_from_here(self) -> None:
        """The folder may be given as it is from where the gateway was started."""
        self.write("uc_here.py", "def look(context):\n    return 'here'\n")
        self.assertEqual("here", find_function(Path("tasks"), "uc_here:look")(None))

    def test_finds_one_in_a_package(self) -> None:
        """With an ``__init__.py`` on the way, or without."""
        self.write("uc_with/__init__.py", "")
        self.write("uc_with/deep/__init__.py", "")
        self.write("uc_with/deep/stock.py", "def look(context):\n    return 'with'\n")
        self.write("uc_without/stock.py", "def look(context):\n    return 'without'\n")
        self.assertEqual("with", find_function(self.folder, "uc_with.deep.stock:look")(None))
        self.assertEqual("without", find_function(self.folder, "uc_without.stock:look")(None))

    def test_finds_one_behind_a_link_within_the_folder(self) -> None:
        """As Kubernetes mounts files: a link to a folder beside it, which is exchanged as a whole."""
        self.write("..data/uc_linked.py", "def look(context):\n    return 'linked'\n")
        (self.folder / "uc_linked.py").symlink_to("..data/uc_linked.py")
        self.assertEqual("linked", find_function(self.folder, "uc_linked:look")(None))

    def test_the_folder_is_missing(self) -> None:
        """The remedy is said."""
        self.folder.rmdir()
        self.assertEqual(
            "there is no folder /tasks to find uc_none in; make it, or set code.path", self.problem("uc_none:look")
        )

    def test_the_module_is_missing(self) -> None:
        """One that is spelled much like it is named, and one in a package, with where it would be."""
        self.write("uc_nightly.py", "")
        self.assertEqual(
            'there is no uc_nightl.py in /tasks; did you mean "uc_nightly"?', self.problem("uc_nightl:look")
        )
        self.write("uc_package/__init__.py", "")
        self.assertEqual("there is no uc_package/stock.py in /tasks", self.problem("uc_package.stock:look"))
        # What is no package has nothing in it.
        self.assertEqual("there is no uc_nightly/stock.py in /tasks", self.problem("uc_nightly.stock:look"))

    def test_the_function_is_missing(self) -> None:
        """One that is spelled much like it is named; a value or a class is no function."""
        self.write("uc_names.py", "LEVEL = 7\n\nclass Params: ...\n\ndef reconcile(context): ...\n")
        self.assertEqual(
            'uc_names has no function reconsile; did you mean "reconcile"?', self.problem("uc_names:reconsile")
        )
        self.assertEqual("uc_names has no function LEVEL", self.problem("uc_names:LEVEL"))
        self.assertIn("uc_names has no function Params", self.problem("uc_names:Params"))

    def test_its_name_is_taken(self) -> None:
        """By a module of Python's, a frozen or a built-in one, or one that is installed: neither is run."""
        for name in ("json", "os", "sys", "twisted", "__main__"):
            self.write(f"{name}.py", "def look(context): ...\n")
            self.assertEqual(
                f"{name} is the name of a module that is installed; give your own another name",
                self.problem(f"{name}:look"),
            )

    def test_an_installed_module_does_not_run(self) -> None:
        """What is found elsewhere is not even imported."""
        elsewhere = self.outside / "site"
        elsewhere.mkdir()
        (elsewhere / "uc_taken.py").write_text("raise SystemExit('it ran')\n")
        sys.path.insert(0, str(elsewhere))
        self.write("uc_taken.py", "def look(context): ...\n")
        self.assertEqual(
            "uc_taken is the name of a module that is installed; give your own another name",
            self.problem("uc_taken:look"),
        )
        self.assertNotIn("uc_taken", sys.modules)

    def test_a_link_out_of_the_folder_is_not_followed(self) -> None:
        """A file's, and a package's: nothing there is run."""
        (self.outside / "uc_away.py").write_text("raise SystemExit('it ran')\n")
        (self.folder / "uc_away.py").symlink_to(self.outside / "uc_away.py")
        self.assertEqual(
            "uc_away leads out of /tasks, to /uc_away.py; nothing there is run", self.problem("uc_away:look")
        )
        (self.outside / "elsewhere").mkdir()
        (self.outside / "elsewhere/stock.py").write_text("raise SystemExit('it ran')\n")
        (self.folder / "uc_package_away").symlink_to(self.outside / "elsewhere")
        self.assertEqual(
            "uc_package_away leads out of /tasks, to /elsewhere; nothing there is run",
            self.problem("uc_package_away.stock:look"),
        )

    def test_a_module_that_raises(self) -> None:
        """What it raised, and in which line, whatever it is: one that ends the process is caught as well."""
        self.write("uc_raises.py", "LEVELS = {}\nBOLTS = LEVELS['BOLT-M8']\n")
        self.assertEqual(
            "uc_raises cannot be imported: KeyError: 'BOLT-M8' (uc_raises.py, line 2)",
            self.problem("uc_raises:look"),
        )
        self.write("uc_quits.py", "import sys\n\nsys.exit(3)\n")
        self.assertEqual(
            "uc_quits cannot be imported: SystemExit: 3 (uc_quits.py, line 3)", self.problem("uc_quits:look")
        )
        self.write("uc_wordy.py", "raise ValueError('two\\nlines')\n")
        self.assertEqual(
            "uc_wordy cannot be imported: ValueError: two lines (uc_wordy.py, line 1)",
            self.problem("uc_wordy:look"),
        )
        self.write("uc_lacks.py", "import uc_nothing_of_the_kind\n")
        self.assertEqual(
            "uc_lacks cannot be imported: ModuleNotFoundError: No module named 'uc_nothing_of_the_kind' "
            "(uc_lacks.py, line 1)",
            self.problem("uc_lacks:look"),
        )
        self.write("uc_slip.py", "def look(context)\n    pass\n")
        self.assertEqual(
            "uc_slip cannot be imported: SyntaxError: expected ':' (uc_slip.py, line 1)",
            self.problem("uc_slip:look"),
        )
