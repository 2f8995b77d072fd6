"""The API's endpoints that carry out operations, and its description."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from lineside.edges.http.asked import asked
from lineside.edges.http.openapi import describe
from lineside.operations.registry import Operations
from lineside.operations.requests import (
    CancelRun,
    CommandDevice,
    CreateToken,
    DiscardDeadLetters,
    ListAudit,
    ListConsumers,
    ListDeadLetters,
    ListDeviceCommands,
    ListDevices,
    ListEvents,
    ListFiles,
    ListRuns,
    ListSessions,
    ListTasks,
    ListTokens,
    Pause,
    PauseTask,
    Resume,
    ResumeTask,
    RetryDeadLetters,
    RetryRun,
    RevokeSession,
    RevokeToken,
    RunTask,
    ShowDeadLetter,
    ShowEvent,
    ShowFile,
    ShowHistory,
    ShowOverview,
    ShowRun,
    ShowStatus,
    ShowTaskHistory,
    VerifyAudit,
)
from lineside.operations.web import JSON, Answer, Endpoint, Reply

API = "/api/v1"
NO_ANSWER = {
    502: "The device answered with an error, or the connection was lost after the command was sent; see `state`.",
    504: "No answer came in time; the device may have got the command.",
}


def operation_endpoints(operations: Operations) -> list[Endpoint]:
    """Return the endpoints for what may be asked of a gateway."""
    events, letters, gateway = "events", "dead letters", "gateway"
    return [
        asked(operations, "GET", f"{API}/status", ShowStatus, tag=gateway),
        asked(operations, "GET", f"{API}/overview", ShowOverview, tag=gateway),
        asked(operations, "GET", f"{API}/history", ShowHistory, tag=gateway),
        asked(operations, "GET", f"{API}/consumers", ListConsumers, tag=gateway),
        asked(operations, "GET", f"{API}/events", ListEvents, tag=events),
        asked(operations, "GET", f"{API}/events/{{seq}}", ShowEvent, tag=events),
        asked(operations, "GET", f"{API}/dead-letters", ListDeadLetters, tag=letters),
        asked(operations, "GET", f"{API}/dead-letters/{{id}}", ShowDeadLetter, tag=letters),
        asked(operations, "POST", f"{API}/dead-letters/retry", RetryDeadLetters, tag=letters),
        asked(operations, "POST", f"{API}/dead-letters/discard", DiscardDeadLetters, tag=letters),
        asked(operations, "POST", f"{API}/dead-letters/{{id}}/retry", RetryDeadLetters, tag=letters, one="ids"),
        asked(operations, "POST", f"{API}/dead-letters/{{id}}/discard", DiscardDeadLetters, tag=letters, one="ids"),
        *[
            asked(
                operations,
                "POST",
                f"{API}/{kind}s/{{id}}/{request.__name__.lower()}",
                request,
                tag=gateway,
                fixed={"kind": kind},
            )
            for kind in ("source", "route", "target")
            for request in (Pause, Resume)
        ],
        asked(operations, "GET", f"{API}/files", ListFiles, tag="files"),
        asked(operations, "GET", f"{API}/files/{{id}}", ShowFile, tag="files"),
        asked(operations, "GET", f"{API}/devices", ListDevices, tag="devices"),
        asked(
            operations,
            "POST",
            f"{API}/devices/{{device}}/commands",
            CommandDevice,
            tag="devices",
            further=NO_ANSWER,
        ),
        asked(operations, "GET", f"{API}/device-commands", ListDeviceCommands, tag="devices"),
        *(task_endpoints(operations) if operations.offers(ListTasks) else []),
        asked(operations, "GET", f"{API}/tokens", ListTokens, tag="tokens"),
        asked(operations, "POST", f"{API}/tokens", CreateToken, tag="tokens"),
        asked(operations, "POST", f"{API}/tokens/{{token}}/revoke", RevokeToken, tag="tokens"),
        asked(operations, "GET", f"{API}/sessions", ListSessions, tag="session"),
        asked(operations, "POST", f"{API}/sessions/{{session}}/revoke", RevokeSession, tag="session"),
        asked(operations, "GET", f"{API}/audit", ListAudit, tag="audit"),
        asked(operations, "GET", f"{API}/audit/verdict", VerifyAudit, tag="audit"),
    ]


def task_endpoints(operations: Operations) -> list[Endpoint]:
    """Return the endpoints for what may be asked of tasks."""
    tag = "tasks"
    return [
        asked(operations, "GET", f"{API}/tasks", ListTasks, tag=tag),
        asked(operations, "GET", f"{API}/task-history", ShowTaskHistory, tag=tag),
        asked(operations, "POST", f"{API}/tasks/{{task}}/run", RunTask, tag=tag),
        asked(operations, "POST", f"{API}/tasks/{{task}}/pause", PauseTask, tag=tag),
        asked(operations, "POST", f"{API}/tasks/{{task}}/resume", ResumeTask, tag=tag),
        asked(operations, "GET", f"{API}/runs", ListRuns, tag=tag),
        asked(operations, "GET", f"{API}/runs/{{run}}", ShowRun, tag=tag),
        asked(operations, "POST", f"{API}/runs/{{run}}/cancel", CancelRun, tag=tag),
        asked(operations, "POST", f"{API}/runs/{{run}}/retry", RetryRun, tag=tag),
    ]


def description_endpoint(endpoints: Iterable[Endpoint]) -> Endpoint:
    """Return the endpoint of the description of ``endpoints`` and of itself."""
    described: list[bytes] = []

    def answer(_: object) -> Answer:
        return Answer(200, described[0])

    own = Endpoint(
        "GET",
        "/openapi.json",
        "openapi",
        "This description, as OpenAPI 3.1",
        None,
        answer,
        replies={200: Reply("The description.", {JSON: {"type": "object"}})},
        tag="gateway",
    )
    described.append(msgspec.json.encode(describe([*endpoints, own])))
    return own
