"""From a source's settings to the devices that it is made for, so that they can be played against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from random import Random

import msgspec
from msgspec import Struct

from lineside.assemble.endpoints import Listen, parse_listener
from lineside.assemble.formats import FixedFormat, JsonFormat, RegexFormat
from lineside.assemble.framings import StxEtxFraming
from lineside.assemble.linessettings import LinesSourceSettings
from lineside.assemble.translation import decoder_of, framing_of
from lineside.model.errors import ConfigurationError, LinesideError
from lineside.testing.ledger import Line
from lineside.testing.samples import Field, filled, frames_of, recorded
from lineside.testing.simulation import Plan, Played, workload_of
from lineside.testing.speech import HEARD_LIMIT, LINES, Speech
from lineside.wire.encoding import NotWritable, encode


class Reach(Struct, frozen=True):
    """Where a source's devices send to."""

    stream: str | None = None
    """A client endpoint string."""
    datagrams: tuple[str, int] | None = None
    """An IP address and a port."""


def reach(name: str, source: LinesSourceSettings) -> Reach:
    """Return where a device on this machine finds a source.

    Raises:
        ConfigurationError: the settings do not tell.

    """
    if source.listen is None:
        dials = f"sources.{name} dials its device, {source.connect}: only devices that connect can be played"
        raise ConfigurationError([f"{dials}; what it makes of bytes shows `lineside try {name}`"])
    if source.tls is not None:
        raise ConfigurationError(
            [f"sources.{name} has TLS, which no simulated device speaks: play one with `openssl s_client`"]
        )
    listener = parse_listener(source.listen)
    given = dict(listener.arguments)
    if listener.kind == "unix":
        return Reach(stream=f"unix:{_quoted(given['address'])}")
    if listener.kind not in {"tcp", "tcp6", "udp"} or int(given["port"]) == 0:
        raise ConfigurationError(
            [f"sources.{name} listens on {source.listen}, which does not say where: give --connect tcp:HOST:PORT"]
        )
    host, port = _host(listener, given.get("interface", "")), int(given["port"])
    if listener.datagrams:
        return Reach(datagrams=(host, port))
    return Reach(stream=f"tcp:{_quoted(host)}:{port}")


def datagram_place(text: str) -> tuple[str, int]:
    """Return the IP address and port of ``udp:HOST:PORT``; raises `ValueError` where it says something else."""
    kind, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    if kind != "udp" or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError('expected "udp:ADDRESS:PORT"')
    return str(ip_address(host.replace("\\", "").strip("[]"))), int(port)


def played(name: str, source: LinesSourceSettings, sample: Path | None, *, endless: bool) -> Played:
    """Return how the devices of a source speak, and what they say.

    Args:
        name: the source's.
        source: its settings.
        sample: a file with the contents of one frame a line, which are sent instead of made-up ones.
        endless: it is sent again and again.

    Raises:
        LinesideError: nothing can be made up for this format, or the file cannot be read.

    """
    speech = Speech(
        framing=framing_of(source.model_copy(update={"max_line": max(source.max_line, HEARD_LIMIT)})) or LINES,
        ack_nak=isinstance(source.framing, StxEtxFraming) and source.framing.answers == "ack-nak",
        answered=source.ack and not source.datagrams,
    )
    if sample is not None:
        frames = _read(sample)
        return Played(speech, lambda plan, run, number: recorded(frames, run, number, again=endless))
    if isinstance(source.format, RegexFormat):
        raise LinesideError(
            f"sources.{name} has a regular expression, and what that matches cannot be made up: give --from FILE, "
            "with one message a line"
        )
    made_up = _json(source) if isinstance(source.format, JsonFormat) else _in_format(source)
    _try(name, made_up)
    return Played(speech, made_up)


def _json(source: LinesSourceSettings) -> Callable[[Plan, str, int], Iterator[Line]]:
    def lines(plan: Plan, run: str, number: int) -> Iterator[Line]:
        for line in workload_of(plan, run, number):
            document = msgspec.json.decode(line.payload, type=dict[str, object])
            for field, value in ((source.dedupe, line.id), (source.device, f"{plan.kind}-{number}")):
                if field is not None and "." not in field:
                    document[field] = value
            yield Line(line.id, msgspec.json.encode(document))

    return lines


def _in_format(source: LinesSourceSettings) -> Callable[[Plan, str, int], Iterator[Line]]:
    decoder = decoder_of(source)

    def contents(fields: Mapping[str, str]) -> bytes:
        return encode(decoder, fields)

    def lines(plan: Plan, run: str, number: int) -> Iterator[Line]:
        workload = workload_of(plan, run, number)
        random = Random()  # noqa: S311 - believable, not secret
        place = number, plan.devices
        return filled(workload, _fields(source, plan), contents, random, run, place, f"{plan.kind}-{number}")

    return lines


def _fields(source: LinesSourceSettings, plan: Plan) -> list[Field]:
    table = source.format
    assert not isinstance(table, JsonFormat)
    types = getattr(table, "types", {})
    names: list[str] = list(table.names or ())
    if table.names is None:
        # The device names its fields: those of its workload, and what the settings speak of.
        first = next(workload_of(plan, "0", 0))
        named = [source.dedupe, source.device, *types, *msgspec.json.decode(first.payload)]
        names = list(dict.fromkeys(each for each in named if each is not None))
    widths = {each.name: each.width for each in table.columns} if isinstance(table, FixedFormat) else {}
    return [
        Field(
            name,
            types.get(name),
            widths.get(name),
            key=name == source.dedupe,
            device=name == source.device,
            decimal=getattr(table, "decimal", "."),
        )
        for name in names
    ]


def _try(name: str, lines: Callable[[Plan, str, int], Iterator[Line]]) -> None:
    try:
        next(lines(Plan("scanner"), "0", 0))
    except NotWritable as wrong:
        raise LinesideError(f"sources.{name}: no frame can be made up: {wrong}; give --from FILE") from wrong


def _read(path: Path) -> list[bytes]:
    try:
        frames = frames_of(path.read_bytes())
    except OSError as wrong:
        raise LinesideError(f"cannot read {path}: {wrong.strerror}") from wrong
    if not frames:
        raise LinesideError(f"{path} has no messages, one a line")
    return frames


def _host(listener: Listen, interface: str) -> str:
    if interface and interface not in {"0.0.0.0", "::"}:  # noqa: S104 (not bound)
        return interface
    return "::1" if listener.kind == "tcp6" or interface == "::" else "127.0.0.1"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")
