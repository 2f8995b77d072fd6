"""The reordering of example.py as a task of the gateway: see README.md, "In the gateway"."""

from datetime import timedelta

DONE = ["Received", "Stopped", "Cancelled"]


async def stock_of(context, items):
    bins = await context.erp.get_list(
        "Bin", fields=["item_code", "actual_qty"], filters={"item_code": ["in", items]}, limit=0
    )
    stock = dict.fromkeys(items, 0)
    for row in bins:
        stock[row["item_code"]] += row["actual_qty"]
    return stock


async def reorder(context, item, left):
    on_its_way = {"title": f"Reorder {item}", "status": ["not in", DONE]}
    if await context.erp.get_list("Material Request", filters=on_its_way):
        return False
    today = context.now().date()
    order = {
        "key": f"{today} {item}",  # the journal knows it if it comes again
        "item": item,
        "qty": 2 * context.params["levels"][item] - left,
        "due": str(today + timedelta(days=7)),
    }
    await context.journal.append("orders", [order])
    context.log(f"{item}: {left:g} left, {order['qty']:g} reordered")
    return True


async def look(context):
    levels = context.params["levels"]
    stock = await context.step("stock", stock_of, context, list(levels))
    low = [item for item, level in levels.items() if stock[item] < level]
    reordered = []
    for number, item in enumerate(low):
        context.progress(number, len(low), item)
        if await context.step(f"reorder {item}", reorder, context, item, stock[item]):
            reordered.append(item)
    context.progress(len(low), len(low))
    return reordered
