"""Which endpoint a request means. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from lineside.operations.web import Endpoint


class Found(Struct, frozen=True):
    """An endpoint, and the path's variable parts."""

    endpoint: Endpoint
    path: Mapping[str, str]


class _Node:
    """What may follow after some segments of a path."""

    __slots__ = ("endpoints", "fixed", "variable")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.variable: _Node | None = None
        self.endpoints: dict[str, tuple[Endpoint, tuple[str, ...]]] = {}


class Routes:
    """Endpoints by method and path. A fixed segment goes before a variable one."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)
        self._root = _Node()
        self._plain: dict[tuple[bytes, bytes], Found] = {}
        for endpoint in self.endpoints:
            self._add(endpoint)

    def find(self, method: bytes, path: bytes) -> Found | frozenset[str]:
        """Return the endpoint, or the methods that the path knows: none of them if there is no such path.

        Args:
            method: as received; HEAD means GET.
            path: as received, without the query; segments may be percent-encoded UTF-8.

        """
        if method == b"HEAD":
            method = b"GET"
        plain = self._plain.get((method, path))
        if plain is not None:
            return plain
        try:
            segments = [unquote_to_bytes(part).decode() for part in path.split(b"/")[1:]]
        except UnicodeDecodeError:
            return frozenset()
        allowed: set[str] = set()
        found = _find(self._root, segments, [], method.decode("latin-1"), allowed)
        return found or frozenset(allowed)

    def _add(self, endpoint: Endpoint) -> None:
        node, names = self._root, []
        for segment in endpoint.path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.fixed.setdefault(segment, _Node())
        if endpoint.method in node.endpoints:
            raise ValueError(f"two endpoints for {endpoint.method} {endpoint.path}")
        node.endpoints[endpoint.method] = (endpoint, tuple(names))
        if not names:
            self._plain[endpoint.method.encode(), endpoint.path.encode()] = Found(endpoint, {})


def _find(node: _Node, segments: list[str], values: list[str], method: str, allowed: set[str]) -> Found | None:
    if not segments:
        if method in node.endpoints:
            endpoint, names = node.endpoints[method]
            return Found(endpoint, dict(zip(names, values, strict=True)))
        allowed.update(method for method, (endpoint, _) in node.endpoints.items() if endpoint.described)
        return None
    first, rest = segments[0], segments[1:]
    if first in node.fixed:
        found = _find(node.fixed[first], rest, values, method, allowed)
        if found is not None or allowed:
            # A path that is there by its name is not looked for by its form (OpenAPI 3.1, section 4.8.8.1).
            return found
    if node.variable is not None and first:
        return _find(node.variable, rest, [*values, first], method, allowed)
    return None
