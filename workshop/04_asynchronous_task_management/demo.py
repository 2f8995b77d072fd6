"""Demonstration: stock is watched and reordered while the ERP is slow, refuses, and is away."""

from lineside.workshop.erp import Erp
from lineside.workshop.stage import Stage, perform


def play(stage: Stage) -> None:
    """Play the chapter "Asynchronous Task Management"."""
    stage.step("Three ways to get a loop wrong, in false time")
    stage.say("A reactor's clock can be handed in, so a test can turn it by hand. An hour passes in a moment:")
    pitfalls = stage.example(file="pitfalls.py")
    erp = stage.erp()
    pitfalls.wait()

    stage.step("Look every half second, and reorder what is low")
    stage.say("120 bolts and 15 gloves are there; 150 and 20 is where they should be. NO-SUCH is a typing error.")
    example = stage.example(
        *("--frappe", erp.url, "--every", "0.5", "BOLT-M8=150", "GLOVE-L=20", "NUT-M8=50", "NO-SUCH=1"),
        environ=erp.environ,
    )
    example.expect("NO-SUCH: ")
    example.expect("NO-SUCH: ")
    stage.notice("All three were asked for at the same time, and the one that the ERP refuses hindered nobody.")
    stage.check("after two looks there is one request for each item", requested(erp) == ["BOLT-M8", "GLOVE-L"])

    stage.step("The ERP becomes slow: 0.8 s for an answer, and a look every 0.5 s")
    erp.faults(latency=0.8)
    example.expect("looks left out")
    erp.faults(latency=0)
    stage.notice("A look that is not done keeps the next one from beginning. The loop says what it left out.")

    stage.step("The ERP stores a request, and its answer is lost")
    erp.faults(error_after_commit=1.0)
    issue(stage, erp, "NUT-M8", 40)
    example.expect("NUT-M8: Frappe answers 500")
    erp.faults(error_after_commit=0.0)
    example.expect("NO-SUCH: ")
    example.expect("NO-SUCH: ")
    stage.notice(
        "Nobody can tell from this answer that the request was stored. The next look asks first whether there is one, "
        "so none is made twice."
    )
    stage.check("there is exactly one request for nuts", requested(erp).count("NUT-M8") == 1)

    stage.step("The ERP is away, and comes back")
    erp.faults(down=1.5)
    example.expect("the stock: ")
    example.expect("the stock: ")
    example.expect("NO-SUCH: ")
    stage.notice("An error that left the function would have ended the loop for ever, with one line in a log.")
    stage.check(
        "after all of this each item was reordered once", requested(erp) == ["BOLT-M8", "GLOVE-L", "NUT-M8"]
    )


def requested(erp: Erp) -> list[str]:
    """Return the items for which there are Material Requests, one entry for each request."""
    return sorted(request["title"].removeprefix("Reorder ") for request in erp.documents("Material Request"))


def issue(stage: Stage, erp: Erp, item: str, quantity: int) -> None:
    """Take some out of the stock; the ERP's answer may be an error."""
    row = {"item_code": item, "qty": quantity, "s_warehouse": "Stores - SW"}
    entry = {"stock_entry_type": "Material Issue", "company": "Stand-in Works", "items": [row], "docstatus": 1}
    try:
        erp.insert("Stock Entry", entry)
    except OSError as error:
        stage.lines("a clerk", f"takes {quantity} {item}, and the ERP answers {error}")


if __name__ == "__main__":
    perform(play)
