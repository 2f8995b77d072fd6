"""``[dns]``: the plant's names, those that are served and those that are looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from lineside.assemble.clientendpoints import parse_client
from lineside.assemble.endpoints import parse_server
from lineside.assemble.table import Table
from lineside.assemble.values import Shape, in_tuple
from lineside.model.wording import did_you_mean, key_path
from lineside.wire.dnsnames import Name, NoName, parse_name, reverse_origin
from lineside.wire.dnsrecords import TYPES, parse_data

Network = IPv4Network | IPv6Network
_CONDITIONS = ("source", "target", "check")


def _domain(value: str) -> str:
    name = parse_name(value if value.endswith(".") else f"{value}.")
    if not name or b"*" in name:
        raise ValueError('expected a domain such as "plant.example"')
    return value.lower().removesuffix(".")


Domain = Annotated[str, AfterValidator(_domain), Shape("domain name")]


def _host_name(value: str) -> str:
    if b"*" in parse_name(value):
        raise ValueError(f'"{value}" is no host')
    return value


def _networks(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError('expected an array of networks such as "10.0.0.0/24"')
    return tuple(item if isinstance(item, Network) else _network(item) for item in value)


def _network(text: object) -> Network:
    try:
        if isinstance(text, str):
            return ip_network(text)
    except ValueError as wrong:
        raise ValueError(f'"{text}" is no network such as "10.0.0.0/24": {wrong}') from None
    raise ValueError('expected an array of networks such as "10.0.0.0/24"')


Networks = Annotated[tuple[Network, ...], BeforeValidator(_networks), Shape("array of networks")]


def _reversed(value: tuple[Network, ...]) -> tuple[Network, ...]:
    for network in value:
        reverse_origin(network)
    for network in value:
        for other in value:
            if network is not other and network.version == other.version and network.subnet_of(other):  # type: ignore[arg-type]
                raise ValueError(f"{network} is inside {other}")
    return value


def _addresses(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError('expected an array of addresses such as "10.0.0.1"')
    for item in value:
        parse_server_address(item)
    return tuple(value)


def parse_server_address(text: object) -> tuple[IPv4Address | IPv6Address, int]:
    """Return the address and port of a name server: ``10.0.0.1``, ``10.0.0.1:5353`` or ``[fd00::1]:5353``.

    Raises:
        ValueError: it is none.

    """
    if isinstance(text, str):
        host, port = text, "53"
        if text.startswith("["):
            host, _, port = text[1:].partition("]:")
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
        try:
            if port.isdecimal() and 0 < int(port) < 65_536:
                return ip_address(host), int(port)
        except ValueError:
            pass
    raise ValueError(f'"{text}" is no address of a server such as "10.0.0.1", "10.0.0.1:5353" or "[fd00::1]:53"')


def _checked(value: str) -> str:
    dial = parse_client(value)
    if dial.kind != "tcp":
        raise ValueError('only whether it takes connections is looked at, as in "tcp:10.0.0.5:7001"')
    return value


class ConditionSettings(Table):
    """``when`` of a record: what must be up. One of the three."""

    source: str | None = Field(
        default=None,
        description="The source that must be up: not paused, with its device there and room on the disk. "
        "Default: none.",
    )
    target: str | None = Field(
        default=None, description="The target that must be up: not paused, and answering. Default: none."
    )
    check: Annotated[str, AfterValidator(_checked), Shape("client endpoint")] | None = Field(
        default=None,
        description=(
            "The address that must take connections, such as `tcp:10.0.0.5:7001`: it is dialled every 2 s, and "
            "down after two calls in vain. Default: none."
        ),
    )

    @property
    def text(self) -> str:
        """The condition's name, in the log and wherever it is shown."""
        return next(f"{kind} {value}" for kind in _CONDITIONS if (value := getattr(self, kind)) is not None)


def _when(value: object) -> object:
    if isinstance(value, dict) and len(value) != 1 and set(value) <= set(_CONDITIONS):
        raise ValueError('expected one of source, target and check, as in { source = "gate" }')
    return value


def _values(value: object) -> object:
    return (value,) if isinstance(value, str) else in_tuple(value)


class RecordSettings(Table):
    """``[[dns.records]]``: what stands under a name."""

    name: str = Field(
        description=(
            "The name, within the zone: `gate`, `_scale._tcp`, `*.gate`; `@` for the zone itself; with a dot at "
            "its end a whole one."
        )
    )
    type: Literal["A", "AAAA", "CNAME", "PTR", "SRV", "TXT"] = Field(description="The type of the record.")
    value: Annotated[
        tuple[str, ...],
        BeforeValidator(_values),
        Field(min_length=1, max_length=64),
        Shape("text or array of texts"),
    ] = Field(
        description=(
            "What it holds, as in a zone file: an address; a host; of `SRV` priority, weight, port and host; of "
            "`TXT` the text itself. Several make several records."
        )
    )
    ttl: Annotated[int, Field(ge=0, le=604_800)] | None = Field(
        default=None, description="How many seconds it may be remembered. Default: the zone's `ttl`."
    )
    when: Annotated[ConditionSettings | None, BeforeValidator(_when), Shape("table")] = Field(
        default=None,
        description=(
            'What must be up for it to be answered: `{ source = "gate" }`, `{ target = "erp" }` or '
            '`{ check = "tcp:10.0.0.5:7001" }`. Default: nothing.'
        ),
    )


class DnsSettings(Table):
    """``[dns]``."""

    zone: Domain | None = Field(
        default=None,
        description=(
            "The zone that is served, such as `plant.example`. Default: none; the table may also only say which "
            "`servers` to ask."
        ),
    )
    listen: str = Field(
        default="tcp:53:interface=127.0.0.1",
        description="Where the zone is served: `tcp:` or `tcp6:`, and with it UDP at the same address and port.",
    )
    networks: Networks = Field(
        default=(ip_network("127.0.0.0/8"), ip_network("::1/128")),
        description="Who may ask; all others are answered `REFUSED`.",
    )
    ttl: int = Field(
        default=300, ge=0, le=604_800, description="How many seconds a record may be remembered, at most."
    )
    health_ttl: int = Field(
        default=5,
        ge=0,
        le=3_600,
        description="How many seconds, at most, records may be remembered of which one has a `when`.",
    )
    all_down: Literal["answer", "leave"] = Field(
        default="answer",
        description=(
            "What becomes of a name and type of which every record is down: all are answered as if they were up, "
            "or all leave. There is an alarm, `dns.all_down`, either way."
        ),
    )
    nameservers: Annotated[
        tuple[Annotated[str, AfterValidator(_host_name)], ...],
        BeforeValidator(in_tuple),
        Field(min_length=1, max_length=13),
        Shape("array of names"),
    ] = Field(
        default=("ns",),
        description=(
            "The names of the servers of this zone, within it or whole. The first one gets an address record by "
            "itself where it has none and `listen` has an address."
        ),
    )
    contact: Annotated[str, AfterValidator(_host_name)] = Field(
        default="hostmaster", description="Whom to write to about the zone, as a name: the first dot stands for @."
    )
    reverse: Annotated[Networks, AfterValidator(_reversed)] = Field(
        default=(),
        description=(
            "Networks whose reverse zones are served too. Each address in them that an A or AAAA record has gets a "
            "PTR record with its name, the first one in this file."
        ),
    )
    rate_limit: int = Field(
        default=2_000,
        ge=1,
        description=(
            "Answers a second over UDP to one network of clients, a /24 or /56. Of the others every second one is "
            "told to come over TCP, and the rest dropped."
        ),
    )
    servers: Annotated[tuple[str, ...], BeforeValidator(_addresses), Shape("array of addresses")] = Field(
        default=(),
        description=(
            "Which servers are asked for the services of `srv+http://`, `srv+https://` and `srv:`. Default: those "
            "of `/etc/resolv.conf`."
        ),
    )
    records: tuple[RecordSettings, ...] = Field(default=(), description="The records: tables `[[dns.records]]`.")

    @field_validator("records", mode="before")
    @classmethod
    def _in_tuple(cls, records: Any) -> Any:
        return in_tuple(records)

    @field_validator("listen")
    @classmethod
    def _with_an_address(cls, listen: str) -> str:
        if listen.startswith("udp:"):
            raise ValueError(f'DNS needs TCP as well as UDP; write "tcp:{listen[4:]}", which stands for both')
        parsed = parse_server(listen)
        given = dict(parsed.arguments)
        if parsed.kind not in {"tcp", "tcp6"}:
            raise ValueError('expected an address such as "tcp:53:interface=127.0.0.1"')
        if given.get("interface"):
            try:
                version = ip_address(given["interface"]).version
            except ValueError:
                raise ValueError(f'interface "{given["interface"]}" is no IP address') from None
            if (parsed.kind == "tcp6") != (version == 6):
                other = "tcp6" if version == 6 else "tcp"
                raise ValueError(f'interface "{given["interface"]}" needs "{other}:"')
        return listen

    @field_validator("records")
    @classmethod
    def _only_in_a_zone(
        cls, records: tuple[RecordSettings, ...], info: ValidationInfo
    ) -> tuple[RecordSettings, ...]:
        if records and "zone" in info.data and info.data["zone"] is None:
            raise ValueError('there is no zone for them; set zone = "plant.example"')
        return records

    @property
    def origin(self) -> Name:
        """The zone's top."""
        assert self.zone is not None
        return parse_name(f"{self.zone}.")

    @property
    def place(self) -> tuple[str, int]:
        """The address, empty for all of IPv4, and the port of `listen`."""
        parsed = parse_server(self.listen)
        given = dict(parsed.arguments)
        everywhere = "::" if parsed.kind == "tcp6" else ""
        return given.get("interface") or everywhere, int(given["port"])


def check_dns(raw: Mapping[str, Any], sources: Mapping[str, Any], targets: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with records, one by one; the tables are as in the file."""
    dns = raw.get("dns")
    records = dns.get("records") if isinstance(dns, dict) else None
    zone = dns.get("zone") if isinstance(dns, dict) else None
    try:
        origin = parse_name(f"{zone.removesuffix('.')}.") if isinstance(zone, str) else ()
    except NoName:
        return
    for index, record in enumerate(records if isinstance(records, list) else ()):
        if isinstance(record, dict):
            yield from _record(index, record, origin)
            yield from _condition(index, record.get("when"), sources, targets)


def _record(index: int, record: Mapping[str, Any], origin: Name) -> Iterator[str]:
    name, kind, values = record.get("name"), record.get("type"), record.get("value")
    if isinstance(name, str):
        try:
            parse_name(name, origin)
        except NoName as wrong:
            yield f"{key_path('dns', 'records', index, 'name')}: {wrong}"
    if not isinstance(kind, str) or kind not in TYPES:
        return
    for at, value in enumerate(values if isinstance(values, list) else [values]):
        if not isinstance(value, str):
            continue
        where = ("value", at) if isinstance(values, list) else ("value",)
        try:
            parse_data(kind, value, origin)
        except ValueError as wrong:
            yield f"{key_path('dns', 'records', index, *where)}: {wrong}"


def _condition(index: int, when: object, sources: Mapping[str, Any], targets: Mapping[str, Any]) -> Iterator[str]:
    for kind, known in (("source", sources), ("target", targets)):
        name = when.get(kind) if isinstance(when, dict) else None
        if isinstance(name, str) and name not in known:
            where = key_path("dns", "records", index, "when", kind)
            yield f'{where}: unknown {kind} "{name}"{did_you_mean(name, known)}'
