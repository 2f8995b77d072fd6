"""Who sends a request, by its Authorization header. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac

from msgspec import Struct

from lineside.standin.errors import raised, thrown

ADMINISTRATOR = "Administrator"
GUEST = "Guest"


class Credentials(Struct, frozen=True):
    """The one API key of the stand-in, and its user."""

    api_key: str
    api_secret: str
    user: str = ADMINISTRATOR


def authenticate(header: str | None, credentials: Credentials) -> str:
    """Return the user of a request; Guest without a header, and for one that is not two words.

    Raises:
        FrappeError: 401 for a wrong key, secret or scheme; 400 for Basic that is not Base64.

    """
    words = (header or "").split(" ")
    if len(words) != 2:
        return GUEST
    scheme, given = words
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise thrown(
                "InvalidAuthorizationToken", "Failed to decode token, please provide a valid token"
            ) from None
    elif scheme.lower() != "token":
        raise raised("AuthenticationError")
    expected = f"{credentials.api_key}:{credentials.api_secret}"
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise raised("AuthenticationError")
    return credentials.user
