"""Order files as trading partners send them, made up. Pure, and the same again for the same `random.Random`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random

from lineside.testing.workload import items

LEAD = 14
"""Days until a delivery is wanted, at most."""
BUYER, SUPPLIER = "4012345000009", "4098765000004"
"""GLNs, the check digits included."""


def csv_orders(random: Random, run: str, number: int, rows: int, today: date) -> bytes:
    """Return a file with a header and so many orders of one item each; no order of a run has another's number."""
    codes = items()
    lines = ["order,item,qty,delivery_date"]
    for row in range(1, rows + 1):
        wanted = today + timedelta(days=random.randint(1, LEAD))
        lines.append(f"{run}-{number:05d}-{row:05d},{random.choice(codes)},{random.randint(1, 99)},{wanted}")
    return "\r\n".join([*lines, ""]).encode()


def edifact_order(random: Random, run: str, number: int, rows: int, today: date) -> bytes:
    """Return an interchange with one ORDERS D.96A of so many lines, in UNOC (ISO 8859-1)."""
    reference = f"{run}{number:05d}"
    wanted = today + timedelta(days=random.randint(1, LEAD))
    codes: Sequence[str] = items()
    total = 0
    segments = [
        "UNH+1+ORDERS:D:96A:UN:EAN008",
        f"BGM+220+{reference}+9",
        f"DTM+137:{today:%Y%m%d}:102",
        f"DTM+2:{wanted:%Y%m%d}:102",
        f"NAD+BY+{BUYER}::9++Bäckerei Groß GmbH+Mühlenweg 3+Köln++50667+DE",
        f"NAD+SU+{SUPPLIER}::9",
        "CUX+2:EUR:9",
    ]
    for line in range(1, rows + 1):
        quantity, cents = random.randint(1, 99), random.randint(50, 9_999)
        total += quantity * cents
        segments += [
            f"LIN+{line}",
            f"PIA+1+{random.choice(codes)}:SA",
            f"QTY+21:{quantity}:PCE",
            f"PRI+AAA:{cents / 100:.2f}",
        ]
    segments += ["UNS+S", f"MOA+79:{total / 100:.2f}", f"CNT+2:{rows}"]
    whole = [
        f"UNB+UNOC:3+{BUYER}:14+{SUPPLIER}:14+{today:%y%m%d}:0900+{reference}++ORDERS",
        *segments,
        f"UNT+{len(segments) + 1}+1",
        f"UNZ+1+{reference}",
    ]
    return ("UNA:+.? '" + "".join(f"{segment}'" for segment in whole)).encode("latin-1")
