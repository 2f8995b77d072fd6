"""What the operator of a Frappe site sets, and may change while it runs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(ge=0)]

SESSION_EXPIRY = 170 * 3600.0
MAX_FILE_SIZE = 25 * 1024**2


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Of one site; the names are Frappe's where it has one."""

    allow_error_traceback: bool = True
    """False leaves ``exc`` and ``exception`` out of errors."""
    maintenance_mode: bool = False
    """Every request is answered with 503."""
    allow_reads_during_maintenance: bool = False
    """And reads are answered all the same."""
    rate_limit: Seconds = 0.0
    """Seconds of work for all clients together in a window; 0 for no limit."""
    rate_window: Annotated[float, Meta(gt=0)] = 10.0
    """Seconds."""
    session_expiry: Seconds = SESSION_EXPIRY
    """Seconds for which a session outlives its last request."""
    max_file_size: Annotated[int, Meta(gt=0)] = MAX_FILE_SIZE
    """Bytes of a file."""
    strip_exif_metadata_from_uploaded_images: bool = True
    """JPEG files are stored without what cameras write into them, so that their content is another."""
    site: str = ""
    """The only name under which it answers, in ``X-Frappe-Site-Name`` or ``Host``; any when empty."""


class SiteSettings:
    """The settings in force."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.now = settings or Settings()

    def turn(self, changes: dict[str, Any]) -> None:
        """Change the settings named; the others stay.

        Raises:
            msgspec.ValidationError: no such setting, or a value out of its range.

        """
        self.now = msgspec.convert({**msgspec.structs.asdict(self.now), **changes}, Settings)
