"""Takes the counts in an inbox into Frappe: where the shelf and the books differ, a Stock Entry mends the books.

The inbox is the one of example_files.py; a count's result is put beside it.

    FRAPPE_KEY=… FRAPPE_SECRET=… python example_counts.py --frappe http://127.0.0.1:8000 --inbox FOLDER
"""

import argparse
import json
import sys
from pathlib import Path
from urllib.parse import quote

from frappe_api import Frappe, FrappeError
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, react
from twisted.internet.threads import deferToThread


def waiting(inbox):
    """Return the counts that have no result yet, with their text. Blocks: for a thread."""
    counts = [path for path in sorted(Path(inbox).glob("count-*.csv")) if not path.name.endswith(".result.csv")]
    return [(path, path.read_text("utf-8", "replace")) for path in counts if not result_of(path).exists()]


def result_of(path):
    return path.with_suffix(".result.csv")


def write_result(path, text):
    """Write a result, whole or not at all. Blocks: for a thread."""
    part = path.with_suffix(".result.part")
    part.write_text(text)
    part.replace(result_of(path))


async def mended(frappe, line):
    """Return what became of a row such as ``BOLT-M8,118``: the name of a Stock Entry, or why there is none."""
    item, _, counted = line.partition(",")
    if not counted.isdecimal():
        return "refused: a row is an item and a number, such as BOLT-M8,118"
    filters = quote(json.dumps({"item_code": item, "warehouse": "Stores - SW"}))
    bins = await frappe.call(b"GET", f'/api/resource/Bin?fields=["actual_qty"]&filters={filters}')
    more = int(counted) - (bins[0]["actual_qty"] if bins else 0)
    if more == 0:
        return "as booked"
    kind, side = ("Material Receipt", "t_warehouse") if more > 0 else ("Material Issue", "s_warehouse")
    rows = [{"item_code": item, "qty": abs(more), side: "Stores - SW"}]
    entry = {"stock_entry_type": kind, "company": "Stand-in Works", "items": rows, "docstatus": 1}
    try:
        return (await frappe.call(b"POST", "/api/resource/Stock%20Entry", entry))["name"]
    except FrappeError as error:
        if " 417 " not in str(error):
            raise  # it is the ERP that has trouble, and not this row
        return f"refused: {error}"


async def look(frappe, inbox):
    """Take in what waits. What fails half-way is begun again: a count says how many there are, not how many more."""
    for path, text in await deferToThread(waiting, inbox):
        if text.endswith("\n"):
            result = [f"{line},{await mended(frappe, line)}\n" for line in text.splitlines()[1:]]
        else:
            result = ["refused: the last line has no end, so the file is not whole\n"]
        await deferToThread(write_result, path, "".join(result))
        print(f"{path.name}: taken in", flush=True)


async def main(reactor, *arguments):
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frappe", required=True, metavar="URL")
    options.add_argument("--inbox", required=True, metavar="FOLDER")
    options.add_argument("--every", type=float, default=5, metavar="SECONDS")
    given = options.parse_args(arguments)
    frappe = Frappe(reactor, given.frappe)

    def looked():
        taken = Deferred.fromCoroutine(look(frappe, given.inbox))
        return taken.addErrback(lambda failure: print(f"the next look tries again: {failure.value}", flush=True))

    print(f"counts: looking into {given.inbox}", flush=True)
    await LoopingCall(looked).start(given.every)


if __name__ == "__main__":
    react(main, sys.argv[1:])
