"""`lineside try`: what the gateway would make of bytes, without a gateway."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator, Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
import msgspec

from lineside.assemble.rehearsal import Rehearsal, Rehearsed, Rendered, zone_of
from lineside.assemble.settings import Settings
from lineside.cli.documents import document_lines
from lineside.cli.session import config_option, json_option, print_json, run_command, settings_of
from lineside.model.errors import ConfigurationError, LinesideError
from lineside.model.outcome import Blocked, Refused, Retry, Skipped, TargetDown
from lineside.model.ports import Attachment, Ready
from lineside.model.wording import did_you_mean, plain

if TYPE_CHECKING:
    from lineside.assemble.dryruns import Connect
    from lineside.edges.frappe.dryrun import Attempt

NOTHING: Mapping[str, Any] = {}
"""What the sites said, where none was asked."""


@click.command(epilog="""Example: echo '{"kind": "checkin", "employee": "HR-EMP-00017"}' | lineside try gate""")
@click.argument("source")
@click.option("--erp", is_flag=True, help="Also ask the ERP, and show the requests it would be sent; none is.")
@click.option("--target", metavar="NAME", help="With --erp: ask this target alone; all by default.")
@json_option
@config_option
def command(source: str, config: Path, erp: bool, target: str | None, as_json: bool) -> None:
    """Show what SOURCE and its routes would make of the lines on standard input.

    For each line its answer, its key and its device; then for each route that it is skipped, the document and its
    files, or why it is refused. Nothing else is touched: no journal, no network, and no secret is needed.

    With --erp, when the input has ended, each document is carried out at the ERP up to the first request that would
    write, which is shown instead of sent: the ERP's own time zone is used, its DocTypes are held against the
    document, and what is to be changed is looked up. A gateway may put inserts that wait together into one request,
    and gives ids of its own.
    """
    if target is not None and not erp:
        raise click.UsageError("--target goes with --erp")
    settings = settings_of(config, secrets=erp)
    if source not in settings.sources:
        raise ConfigurationError(
            [f'{config}: there is no source "{source}"{did_you_mean(source, settings.sources)}']
        )
    stdin = cast(BufferedIOBase, sys.stdin.buffer)
    if stdin.isatty():
        click.echo("reading lines from the terminal; Ctrl-D ends them", err=True)
    if erp:
        targets = _targets(config, settings, source, target)
        # Read to its end before the reactor runs, on whose thread nothing may wait for input.
        run_command(try_at_targets, settings, source, targets, list(_chunks(stdin)), as_json)
        return
    if not as_json:
        for text in _circumstances(settings, source):
            click.echo(text)
    line = None
    for line in Rehearsal(settings, source, time.time_ns).lines(_chunks(stdin)):
        _tell(settings, line, NOTHING, NOTHING, as_json=as_json)
    _none(line)


async def try_at_targets(
    reactor: Any,
    settings: Settings,
    source: str,
    targets: list[str],
    chunks: list[bytes],
    as_json: bool,
    connect: Connect | None = None,
) -> None:
    """Rehearse lines up to the requests that would write at some targets, and print what is found.

    Raises:
        LinesideError: a target does not answer, or turns us away; no line was rehearsed.

    """
    # The whole HTTP client comes with it, for which a rehearsal without --erp does not wait.
    from lineside.assemble.dryruns import DryRuns  # noqa: PLC0415
    from lineside.assemble.edges import frappe_client  # noqa: PLC0415

    runs = DryRuns(reactor, settings, targets, connect or frappe_client)
    try:
        ready = await runs.probe()
        if not as_json:
            for text in _circumstances(settings, source, ready):
                click.echo(text)
        line = None
        for line in Rehearsal(settings, source, time.time_ns, ready).lines(chunks):
            _tell(settings, line, ready, await runs.deliver(line), as_json=as_json)
        _none(line)
    finally:
        await runs.close()


def _targets(config: Path, settings: Settings, source: str, only: str | None) -> list[str]:
    if only is not None and only not in settings.targets:
        raise ConfigurationError([f'{config}: there is no target "{only}"{did_you_mean(only, settings.targets)}'])
    targets = [name for name in _targets_of(settings, source) if name in settings.sites]
    if only is not None and only not in targets:
        raise LinesideError(f"no route leads from {source} to the target {only}: there is nothing to try")
    return targets if only is None else [only]


def _targets_of(settings: Settings, source: str) -> list[str]:
    routes = (route for route in settings.routes.values() if source in settings.sources_of(route))
    return list(dict.fromkeys(settings.target_of(route) for route in routes))


def _none(line: Rehearsed | None) -> None:
    if line is None:
        click.echo("there was no line on standard input", err=True)


def _tell(
    settings: Settings,
    line: Rehearsed,
    ready: Mapping[str, Ready],
    requests: Mapping[str, Attempt],
    *,
    as_json: bool,
) -> None:
    if as_json:
        print_json(_facts(settings, line, ready, requests))
    else:
        _show(line, requests)


def _chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    # Whatever is there, at once: lines that come slowly are shown as they come.
    while chunk := stream.read1(65_536):
        yield chunk


def _circumstances(settings: Settings, source: str, ready: Mapping[str, Ready] = NOTHING) -> list[str]:
    lines = []
    for target in _targets_of(settings, source):
        if target in ready:
            lines.append(f"site times of targets.{target} are in {ready[target].time_zone}, as for a gateway")
            continue
        zone = zone_of(settings, target)
        origin = (
            "as configured" if zone.configured else "since the target sets no time_zone; a gateway asks the site"
        )
        lines.append(f"site times of targets.{target} are in {zone.name}, {origin}")
    if not lines:
        lines.append(f"no route takes the events of {source}")
    if source in settings.streams and not settings.streams[source].ack:
        lines.append(f"{source} has ack = false: its devices get no answers")
    return lines


def _show(line: Rehearsed, requests: Mapping[str, Attempt]) -> None:
    event = line.event
    words = [click.style(f"line {line.line}", bold=True), _answer(line)]
    words += [f"{name} {plain(value)}" for name, value in (("key", event.key), ("device", event.device)) if value]
    click.echo("  ".join(words))
    if not line.ended:
        click.echo("  its end is missing: a gateway waits for it before it takes the line")
    for name, rendered in line.routes.items():
        _show_route(name, rendered, requests.get(name))


def _answer(line: Rehearsed) -> str:
    if line.event.error is not None:
        return click.style(f"ERR {line.event.error}", fg="red") + " (kept as a dead letter)"
    if line.repeats is not None:
        return click.style("OK", fg="green") + f" (a repeat of line {line.repeats}: not stored again)"
    return click.style("OK", fg="green")


def _show_route(name: str, rendered: Rendered, request: Attempt | None) -> None:
    match rendered:
        case Skipped():
            click.echo(f"  {name}: skipped, its condition is false")
        case Refused(reason=reason):
            click.echo(f"  {name}: {click.style('refused', fg='red')}, {reason}")
        case _:
            done = "insert and submit" if rendered.submit and rendered.action == "insert" else rendered.action
            click.echo(f"  {name}: {done} {plain(rendered.doctype or rendered.method)}")
            if rendered.match:
                click.echo("    where")
                for text in document_lines(rendered.match):
                    click.echo(f"      {text}")
            for text in document_lines(rendered.document):
                click.echo(f"    {text}")
            for file in rendered.files:
                click.echo(f"    file {_file_line(file)}")
            if request is not None:
                _show_request(request)


def _file_line(file: Attachment) -> str:
    words = [plain(file.name), f"{len(file.content):,} bytes", f"md5 {_digest(file)}"]
    words += ["private" if file.private else "public", *([f"in {file.field}"] if file.field else [])]
    return ", ".join(words)


def _file_facts(file: Attachment) -> dict[str, Any]:
    told = {"name": file.name, "bytes": len(file.content), "md5": _digest(file), "private": file.private}
    return told | ({"field": file.field} if file.field else {})


def _digest(file: Attachment) -> str:
    """Return what Frappe shows as ``content_hash``, where it stores the file as it is."""
    return hashlib.md5(file.content, usedforsecurity=False).hexdigest()


def _show_request(request: Attempt) -> None:
    match request:
        case Refused(code=code, reason=reason):
            click.echo(
                f"    {click.style('not sent', fg='red')}, it would be refused: {plain(code)}: {plain(reason)}"
            )
        case Blocked(reason=reason, remedy=remedy):
            click.echo(f"    {click.style('not sent', fg='red')}, the route would wait: {plain(reason)}; {remedy}")
        case TargetDown(reason=reason) | Retry(reason=reason):
            click.echo(f"    {click.style('not sent', fg='red')}, to be tried again: {plain(reason)}")
        case _:
            click.echo(f"    {request.method} {plain(request.path)}")
            for text in document_lines(msgspec.Raw(request.body)):
                click.echo(f"      {text}")
            for remark in request.remarks:
                click.echo(f"    {click.style('mind', fg='yellow')}: {plain(remark)}")


def _facts(
    settings: Settings, line: Rehearsed, ready: Mapping[str, Ready], requests: Mapping[str, Attempt]
) -> dict[str, Any]:
    event = line.event
    return {
        "line": line.line,
        "ended": line.ended,
        "answer": "OK" if event.error is None else "ERR",
        "error": event.error,
        "repeats": line.repeats,
        "key": event.key,
        "device": event.device,
        "routes": {
            name: _outcome(settings, name, rendered, ready)
            | ({"erp": _request(requests[name])} if name in requests else {})
            for name, rendered in line.routes.items()
        },
    }


def _request(request: Attempt) -> dict[str, Any]:
    match request:
        case Refused(code=code, reason=reason):
            return {"outcome": "refused", "code": code, "reason": reason}
        case Blocked(reason=reason, remedy=remedy):
            return {"outcome": "blocked", "reason": reason, "remedy": remedy}
        case TargetDown(reason=reason):
            return {"outcome": "down", "reason": reason}
        case Retry(reason=reason):
            return {"outcome": "retry", "reason": reason}
        case _:
            told = {"outcome": "request", "method": request.method, "path": request.path}
            remarks = {"remarks": list(request.remarks)} if request.remarks else {}
            return {**told, "body": msgspec.Raw(request.body), **remarks}


def _outcome(settings: Settings, name: str, rendered: Rendered, ready: Mapping[str, Ready]) -> dict[str, Any]:
    match rendered:
        case Skipped():
            return {"outcome": "skipped"}
        case Refused():
            return {"outcome": "refused", "reason": rendered.reason}
        case _:
            target = settings.target_of(settings.routes[name])
            zone = ready[target].time_zone if target in ready else zone_of(settings, target).name
            facts = ("action", "doctype", "method", "match", "submit", "document")
            told = {fact: getattr(rendered, fact) for fact in facts if getattr(rendered, fact)}
            files = {"files": [_file_facts(file) for file in rendered.files]} if rendered.files else {}
            return {"outcome": "document", **told, **files, "time_zone": zone}
