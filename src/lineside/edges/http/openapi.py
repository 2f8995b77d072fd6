"""The description of an API, OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0), made from what it serves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import msgspec

from lineside.operations.web import PROBLEM, Endpoint, Reply

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "What is wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
COMMON: dict[int, str] = {
    400: "A parameter is not as described.",
    401: "No token, or one that is not valid.",
    403: "The token's role may not do this.",
    404: "There is no such thing.",
    409: "It cannot be done as things are.",
    413: "The body is too large.",
    415: "The body is of another kind.",
    422: "The body is not as described.",
    500: "The gateway failed; its log says why.",
    503: "Not now; `Retry-After` says when.",
}


def describe(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the description as JSON's values."""
    described = [endpoint for endpoint in endpoints if endpoint.described]
    types = [kind for endpoint in described for kind in _types(endpoint)]
    # All at once: each call looks through every type that it meets, and a start waits for this.
    found, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schemas = {id(kind): schema for kind, schema in zip(types, found, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in described:
        path = quote(endpoint.path, safe="/{}")
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lineside",
            "version": version("lineside"),
            "description": "Events from the shop floor into an ERP, each exactly once.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": PROBLEM_SCHEMA},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "tags": [{"name": tag} for tag in sorted({endpoint.tag for endpoint in described if endpoint.tag})],
    }


def _types(endpoint: Endpoint) -> list[Any]:
    contents = [endpoint.takes, *(reply.content for reply in endpoint.replies.values())]
    return [kind for content in contents for kind in content.values() if not isinstance(kind, dict)]


def _content(content: Mapping[str, Any], schemas: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    return {
        media_type: {"schema": kind if isinstance(kind, dict) else schemas[id(kind)]}
        for media_type, kind in content.items()
    }


def _operation(endpoint: Endpoint, schemas: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    told: dict[str, Any] = {"operationId": endpoint.name, "summary": endpoint.summary}
    if endpoint.tag:
        told["tags"] = [endpoint.tag]
    if endpoint.parameters:
        told["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.place,
                "required": parameter.required or parameter.place == "path",
                "schema": dict(parameter.schema),
                **({"description": parameter.description} if parameter.description else {}),
            }
            for parameter in endpoint.parameters
        ]
    if endpoint.takes:
        required = endpoint.stream or any(map(_needed, endpoint.takes.values()))
        told["requestBody"] = {"required": required, "content": _content(endpoint.takes, schemas)}
    told["responses"] = {
        str(status): {
            "description": reply.description,
            **({"content": _content(reply.content, schemas)} if reply.content else {}),
        }
        for status, reply in {**endpoint.replies, **_problems(endpoint)}.items()
    }
    told["security"] = [{"token": []}, {}] if endpoint.permission in {"read", "consult"} else [{"token": []}]
    if endpoint.permission is None:
        told["security"] = [{}]
    return told


def _needed(kind: Any) -> bool:
    # A body that may be empty may be left out.
    return not isinstance(kind, dict) and any(field.required for field in msgspec.structs.fields(kind))


def _problems(endpoint: Endpoint) -> dict[int, Reply]:
    # Whatever is asked, a token that is given must be valid.
    statuses = {400, 401, 500}
    if endpoint.permission is not None:
        statuses.add(403)
    if "{" in endpoint.path or endpoint.takes:
        statuses.add(404)
    if endpoint.takes:
        statuses |= {413, 415, 422}
    if endpoint.method != "GET" or endpoint.permission is not None:
        statuses |= {409, 503}
    problem = {PROBLEM: {"$ref": "#/components/schemas/Problem"}}
    return {status: Reply(COMMON[status], problem) for status in sorted(statuses - endpoint.replies.keys())}
