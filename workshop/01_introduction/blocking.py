"""How many are in stock? A server that waits: while it asks the ERP for one client, the others stand in line.

FRAPPE_KEY=… FRAPPE_SECRET=… python blocking.py --frappe http://127.0.0.1:8000
"""

import argparse
import json
import os
import socket
from urllib.parse import quote
from urllib.request import Request, urlopen


def in_stock(frappe, item):
    """Ask the ERP, and wait for its answer."""
    fields, filters = quote('["actual_qty"]'), quote(json.dumps({"item_code": item}))
    request = Request(f"{frappe}/api/resource/Bin?fields={fields}&filters={filters}")
    request.add_header("Authorization", f"token {os.environ['FRAPPE_KEY']}:{os.environ['FRAPPE_SECRET']}")
    with urlopen(request, timeout=10) as answer:  # everything stops here until the ERP has answered
        rows = json.load(answer)["data"]
    return rows[0]["actual_qty"] if rows else 0


def main():
    """Serve one client after the other, for ever."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frappe", required=True, metavar="URL")
    options.add_argument("--port", type=int, default=0)
    given = options.parse_args()
    listening = socket.create_server(("127.0.0.1", given.port), backlog=50)
    print(f"blocking: listening on 127.0.0.1:{listening.getsockname()[1]}", flush=True)
    while True:
        client, _address = listening.accept()  # … and here until somebody connects
        with client, client.makefile("rb") as lines:
            for line in lines:  # … and here until this client says something, or hangs up
                client.sendall(b"%d\n" % in_stock(given.frappe, line.decode().strip()))


if __name__ == "__main__":
    main()
