"""What ERPNext's selling, buying and stock documents do beside being stored: amounts, and the stock they move."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lineside.standin.errors import thrown

if TYPE_CHECKING:
    from lineside.standin.records import Records

Document = dict[str, Any]

MOVING = {"Delivery Note": -1, "Purchase Receipt": 1}
"""Whether a row's quantity leaves its warehouse or comes into it."""

STEPS = {
    "Material Receipt": ("t_warehouse",),
    "Material Issue": ("s_warehouse",),
    "Material Transfer": ("s_warehouse", "t_warehouse"),
}
"""The warehouses that each row of a Stock Entry needs, by its purpose."""

TITLES = {"s_warehouse": "Source", "t_warehouse": "Target"}


def add_up(_records: Records, document: Document) -> None:
    """Fill in units, amounts and totals of an order, a delivery or a receipt."""
    total = quantity = 0.0
    for row in document["items"]:
        _fill_units(row)
        row["stock_qty"] = row["qty"] * row["conversion_factor"]
        row["amount"] = round(row["qty"] * row["rate"], 2)
        if "delivery_date" in row:
            row["delivery_date"] = row["delivery_date"] or document["delivery_date"]
        total += row["amount"]
        quantity += row["qty"]
    document |= {"total_qty": quantity, "total": round(total, 2), "grand_total": round(total, 2)}


def add_up_entry(_records: Records, document: Document) -> None:
    """Fill in a Stock Entry's units, warehouses and amounts.

    Raises:
        FrappeError: a row lacks a warehouse that its purpose needs.

    """
    total = 0.0
    for row in document["items"]:
        _fill_units(row)
        row["transfer_qty"] = row["qty"] * row["conversion_factor"]
        row["basic_amount"] = round(row["transfer_qty"] * row["basic_rate"], 2)
        total += row["basic_amount"]
        needed = STEPS.get(str(document.get("purpose")), ())
        for warehouse, default in (("s_warehouse", "from_warehouse"), ("t_warehouse", "to_warehouse")):
            row[warehouse] = row[warehouse] or document.get(default)
            if warehouse not in needed:
                row[warehouse] = None
            elif not row[warehouse]:
                raise thrown("ValidationError", f"{TITLES[warehouse]} warehouse is mandatory for row {row['idx']}")
    document["total_amount"] = round(total, 2)


def move(records: Records, document: Document) -> None:
    """Move the stock of a submitted document.

    Raises:
        FrappeError: NegativeStockError, where a warehouse has too little.

    """
    for row, warehouse, quantity in _movements(document):
        _book(records, document, row, warehouse, quantity)


def move_back(records: Records, document: Document) -> None:
    """Move the stock of a cancelled document back.

    Raises:
        FrappeError: NegativeStockError, where it has been used meanwhile.

    """
    for row, warehouse, quantity in _movements(document):
        _book(records, document, row, warehouse, -quantity)


def _movements(document: Document) -> Iterator[tuple[Document, str, float]]:
    for row in document["items"]:
        if document["doctype"] == "Stock Entry":
            if row["s_warehouse"]:
                yield row, row["s_warehouse"], -row["transfer_qty"]
            if row["t_warehouse"]:
                yield row, row["t_warehouse"], row["transfer_qty"]
        else:
            yield row, row["warehouse"] or "", MOVING[document["doctype"]] * row["stock_qty"]


def _book(records: Records, document: Document, row: Document, warehouse: str, quantity: float) -> None:
    item = row["item_code"]
    if not records.get("Item", item)["is_stock_item"]:
        return
    if not warehouse:
        raise thrown("ValidationError", f"Warehouse required for stock Item {item}")
    user = document["modified_by"]
    found = records.list(
        "Bin",
        {"filters": [["item_code", "=", item], ["warehouse", "=", warehouse]], "fields": ["name", "actual_qty"]},
    )
    held = found[0]["actual_qty"] if found else 0.0
    if held + quantity < 0:
        raise thrown(
            "NegativeStockError",
            f"{-quantity - held} units of <strong>Item {item}</strong> needed in <strong>Warehouse {warehouse}"
            "</strong> to complete this transaction.",
            "Insufficient Stock",
        )
    if found:
        records.update("Bin", found[0]["name"], {"actual_qty": held + quantity}, user)
    else:
        records.insert("Bin", {"item_code": item, "warehouse": warehouse, "actual_qty": quantity}, user)


def _fill_units(row: Document) -> None:
    row["uom"] = row["uom"] or row["stock_uom"]
    row["conversion_factor"] = row["conversion_factor"] or 1.0
