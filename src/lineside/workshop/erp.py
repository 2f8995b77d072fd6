"""The ERP of the course: the stand-in in a process of its own, with the warehouse's master data."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

from lineside.workshop.programs import Program

Document = dict[str, Any]
EMPLOYEES = 10
GLANCE = 0.2
"""Seconds between two looks whether it still runs."""


def standin_command(course: Path, data: Path, key: str, secret: str, *, port: int = 0) -> list[str]:
    """Return the command that runs the course's ERP over a database file; port 0 takes any free one."""
    return [
        *(sys.executable, "-m", "lineside.cli.child", "standin"),
        *("--port", str(port), "--data", str(data), "--doctypes", str(course / "erp" / "doctypes.json")),
        *("--api-key", key, "--api-secret", secret, "--employees", str(EMPLOYEES)),
    ]


class Erp:
    """The ERP, for a demonstration: its methods block.

    Args:
        course: the folder of the course, which holds its DocTypes and master data.
        data: its database file, made when missing.
        port: where it listens; 0 takes any free one.

    """

    def __init__(self, course: Path, data: Path, *, port: int = 0) -> None:
        self.key, self.secret = "workshop", secrets.token_hex(8)
        self._course, self._data = course, data
        self._port = port
        new = not data.exists()
        self.start()
        if new:
            for document in json.loads((course / "erp" / "documents.json").read_text()):
                self.insert(document["doctype"], document)

    def start(self) -> None:
        """Start it, on the port it had before if it was stopped."""
        command = standin_command(self._course, self._data, self.key, self.secret, port=self._port)
        self._program = Program("the ERP", command)
        self.url = self._program.expect("listening on ").rpartition(" ")[2]
        self._port = int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        """Stop it; its documents stay."""
        self._program.stop()

    def wait(self, told: Callable[[], bool]) -> bool:
        """Wait until ``told`` says to stop it; returns False then, and True where it ended by itself."""
        while not told():
            if self._program.ended:
                return True
            time.sleep(GLANCE)
        return False

    @property
    def environ(self) -> dict[str, str]:
        """The variables that tell an example its API key."""
        return {"FRAPPE_KEY": self.key, "FRAPPE_SECRET": self.secret}

    def documents(self, doctype: str, fields: list[str] | None = None, **filters: object) -> list[Document]:
        """Return the documents of a DocType, the oldest first."""
        wanted = quote(json.dumps(fields or ["*"]))
        narrowed = quote(json.dumps(filters))
        order = quote("creation asc")
        path = f"/api/resource/{quote(doctype)}?fields={wanted}&filters={narrowed}&order_by={order}"
        found = self.ask("GET", f"{path}&limit_page_length=0")
        assert isinstance(found, list)
        return found

    def insert(self, doctype: str, document: Document) -> Document:
        """Insert a document, and return it as it is stored."""
        stored = self.ask("POST", f"/api/resource/{quote(doctype)}", document)
        assert isinstance(stored, dict)
        return stored

    def faults(self, **knobs: float) -> None:
        """Turn faults of the stand-in: ``latency=1.0``, ``error_after_commit=1``, ``down=2.0``, ..."""
        self.ask("POST", "/_standin/faults", knobs)

    def ask(self, method: str, path: str, body: object = None) -> object:
        """Send a request; returns what is in ``data``, ``message`` or, without either, the whole answer.

        Raises:
            urllib.error.HTTPError: it answered with an error.

        """
        request = Request(self.url + path, method=method)  # noqa: S310 (a URL of our own)
        request.add_header("Authorization", f"token {self.key}:{self.secret}")
        request.add_header("Accept", "application/json")
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            request.add_header("Content-Type", "application/json")
        with urlopen(request, data, timeout=15) as answer:  # noqa: S310 (as above)
            told = json.load(answer)
        return told.get("data", told.get("message", told)) if isinstance(told, dict) else told
