"""`lineside devices`: who is connected, commands to them, and what became of those."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click
import msgspec
from rich.text import Text

from lineside.assemble.settings import Settings
from lineside.cli.session import Session, config_option, json_option, print_json, run_command, settings_of
from lineside.cli.tables import console, print_list
from lineside.model.wording import plain
from lineside.operations.control import RemoteOperations
from lineside.operations.requests import CommandDevice, ListDeviceCommands, ListDevices
from lineside.operations.results import CommandAnswer, CommandState, ConnectedDeviceList, DeviceCommandList

source_option = click.option("--source", metavar="SOURCE", help="Only this source's.")


@click.group(epilog='Example: lineside devices command scale-1 "TARE"')
def command() -> None:
    """List connected devices, and send them commands."""


@command.command("list", epilog="Example: lineside devices list --source gate")
@source_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=1_000, show_default=True)
@json_option
@config_option
def list_(config: Path, source: str | None, limit: int, as_json: bool) -> None:
    """List the devices that are connected to a running gateway."""
    run_command(_list, settings_of(config, secrets=False), ListDevices(source=source, limit=limit), as_json)


@command.command("command", epilog='Example: lineside devices command scale-1 "TARE" --expires 5')
@click.argument("device")
@click.argument("payload", default="")
@click.option("--data", metavar="JSON", help="Send this JSON value, in place of the text PAYLOAD.")
@source_option
@click.option(
    "--expires",
    type=click.FloatRange(0, 600, min_open=True),
    metavar="SECONDS",
    help="How long it may wait for its turn and its answer. Default: as the source says.",
)
@click.option("--id", "identifier", metavar="ID", help="An id of your own, which no other command has.")
@click.option("--no-wait", is_flag=True, help="Print the id as soon as it is on record.")
@json_option
@config_option
def give(
    config: Path,
    device: str,
    payload: str,
    data: str | None,
    source: str | None,
    expires: float | None,
    identifier: str | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Send PAYLOAD to DEVICE, at most once, and print its answer.

    Exits 1 where there is no good answer; the error says whether the device may have got the command.
    """
    request = {
        "device": device,
        "payload": payload if data is None else _json(payload, data),
        "source": source,
        "expires": expires,
        "id": identifier,
        "wait": not no_wait,
    }
    try:
        checked = msgspec.convert(request, CommandDevice)
    except msgspec.ValidationError as wrong:
        raise click.UsageError(str(wrong)) from wrong
    run_command(_command, settings_of(config, secrets=False), checked, as_json)


@command.command("commands", epilog="Example: lineside devices commands --state unknown")
@click.option("--id", "identifier", metavar="ID", help="Only the one with this id.")
@click.option("--device", metavar="DEVICE", help="Only those to this device.")
@source_option
@click.option("--state", type=click.Choice(get_args(CommandState)), help="Only those in this state.")
@click.option("--before", type=click.IntRange(0), metavar="N", help="Go on with older ones.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@json_option
@config_option
def commands(
    config: Path,
    identifier: str | None,
    device: str | None,
    source: str | None,
    state: CommandState | None,
    before: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """List commands and what became of them, the newest first."""
    request = ListDeviceCommands(
        id=identifier, device=device, source=source, state=state, before=before, limit=limit
    )
    run_command(_commands, settings_of(config, secrets=False), request, as_json)


def _json(payload: str, data: str) -> Any:
    if payload:
        raise click.UsageError("give PAYLOAD or --data, not both")
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as wrong:
        raise click.UsageError(f"--data: {wrong}") from wrong


async def _list(reactor: Any, settings: Settings, request: ListDevices, as_json: bool) -> None:
    found: ConnectedDeviceList = await RemoteOperations(reactor, settings.journal.control_path).call(request)
    if as_json:
        for device in found.devices:
            print_json(device)
        return
    rows = [
        (each.device, each.source, each.peer, str(each.waiting) if each.commands else "no commands")
        for each in found.devices
    ]
    if rows:
        print_list(("DEVICE", "SOURCE", "FROM", "WAITING"), rows, numbers=0)
    console().print(f"{len(rows)} of {found.total} connected devices", style="dim")


async def _command(reactor: Any, settings: Settings, request: CommandDevice, as_json: bool) -> None:
    answer: CommandAnswer = await RemoteOperations(reactor, settings.journal.control_path).call(request)
    if as_json:
        print_json(answer)
    elif answer.reply is None:
        console().print(Text(f"{answer.state}: {answer.id}"))
    else:
        console().print(Text(plain(answer.reply)), soft_wrap=True)


async def _commands(reactor: Any, settings: Settings, request: ListDeviceCommands, as_json: bool) -> None:
    found: DeviceCommandList = await Session(reactor, settings).call(request)
    if as_json:
        for each in found.commands:
            print_json(each)
        return
    rows = [
        (
            each.at[:19].replace("T", " "),
            each.id,
            each.device,
            each.by,
            each.state,
            "; ".join(filter(None, (each.reason, "a reply came late" if each.late else None))),
        )
        for each in found.commands
    ]
    if rows:
        print_list(("GIVEN", "ID", "DEVICE", "BY", "STATE", "WHY"), rows, numbers=0)
    more = "" if found.next_before is None else f"; older ones: --before {found.next_before}"
    console().print(f"{len(rows)} commands{more}", style="dim")
