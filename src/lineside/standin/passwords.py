"""Passwords of users: kept as scrypt's digest, in a table that the API does not show."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from sqlite3 import Connection

COST = {"n": 2**12, "r": 8, "p": 1}


def set_password(connection: Connection, user: str, password: str) -> None:
    """Give a user another password."""
    salt = secrets.token_bytes(16)
    connection.execute(
        "INSERT OR REPLACE INTO passwords (user, salt, digest) VALUES (?, ?, ?)",
        (user, salt, _digest(password, salt)),
    )


def is_password(connection: Connection, user: str, password: str) -> bool:
    """Return whether it is the user's; a user without a password has none that is right."""
    found = connection.execute("SELECT salt, digest FROM passwords WHERE user = ?", (user,)).fetchone()
    return found is not None and hmac.compare_digest(_digest(password, found[0]), found[1])


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(errors="replace"), salt=salt, **COST)
