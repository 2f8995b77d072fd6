"""Demonstration: one HTTP service in front of an ERP and a database, driven with curl."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from lineside.workshop.stage import Stage, perform


def play(stage: Stage) -> None:
    """Play the chapter "Custom Network Services"."""
    erp = stage.erp()

    stage.step("Start the service")
    example = stage.example("--frappe", erp.url, "--database", "scans.db", environ=erp.environ)
    url = "http://127.0.0.1:" + example.expect("listening on").rpartition(":")[2]

    stage.step("How many bolts are there? The service asks Frappe's API")
    status, bolts = stage.curl(f"{url}/stock/BOLT-M8")
    stage.check("120, as the ERP says", (status, json.loads(bolts)["quantity"]) == (200, 120))
    status, _ = stage.curl(f"{url}/stock/NO-SUCH")
    stage.check("what the ERP does not know is 404, not 0", status == 404)

    stage.step("Scans go into a database, and come out of it")
    stage.curl(f"{url}/scans", send='{"item": "BOLT-M8", "quantity": 5}')
    stage.curl(f"{url}/scans", send='{"item": "00123", "quantity": 1}')
    _, scans = stage.curl(f"{url}/scans")
    stage.check(
        "both are there, the newest first", [scan["item"] for scan in json.loads(scans)] == ["00123", "BOLT-M8"]
    )

    stage.step("Something is wrong with a request")
    status, said = stage.curl(f"{url}/scans", send='{"item": "BOLT-M8"}')
    stage.check(
        "a scan without a quantity is 400, with what a scan looks like", status == 400 and "BOLT-M8" in said
    )
    status, said = stage.curl(f"{url}/scans?item=x'%20UNION%20SELECT%20name,sql%20FROM%20sqlite_master%20--")
    stage.notice("That was an attempt to read other tables. It is looked for as an item's name, and not found.")
    stage.check("the statement stayed what it was", (status, said) == (200, "[]"))
    stage.run(sys.executable, str(stage.chapter / "pitfalls.py"), shown="python pitfalls.py")
    stage.notice("Put together by pasting, the same statement tells what the boss earns.")

    stage.step("The ERP becomes slow: 2 s for an answer")
    erp.faults(latency=2.0)
    with ThreadPoolExecutor() as crowd:
        began = time.monotonic()
        slow = crowd.submit(stage.curl, f"{url}/stock/BOLT-M8", quiet=True)
        stage.curl(f"{url}/scans?item=BOLT-M8")
        first = "the database" if not slow.done() else "the ERP"
        slow.result()
        took = time.monotonic() - began
    erp.faults(latency=0)
    stage.notice(
        f"The question to the ERP took {took:.1f} s. Meanwhile the one to the database was answered at once."
    )
    stage.check("the database's answer came first", first == "the database")

    stage.step("The ERP is away")
    erp.stop()
    status, said = stage.curl(f"{url}/stock/BOLT-M8")
    stage.check("502: the service works, what stands behind it does not", status == 502)
    status, _ = stage.curl(f"{url}/scans?item=00123")
    stage.check("the scans can still be read", status == 200)


if __name__ == "__main__":
    perform(play)
