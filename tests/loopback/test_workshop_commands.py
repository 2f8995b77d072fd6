"""`lineside workshop`: a learner's way from the first command to the last exercise."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

from click.shell_completion import BashComplete
from click.testing import CliRunner, Result
from tests.rig.small_course import FILES, small_course
from twisted.trial.unittest import SynchronousTestCase

from lineside.cli import chapters, commands, exercises, workshop
from lineside.model.errors import ConfigurationError, LinesideError
from lineside.workshop.programs import Program

EXERCISE = Path("learn/01_sums/exercise_1_add.py")


class Case(SynchronousTestCase):
    """Runs commands on a small course, in the current folder."""

    def setUp(self) -> None:
        """Have a course, and a folder for its learner."""
        self.course = small_course(Path("course").absolute())
        for module in (chapters, exercises, workshop):
            self.patch(module, "installed_course", lambda: self.course)
        self.patch(
            os, "environ", {name: value for name, value in os.environ.items() if name != "LINESIDE_WORKSHOP"}
        )

    def call(self, *words: str, answer: str | None = None) -> Result:
        """Run `lineside workshop`; whether it failed is the test's to judge."""
        return CliRunner().invoke(workshop.command, words, input=answer)

    def told(self, *words: str) -> str:
        """Run what succeeds, and return what it printed, with its lines joined."""
        result = self.call(*words)
        self.assertEqual(0, result.exit_code, (result.output, result.exception))
        return " ".join(result.output.split())

    def begin(self) -> None:
        """Start, and go to the learner's folder."""
        self.told("start", "learn")
        self.patch(os, "environ", {**os.environ, "LINESIDE_WORKSHOP": str(Path("learn").absolute())})

    def solve(self, *names: str) -> None:
        """Copy solutions to where the learner works."""
        for name in names:
            Path("learn", name.replace("solution", "exercise")).write_text(FILES[name])


class Finding(Case):
    """The course before it was begun."""

    def test_the_list(self) -> None:
        """Without a subcommand too; without a folder it says how to make one."""
        self.assertEqual(self.told(), self.told("list"))
        listed = self.told("list")
        for text in ("EXERCISES", "1 Sums Add numbers. 30 2", "2 Products", "lineside workshop start DIR"):
            self.assertIn(text, listed)

    def test_the_list_for_programs(self) -> None:
        """One chapter a line."""
        lines = [json.loads(line) for line in self.call("list", "--json").output.splitlines()]
        self.assertEqual(
            [(1, 2, None), (2, 1, None)], [(one["chapter"], one["exercises"], one["solved"]) for one in lines]
        )

    def test_exercises_need_a_folder(self) -> None:
        """One line that says how to get one, for exit code 2."""
        for words in (
            ["check", "1"],
            ["hint", "1"],
            ["watch"],
            ["reset", "1", "--yes"],
            ["solution", "1", "--write"],
        ):
            wrong = self.call(*words).exception
            self.assertIsInstance(wrong, ConfigurationError)
            self.assertIn("lineside workshop start DIR", str(wrong))

    def test_a_chapter_and_an_exercise_that_are_none(self) -> None:
        """What there is is said."""
        result = self.call("show", "3")
        self.assertEqual(2, result.exit_code)
        self.assertIn("there are 1 to 2", result.output)
        self.begin()
        self.assertIn("has 2 exercises", str(self.call("check", "1", "--exercise", "3").exception))

    def test_an_exercise_as_it_is_written_everywhere(self) -> None:
        """1.2, and its file, name it to each command; two that differ are a mistake."""
        self.begin()
        self.assertIn("1.2 Add many", self.call("check", "1.2").output)
        self.assertNotIn("1.1 Add two", self.call("check", "1.2").output)
        self.assertIn("Hint 1 of 2: A loop.", self.told("hint", "01_sums/exercise_2_total.py"))
        self.assertIn("return sum(numbers)", self.told("solution", "1.2", "--yes"))
        self.assertIn("was as handed out already", self.told("reset", "1.2", "--yes"))
        self.assertIn("has 2 exercises", str(self.call("check", "1.3").exception))
        self.assertIn("there are 1 to 2", self.call("hint", "3.1").output)
        self.assertIn("name one", self.call("check", "1.2", "--exercise", "1").output)

    def test_a_chapter_by_its_folder(self) -> None:
        """As shells complete it."""
        self.assertEqual(self.told("show", "1"), self.told("show", "learn/01_sums/"))

    def test_numbers_complete(self) -> None:
        """With the titles, where the shell shows them."""
        complete = BashComplete(commands, {}, "lineside", "_LINESIDE_COMPLETE")
        offered = {item.value: item.help for item in complete.get_completions(["workshop", "show"], "")}
        self.assertEqual({"1": "Sums", "2": "Products"}, offered)


class Reading(Case):
    """`show`, `timetable` and `demo`."""

    def test_a_chapter(self) -> None:
        """Code and the picture in characters; nothing of its Markdown."""
        shown = self.told("show", "1")
        for text in ("1. Sums", "Two numbers become one.", "1 ──► +", "answer = 1 + 1"):
            self.assertIn(text, shown)
        for text in ("```", "<!--", "diagram.svg", "](../02"):
            self.assertNotIn(text, shown)

    def test_for_the_teacher(self) -> None:
        """The notes in place of the text."""
        self.assertIn("Draw apples.", self.told("show", "1", "--teacher"))
        self.assertIn("All day long.", self.told("timetable"))

    def test_the_demonstration_takes_over_the_process(self) -> None:
        """It gets its options, with an interpreter's path that holds anywhere, and keeps its links."""
        taken: list[list[str]] = []
        self.patch(os, "execv", lambda program, words: taken.append([program, *words]))
        Path("python").symlink_to(sys.executable)
        self.call("demo", "1", "--fast", "--python", "python")
        script = str(self.course.root / "01_sums" / "demo.py")
        expected = [sys.executable, "-B", script, "--fast", "--python", str(Path("python").absolute())]
        self.assertEqual([[sys.executable, *expected]], taken)

    def test_the_exit_code_of_a_demonstration_is_its_own(self) -> None:
        """Of a real one, in a real process."""
        program = (
            "from pathlib import Path; from lineside.cli import chapters, commands, workshop; "
            "from lineside.workshop.course import Course; course = Course(Path('course')); "
            "chapters.installed_course = workshop.installed_course = lambda: course; "
            "commands(['workshop', 'demo', '1', '--fast'])"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        self.assertEqual((3, "fast None\n"), (done.returncode, done.stdout))


class Working(Case):
    """A learner's folder, from `start` to the last exercise."""

    def setUp(self) -> None:
        """Begin."""
        super().setUp()
        self.begin()

    def test_start_says_what_comes_next(self) -> None:
        """And, run again, that nothing was changed."""
        self.assertIn("lineside workshop doctor", self.told("start", "other"))
        self.assertIn("nothing was changed", self.told("start", "learn"))
        Path("learn/01_sums/example.py").unlink()
        self.assertEqual("added 01_sums/example.py", self.told("start", "learn"))

    def test_a_check_that_fails_teaches(self) -> None:
        """What was expected, what was seen, what was printed, and where hints are; the others are named."""
        result = self.call("check", "1")
        told = " ".join(result.output.split())
        self.assertEqual(1, result.exit_code)
        for text in (
            "1.1 Add two (guided)",
            "NO Two small numbers are added.",
            "look at the sign",
            "your file printed: | adding",
            "3 hints: lineside workshop hint 1",
            "1.2 Add many: not yet",
        ):
            self.assertIn(text, told)

    def test_a_check_that_passes_is_remembered(self) -> None:
        """The next exercise is named, at the end of the chapter the next chapter, and at the end the way on."""
        self.solve("01_sums/solution_1_add.py")
        self.assertIn("Next is 1.2 Add many", self.told("check", "1", "--exercise", "1"))
        self.assertIn("1 of 2", self.told("list"))
        self.assertIn("Next exercise: 1.2 Add many", self.told("list"))
        self.solve("01_sums/solution_2_total.py", "02_products/solution_1_double.py")
        self.assertIn("Next: lineside workshop show 2 (Products)", self.told("check"))
        self.assertIn("lineside demo --chaos", self.told("check"))
        self.assertIn("All exercises are solved.", self.told("list"))
        self.assertIn("all exercises of the course are solved", self.told("watch"))

    def test_a_check_for_programs(self) -> None:
        """One exercise a line, with all findings; the exit code is the same."""
        self.solve("01_sums/solution_1_add.py")
        result = self.call("check", "1", "--json")
        one, two = (json.loads(line) for line in result.output.splitlines())
        self.assertEqual((1, True, False), (result.exit_code, one["passed"], two["passed"]))
        self.assertEqual("total([1, 2, 3]) should be 6", two["findings"][0]["problem"])

    def test_what_a_file_prints_does_not_command_the_terminal(self) -> None:
        """Escape sequences are shown as what they are not."""
        EXERCISE.write_text("print('\\x1b[2J gone')\ndef add(a, b):\n    return 0\n")
        self.assertNotIn("\x1b", self.call("check", "1").output)

    def test_a_lost_file(self) -> None:
        """The command that brings it back is named."""
        EXERCISE.unlink()
        self.assertIn("lineside workshop start", str(self.call("check", "1").exception))

    def test_hints_come_one_at_a_time(self) -> None:
        """Those before are shown again; after the last it names the solution. The check counts what is left."""
        self.assertEqual("1.1 Add two Hint 1 of 3: Look at the sign.", self.told("hint"))
        self.assertIn("2 more hints", " ".join(self.call("check", "1").output.split()))
        self.assertIn("Look at the sign. Hint 2 of 3: It is a plus.", self.told("hint", "1"))
        self.assertNotIn("These are all", self.told("hint", "1"))
        self.assertIn("These are all. A solution: lineside workshop solution 1.1", self.told("hint", "1"))
        self.assertIn("Hint 1 of 2: A loop.", self.told("hint", "1", "--exercise", "2"))

    def test_a_solution_is_shown_to_who_wants_it(self) -> None:
        """It asks; no is the answer to Enter, and shows nothing."""
        refused = self.call("solution", "1", answer="\n")
        self.assertEqual(1, refused.exit_code)
        self.assertNotIn("a + b", refused.output)
        self.assertIn("return a + b", self.call("solution", "1", answer="y\n").output)
        self.assertIn("return sum(numbers)", self.told("solution", "1", "--exercise", "2", "--yes"))
        self.assertEqual(FILES[str(EXERCISE.relative_to("learn"))], EXERCISE.read_text())

    def test_a_solution_in_place(self) -> None:
        """It passes, and the learner's own is kept."""
        EXERCISE.write_text("mine")
        self.assertIn("exercise_1_add.mine.py", self.told("solution", "1", "--yes", "--write"))
        self.assertEqual("mine", EXERCISE.with_name("exercise_1_add.mine.py").read_text())
        self.told("check", "1", "--exercise", "1")

    def test_reset_asks_and_keeps(self) -> None:
        """Enter leaves everything as it is."""
        EXERCISE.write_text("mine")
        self.assertEqual(1, self.call("reset", "1", answer="\n").exit_code)
        self.assertEqual("mine", EXERCISE.read_text())
        self.assertIn("yours is exercise_1_add.mine.py", self.told("reset", "1", "--exercise", "1", "--yes"))
        self.assertEqual(FILES["01_sums/exercise_1_add.py"], EXERCISE.read_text())
        self.assertIn("was as handed out already", self.told("reset", "1", "--yes"))

    def test_the_folder_that_is_named(self) -> None:
        """`--dir` is stronger than the variable."""
        self.told("start", "other")
        Path("other/01_sums/exercise_1_add.py").write_text(FILES["01_sums/solution_1_add.py"])
        self.told("check", "1", "--exercise", "1", "--dir", "other")
        self.assertIn("1 of 2", self.told("list", "--dir", "other"))
        self.assertIn("0 of 2", self.told("list"))


class Starting(SynchronousTestCase):
    """What runs until Ctrl-C, in real processes on the real course."""

    def start(self, *words: str) -> Program:
        """Run `lineside workshop`."""
        program = Program("workshop", [sys.executable, "-m", "lineside", "workshop", *words])
        self.addCleanup(program.stop)
        return program

    def test_the_watch_sees_a_save_and_ends_at_ctrl_c(self) -> None:
        """The first verdict, another after a save, and exit code 0."""
        CliRunner().invoke(workshop.command, ["start", "learn"])
        program = self.start("watch", "3", "--dir", "learn")
        program.expect("hints: lineside workshop hint 3")
        (file,) = Path("learn").glob("03_*/exercise_1_*.py")
        file.write_text("raise ValueError('half written')\n")
        program.expect("half written")
        program.kill(signal.SIGINT)
        self.assertEqual(0, program.wait(), program.output)

    def test_the_erp_takes_what_is_to_be_pasted(self) -> None:
        """Its address and key from the lines that it prints; Ctrl-C ends it and its data."""
        program = self.start("erp")
        url = program.expect("The ERP listens on").split()[4].rstrip(".")
        environ = dict(
            program.expect(f"export {name}=").split()[1].split("=") for name in ("FRAPPE_KEY", "FRAPPE_SECRET")
        )
        request = Request(f"{url}/api/resource/Bin?limit_page_length=0")
        request.add_header("Authorization", f"token {environ['FRAPPE_KEY']}:{environ['FRAPPE_SECRET']}")
        program.expect("Ctrl-C ends it")
        with urlopen(request, timeout=15) as answer:
            self.assertEqual(5, len(json.load(answer)["data"]))
        program.kill(signal.SIGINT)
        self.assertEqual(0, program.wait(), program.output)
        self.assertRaises(OSError, urlopen, request, timeout=15)

    def test_the_erp_keeps_its_data_where_told(self) -> None:
        """The warehouse is set up once, and found again."""
        for _ in range(2):
            program = self.start("erp", "--data", "mine.db")
            program.expect("Ctrl-C ends it")
            program.kill(signal.SIGTERM)
            self.assertEqual(0, program.wait(), program.output)
        self.assertTrue(Path("mine.db").exists())

    def test_the_doctor_is_content(self) -> None:
        """As lines and as JSON."""
        result = CliRunner().invoke(workshop.command, ["doctor"])
        self.assertEqual(0, result.exit_code, result.output)
        self.assertIn("Everything that the course needs is there.", result.output)
        result = CliRunner().invoke(workshop.command, ["doctor", "--json"])
        states = {one["name"]: one["state"] for one in map(json.loads, result.output.splitlines())}
        self.assertEqual("ok", states["Twisted"])

    def test_the_doctor_finds_something_missing(self) -> None:
        """Exit code 1, and the remedy."""

        def refuse(*arguments: object, **options: object) -> None:
            raise OSError("not permitted")

        self.patch(socket, "create_server", refuse)
        result = CliRunner().invoke(workshop.command, ["doctor"])
        self.assertEqual(1, result.exit_code)
        self.assertIn("missing  loopback", result.output)
        self.assertNotIn("Everything that the course needs", result.output)


class Errors(SynchronousTestCase):
    """What a release that lacks something says."""

    def test_a_course_without_the_chapter_that_it_lists(self) -> None:
        """One line, not a traceback."""
        course = small_course(Path("course").absolute())
        (course.root / "02_products" / "README.md").unlink()
        (course.root / "02_products" / "demo.py").unlink()
        for module in (chapters, exercises, workshop):
            self.patch(module, "installed_course", lambda: course)
        for words in (["show", "2"], ["demo", "2"]):
            wrong = CliRunner().invoke(workshop.command, words).exception
            self.assertIsInstance(wrong, LinesideError)
            self.assertIn("release", str(wrong))
