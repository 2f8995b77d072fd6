"""Demonstration: a line of scanners in front of an ERP, on a good day and on a bad one."""

import sys
import time

from lineside.workshop.stage import Stage, perform


def play(stage: Stage) -> None:
    """Play the chapter "Real-time Data Processing"."""
    erp = stage.erp()

    stage.step("Lines are not what arrives")
    stage.say(
        "TCP delivers a stream of bytes. Where one piece ends and the next begins is up to the network. A receiver "
        "that guesses makes two scans of one:"
    )
    stage.run(sys.executable, str(stage.chapter / "pitfalls.py"), shown="python pitfalls.py")
    stage.notice(
        "BOLT-M8 12 became BOLT-M8 1 and a scan of an item called 2. LineReceiver waits for the line's end."
    )

    stage.step("Start the scanners' server")
    example = stage.example("--frappe", erp.url, environ=erp.environ)
    port = int(example.expect("listening on").rpartition(":")[2])

    stage.step("Scan: each line is a document before its answer goes out")
    gate = stage.scanner("gate", port)
    gate.send("BOLT-M8 5")
    first = gate.answer()
    stored = [entry["name"] for entry in erp.documents("Stock Entry")]
    stage.check("the name in the answer is the name of a Stock Entry in the ERP", [first] == [f"OK {stored[0]}"])
    stage.check("the ERP has five more bolts: 125", in_stock(erp, "BOLT-M8") == 125)

    stage.step("A line in pieces, and three lines in one piece")
    gate.send_bytes(b"NUT-")
    gate.send_bytes(b"M8 10\r\nGLOVE-L 2\r\n00123 1\n")
    answers = [gate.answer() for _ in range(3)]
    stage.notice("Three answers, in the order of the lines, whatever pieces the network made of them.")
    stage.check("all three were booked", all(answer.startswith("OK MAT-STE-") for answer in answers))
    stage.check("the code 00123 kept its zeros", in_stock(erp, "00123") == 41)

    stage.step("Something is wrong with a line")
    gate.send("BOLT-M8")
    misread = gate.answer()
    gate.send("BOLT-M9 1")
    unknown = gate.answer()
    gate.send("BOLT-M8 1")
    after = gate.answer()
    stage.notice("The ERP's refusal is told to the one who scanned, and the connection lives on.")
    stage.check("a line that is no scan is answered with how a scan looks", "such as BOLT-M8 5" in misread)
    stage.check(
        "an item that the ERP does not know is refused for the ERP's own reason", "LinkValidationError" in unknown
    )
    stage.check("the next scan is booked", after.startswith("OK "))

    stage.step("The ERP is slow, and ten scanners scan at once")
    erp.faults(latency=0.3)
    crowd = [stage.scanner(f"scanner {number}", port, quiet=True) for number in range(10)]
    began = time.monotonic()
    for scanner in crowd:
        scanner.send("WASHER-M8 1")
    heard = [scanner.answer() for scanner in crowd]
    stage.lines("ten scanners", "\n".join(heard))
    took = time.monotonic() - began
    erp.faults(latency=0)
    stage.notice(
        f"Ten answers after {took:.1f} s, though the ERP takes 0.3 s for each: while one scan waits for the ERP, "
        "the others are heard. One after the other would take 3 s."
    )
    stage.check("ten scans were booked", all(answer.startswith("OK ") for answer in heard))
    stage.check("they did not wait for one another", took < 10 * 0.3)

    stage.step("A line that never ends")
    stuck = stage.scanner("stuck", port)
    stuck.send_bytes(b"0" * 300)
    told, cut = stuck.answer(), stuck.answer()
    stage.check("the server says why, and hangs up, before its memory is full", (told, cut) == (TOO_LONG, ""))

    stage.step("The ERP is away")
    erp.stop()
    gate.send("BOLT-M8 1")
    away = gate.answer()
    stage.notice(
        "ERR is honest, but the scan is gone unless the one who scanned does it again. If the answer had been "
        "lost on its way back, the ERP would hold the document, and scanning again would book it twice. Remember "
        "this: it is why the gateway has a journal."
    )
    stage.check("the scanner is told at once", away.startswith("ERR "))


TOO_LONG = "ERR the line is too long"


def in_stock(erp, item: str) -> float:
    """Ask the ERP how many there are."""
    return erp.documents("Bin", item_code=item)[0]["actual_qty"]


if __name__ == "__main__":
    perform(play)
