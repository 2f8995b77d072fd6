"""The dashboard's files, as the build left them beside this module: read once, answered from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable

from msgspec import Struct

from lineside.operations.web import Answer, Call, Endpoint

PACKED = ".gz"
"""What the build adds to the name of a file's compressed copy."""
TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
FOREVER = "public, max-age=31536000, immutable"
"""For what has its content's digest in its name (RFC 8246)."""
ASK_FIRST = "no-cache"
POLICY = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
)
"""Nothing comes from another host, nothing is inline, and no page shows this one within itself (CSP Level 3)."""
PAGE_HEADERS = (
    ("Content-Security-Policy", POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
NOT_BUILT = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Lineside</title>
<h1>The dashboard is not built</h1>
<p>This gateway works, and its <a href="/openapi.json">API</a> answers. In the checkout that it runs from,
<code>make dashboard</code> builds the dashboard; then start the gateway again. What <code>make wheel</code>
builds holds it already.</p>
<p>Meanwhile <code>lineside top</code> shows the same in a terminal.</p>
</html>
"""


class File(Struct, frozen=True):
    """One file in its forms."""

    plain: bytes
    packed: bytes | None
    content_type: str
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, name: str, plain: bytes, packed: bytes | None) -> File:
        """Return a file; ``name`` tells its type, and whether it ever changes."""
        page = name.endswith(".html")
        tag = f'"{blake2b(plain, digest_size=12).hexdigest()}"'
        headers = (
            ("ETag", f"W/{tag}"),
            ("Cache-Control", ASK_FIRST if page else FOREVER),
            ("Vary", "Accept-Encoding"),
            *(PAGE_HEADERS if page else ()),
        )
        kind = TYPES.get(name.rpartition(".")[2], "application/octet-stream")
        return cls(plain, packed, kind, headers)

    def answer(self, call: Call) -> Answer:
        """Answer with the form that the client takes; 304 if it has it."""
        if self.headers[0][1] in (call.header("if-none-match") or ""):
            return Answer(304, b"", self.content_type, self.headers)
        if self.packed is not None and takes_gzip(call.header("accept-encoding") or ""):
            return Answer(200, self.packed, self.content_type, (*self.headers, ("Content-Encoding", "gzip")))
        return Answer(200, self.plain, self.content_type, self.headers)


def dashboard_endpoints(directory: Traversable | None = None) -> list[Endpoint]:
    """Return an endpoint for each of the dashboard's files; for ``/`` alone where it was not built.

    They are for everybody: the data that they show is not in them.

    Args:
        directory: where the build is; without it, in this package.

    """
    built = dict(_found(directory or files(__package__).joinpath("dashboard")))
    index = built.pop("index.html", None)
    if index is None:
        return [_endpoint("/", "dashboard", File.of("not-built.html", NOT_BUILT, None).answer)]
    return [
        _endpoint("/", "dashboard", index.answer),
        *(_endpoint(f"/{path}", f"dashboard {path}", file.answer) for path, file in built.items()),
    ]


def takes_gzip(header: str) -> bool:
    """Tell whether an ``Accept-Encoding`` allows gzip (RFC 9110, section 12.5.3)."""
    for part in header.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in {"gzip", "x-gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _endpoint(path: str, name: str, answer: Callable[[Call], Answer]) -> Endpoint:
    return Endpoint("GET", path, name, "A file of the dashboard", None, answer)


def _found(directory: Traversable, below: str = "") -> Iterator[tuple[str, File]]:
    if not directory.is_dir():
        return
    entries = {entry.name: entry for entry in directory.iterdir()}
    for name, entry in sorted(entries.items()):
        if entry.is_dir():
            yield from _found(entry, f"{below}{name}/")
        elif not name.endswith(PACKED):
            packed = entries.get(name + PACKED)
            yield (
                f"{below}{name}",
                File.of(name, entry.read_bytes(), None if packed is None else packed.read_bytes()),
            )
