"""A course of two chapters and three small exercises, to try the workshop's runner on."""

from __future__ import annotations

from pathlib import Path

from lineside.workshop.course import Course

COURSE_TOML = """
title = "A small course"

[[chapters]]
folder = "01_sums"
title = "Sums"
goal = "Add numbers."
minutes = 30
requires = ["twisted"]
exercises = [
    { name = "add", title = "Add two", level = "guided", hints = ["Look at the sign.", "It is a plus.", "a + b."] },
    { name = "total", title = "Add many", level = "open", hints = ["A loop.", "sum() is one."] },
]

[[chapters]]
folder = "02_products"
title = "Products"
goal = "Multiply numbers."
minutes = 20
exercises = [{ name = "double", title = "Double", level = "guided", hints = ["Times two.", "2 * a."] }]
"""

README = """# 1. Sums

Adding. See [the code](../../src/lineside/model/event.py), [chapter 2](../02_products/README.md).

<!-- a remark for authors -->
![Two numbers become one.](diagram.svg)

```python
answer = 1 + 1  # [no](../../link.md)
```
"""

CHECK_SUMS = '''
from lineside.workshop.lessons import Lesson

class Add(Lesson):
    exercise = 1

    def test_small(self):
        """Two small numbers are added."""
        self.teach(self.learner.add(1, 2) == 3, f"add(1, 2) gave {self.learner.add(1, 2)}, look at the sign")

    def test_negative(self):
        """Negative numbers are added too."""
        self.teach(self.learner.add(-1, -2) == -3, "negative numbers are numbers")

class Total(Lesson):
    exercise = 2

    def test_total(self):
        """All numbers are added."""
        self.teach(self.learner.total([1, 2, 3]) == 6, "total([1, 2, 3]) should be 6")
'''

CHECK_PRODUCTS = '''
from lineside.workshop.lessons import Lesson

class Double(Lesson):
    exercise = 1

    def test_double(self):
        """A number is doubled."""
        self.teach(self.learner.double(4) == 8, "double(4) should be 8")
'''

DEMO = """
import argparse, sys
arguments = argparse.ArgumentParser()
arguments.add_argument("--fast", action="store_true")
arguments.add_argument("--python")
given = arguments.parse_args()
print("fast" if given.fast else "slow", given.python)
sys.exit(3)
"""

FILES = {
    "course.toml": COURSE_TOML,
    "timetable.md": "# Timetable\n\nAll day long.\n",
    "01_sums/README.md": README,
    "01_sums/diagram.svg": "<svg/>",
    "01_sums/diagram.txt": "1 ──► +\n",
    "01_sums/teacher.md": "# Teaching sums\n\nDraw apples.\n",
    "01_sums/example.py": "print(1 + 1)\n",
    "01_sums/demo.py": DEMO,
    "01_sums/check.py": CHECK_SUMS,
    "01_sums/exercise_1_add.py": "def add(a, b):\n    print('adding')\n    return a - b  # TODO\n",
    "01_sums/solution_1_add.py": "def add(a, b):\n    return a + b\n",
    "01_sums/exercise_2_total.py": "def total(numbers):\n    return 0  # TODO\n",
    "01_sums/solution_2_total.py": "def total(numbers):\n    return sum(numbers)\n",
    "02_products/README.md": "# 2. Products\n",
    "02_products/demo.py": DEMO,
    "02_products/teacher.md": "# Teaching products\n",
    "02_products/check.py": CHECK_PRODUCTS,
    "02_products/exercise_1_double.py": "def double(a):\n    return a  # TODO\n",
    "02_products/solution_1_double.py": "def double(a):\n    return 2 * a\n",
}
KEPT_BACK = {"check.py", "teacher.md", "solution_1_add.py", "solution_2_total.py", "solution_1_double.py"}


def small_course(root: Path) -> Course:
    """Write the course below ``root``, and read it."""
    for name, content in FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return Course(root)
