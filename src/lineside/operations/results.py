"""What the typed operations answer. Pure values; a request names its result in `lineside.operations.requests`."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from lineside.security.audit import State


class EventSummary(Struct, frozen=True):
    """One event in a list."""

    seq: int
    source: str
    received: str
    """ISO 8601, UTC."""
    device: str | None
    key: str | None
    body: str
    """The event's JSON; for an undecodable one what was received, bad bytes escaped."""
    error: str | None


class EventList(Struct, frozen=True):
    """Events by ascending sequence."""

    events: list[EventSummary]
    next_after: int
    """What came later lies above."""
    head: int
    next_before: int | None = None
    """Older ones lie below; None where there are none, or the question was for what lies above ``after``."""


class DeliveryStory(Struct, frozen=True):
    """What one route did with an event."""

    route: str
    state: Literal["delivered", "dead", "retrying", "discarded", "skipped", "pending", "closed"]
    """``skipped``: the route's condition is false. ``discarded``: a person gave it up. ``closed``: nothing is owed,
    though there is no document: the event is older than the route."""
    name: str | None = None
    """The document in the target."""
    found: bool = False
    attempts: int = 0
    at: str | None = None
    reason: str | None = None
    dead_letter: int | None = None
    altered: list[str] = []
    """Fields of the document that did not hold what was sent, when it was stored."""
    link: str | None = None
    """Where people see the document."""


class EventStory(Struct, frozen=True):
    """Everything known of one event."""

    event: EventSummary
    identity: str
    raw: str | None
    deliveries: list[DeliveryStory]


class FollowedEvent(Struct, frozen=True):
    """One event of a stream, with what has become of it so far."""

    event: EventSummary
    deliveries: list[DeliveryStory]
    again: bool = False
    """It was told before; now every route has decided."""


class DeadLetterSummary(Struct, frozen=True):
    """One event that waits for a person."""

    id: int
    seq: int
    source: str
    route: str | None
    """None if it could not even be decoded."""
    code: str
    reason: str
    attempts: int
    at: str
    retrying: bool
    body: str
    """As in `EventSummary`; in a list its beginning only."""
    reply: str | None = None


class DeadLetterList(Struct, frozen=True):
    """Dead letters by ascending id."""

    dead_letters: list[DeadLetterSummary]
    total: int


class Done(Struct, frozen=True):
    """How many dead letters a command reached."""

    done: int
    skipped: list[str]
    """Why some were left as they are, a line each."""


class SourceStatus(Struct, frozen=True):
    """A source at work."""

    id: str
    address: str
    connections: int
    received: int
    undecodable: int
    problem: str | None = None
    """What hinders it: the device it dials is not there, datagrams were dropped, the disk refuses."""
    rate: float = 0.0
    """Lines a second over the last minute."""
    last_seen: str | None = None
    """When something last came; None where nothing has since the start."""
    silent: list[str] = []
    """What was not heard for longer than it should: the source itself, as ``""``, or devices."""
    paused: bool = False
    """A person stopped it."""
    files_waiting: int | None = None
    """Files whose rows are not all read; None where it takes no files."""
    last_file: str | None = None
    """The name of the file that came last since the start."""


class RouteStatus(Struct, frozen=True):
    """A route at work; counts are since the start."""

    id: str
    target: str
    floor: int
    pending: int
    delivered: int
    refused: int
    retried: int
    problem: str | None
    paced: str | None = None
    """How requests are held back, so that the target's rate limit is kept."""
    altered: int = 0
    """Documents that do not hold what was sent."""
    warning: str | None = None
    """Which of their fields."""
    paused: bool = False
    """A person stopped it."""


class ConsumerSummary(Struct, frozen=True):
    """A route's place in the journal."""

    id: str
    route: bool
    """Whether the configuration still has a route of this id; if not, its place keeps events from being removed."""
    floor: int
    """Nothing at or below is owed."""
    head: int
    gaps: int
    """Records that wait one by one: in backoff, or behind one of their key that is."""
    backlogs: int
    """Keys whose further records wait in the journal."""
    dead_letters: int


class ConsumerList(Struct, frozen=True):
    """Consumers by name."""

    consumers: list[ConsumerSummary]


class KeptBy(Struct, frozen=True):
    """A route that owes events, and so keeps them from being removed."""

    route: str
    floor: int
    """It keeps what lies above."""
    configured: bool


class JournalStatus(Struct, frozen=True):
    """What the journal holds; sizes are in bytes."""

    size: int
    """Of its file."""
    used: int
    """Of the file, by what is kept."""
    disk_free: int
    oldest: int
    """The oldest event's sequence; 0 while there is none."""
    oldest_at: str | None
    kept_by: list[KeptBy]
    """The one that keeps most comes first."""
    problem: str | None
    """Why it takes no events at present."""


class Status(Struct, frozen=True):
    """The gateway at a glance."""

    epoch: str
    head: int
    dead_letters: int
    sources: list[SourceStatus]
    routes: list[RouteStatus]
    journal: JournalStatus | None = None


class SourceView(Struct, frozen=True):
    """A source in the last second and the last minute. Rates are a second, times are seconds."""

    id: str
    address: str
    connections: int
    rate: float
    """In the last second that is over."""
    rate_minute: float
    undecodable_minute: float
    devices: int
    """How many are known; of more than are kept one by one, those that come again count again."""
    silent: list[str]
    """As in `SourceStatus`."""
    silent_for: float | None
    """Since something last came; None where nothing has since the start."""
    last_seen: str | None
    commit_p50: float | None
    """From a line's arrival until it is on the disk, in the last minute."""
    commit_p99: float | None
    paused: bool = False
    files_waiting: int | None = None
    """As in `SourceStatus`."""


class DeviceView(Struct, frozen=True):
    """A device of a source."""

    source: str
    device: str
    peer: str | None
    """Where it connected from; None where it was not heard since the start."""
    rate: float
    """Lines a second, over about a minute."""
    lines: int
    """Since the start."""
    silent_for: float
    """Seconds since it was last heard."""
    last_seen: str
    silent: bool
    """For longer than it should be."""


class JournalView(Struct, frozen=True):
    """The journal."""

    head: int
    size: int
    """Bytes of the file."""
    unused: int
    """Bytes of it that hold nothing, and are used next."""
    rate: float
    rate_minute: float


class RouteView(Struct, frozen=True):
    """A route, and what waits for it."""

    id: str
    target: str
    rate_minute: float
    """Documents a second, over the last minute."""
    waiting: int
    """Events that it has not decided on yet, whether they are its business or not."""
    more: bool
    """There are still more, too many to count."""
    oldest: float | None
    """Seconds since the oldest of them arrived."""
    dead_letters: int
    problem: str | None
    paused: bool = False


class TargetView(Struct, frozen=True):
    """A target as all routes to it see it."""

    id: str
    state: Literal["open", "down", "blocked", "not asked yet"]
    in_use: int
    """Deliveries under way."""
    limit: int
    """As many as it bears best at a time."""
    p50: float | None
    """Seconds that a delivery takes, in the last minute."""
    p99: float | None
    paced: str | None
    """How its rate limit holds deliveries back."""
    problem: str | None
    paused: bool = False


class Alarm(Struct, frozen=True):
    """Something in the log that is a warning or worse."""

    at: str
    level: str
    event: str
    facts: str


class TasksView(Struct, frozen=True):
    """What tasks do at this moment."""

    running: int
    queued: int
    """Runs that are due, or will be."""
    failed: int
    """Runs that failed or were interrupted within a day, and were not run again since."""
    next: str | None
    """When the next one is due by its schedule; None where none is."""
    next_task: str | None


class Overview(Struct, frozen=True):
    """The whole gateway at this moment."""

    at: str
    uptime: float
    """Seconds since the start."""
    journal: JournalView
    sources: list[SourceView]
    devices: list[DeviceView]
    routes: list[RouteView]
    targets: list[TargetView]
    alarms: list[Alarm]
    """The newest first."""
    dead_letters: int
    live: bool = False
    """There are live channels."""
    tasks: TasksView | None = None
    """None where none are configured."""


class History(Struct, frozen=True):
    """The last hour; every list has as many items as ``at``, the oldest first."""

    every: float
    """Seconds between two moments."""
    at: list[float]
    """Seconds since 1970."""
    sources: dict[str, list[float]]
    """Lines a second."""
    routes: dict[str, list[float]]
    """Documents a second."""
    lag: dict[str, list[float]]
    """Seconds that a route's oldest event has waited."""
    dead_letters: list[int]


class Paused(Struct, frozen=True):
    """A source, route or target, and whether it is paused."""

    kind: str
    id: str
    since: str | None
    """None where it works."""


class SessionSummary(Struct, frozen=True):
    """Somebody who is logged in."""

    id: str
    user: str
    full_name: str
    role: str
    where: str
    """From where they logged in."""
    created: str
    seen: str
    """When something was asked in it last."""


class SessionList(Struct, frozen=True):
    """Who is logged in."""

    sessions: list[SessionSummary]


class TokenSummary(Struct, frozen=True):
    """An API token, without what makes it one."""

    id: str
    name: str
    role: str
    sources: list[str] | None
    """The only ones that its holder may send to; None for all."""
    created: str
    expires: str | None
    expired: bool


class TokenList(Struct, frozen=True):
    """API tokens by name."""

    tokens: list[TokenSummary]


class CreatedToken(Struct, frozen=True):
    """A new API token."""

    text: str
    """What its holder sends; it is told this once."""
    token: TokenSummary


CommandState = Literal["queued", "sent", "answered", "failed", "expired", "unsent", "unknown"]
"""What became of a command to a device.

``failed``: the device answered with an error. ``expired``: it was sent, and no answer came in time. ``unsent``: it
never left the gateway, and never will. ``unknown``: it was sent, and then the connection or the gateway was lost.
"""


class DeviceCommand(Struct, frozen=True):
    """A command to a device as it is on record; what was in it, and what was answered, is kept nowhere."""

    id: str
    device: str
    source: str
    by: str
    """Who gave it."""
    state: CommandState
    at: str
    """When it was given. ISO 8601, UTC, as the others."""
    expires: float
    """For so many seconds from then on it could be sent and answered."""
    size: int
    """Bytes of its payload."""
    sent: str | None
    """When it was about to be written to the connection; None where it was not."""
    ended: str | None
    reason: str | None
    """Why it was not answered, in the device's words where it said so."""
    reply_size: int | None
    """Bytes of the reply."""
    late: str | None
    """When a reply came after the end; nobody was told what it says."""


class DeviceCommandList(Struct, frozen=True):
    """Commands, the newest first."""

    commands: list[DeviceCommand]
    next_before: int | None
    """Older ones come with this as ``before``; None where there are none."""


class CommandAnswer(Struct, frozen=True):
    """What a device answered, or that its command waits its turn."""

    id: str
    device: str
    source: str
    state: Literal["queued", "answered"]
    reply: str | None = None
    took: float | None = None
    """Seconds from the order to the reply."""


class ConnectedDevice(Struct, frozen=True):
    """A device that is connected now."""

    source: str
    device: str
    peer: str
    """Where it connected from."""
    commands: bool
    """Whether its source sends commands."""
    waiting: int
    """Commands to it that are under way or wait their turn."""


class ConnectedDeviceList(Struct, frozen=True):
    """Devices that are connected now, by source and name."""

    devices: list[ConnectedDevice]
    total: int


class CalledErp(Struct, frozen=True):
    """What the ERP answered to a call."""

    name: str
    answer: Any
    """What its method returned; None where it returned nothing."""


class AuditEntry(Struct, frozen=True):
    """One act on record."""

    number: int
    at: str
    who: str
    role: str
    where: str
    what: str
    state: State
    facts: dict[str, Any]
    """About what; of an end ``of``, the number of the entry that it ends."""
    hash: str


class AuditPage(Struct, frozen=True):
    """Acts on record, the newest first."""

    entries: list[AuditEntry]
    next_before: int | None
    """Where older ones go on."""


class AuditVerdict(Struct, frozen=True):
    """Whether the record is as it was written."""

    entries: int
    """That follow from one another."""
    first: int
    last: int
    """0 where there is none."""
    hash: str
    """Of the last one: noted elsewhere, it tells later whether the record was cut off or made anew."""
    broken: int | None = None
    """The first number where it does not hold."""
    why: str | None = None


class SshCounts(Struct, frozen=True):
    """Who is at the SSH server, and who came since its start."""

    connections: int = 0
    users: int = 0
    """Of the connections those that have logged in."""
    logged_in: int = 0
    failed: int = 0
    """Log-ins."""
    turned_away: int = 0
    """Connections that were one too many."""
