"""The typed operations: what may be asked, and what comes back. Pure values.

A request travels as JSON with its name under ``operation``. HTTP, the operator's shell, live rpc and the
command line only translate into these.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from lineside.operations.fileresults import FileList, FileStory
from lineside.operations.results import (
    AuditPage,
    AuditVerdict,
    CalledErp,
    CommandAnswer,
    CommandState,
    ConnectedDeviceList,
    ConsumerList,
    ConsumerSummary,
    CreatedToken,
    DeadLetterList,
    DeadLetterSummary,
    DeviceCommandList,
    Done,
    EventList,
    EventStory,
    FollowedEvent,
    History,
    Overview,
    Paused,
    SessionList,
    Status,
    TokenList,
    TokenSummary,
)
from lineside.operations.taskresults import (
    AskedRun,
    RunList,
    RunState,
    RunStory,
    RunSummary,
    TaskHistory,
    TaskList,
)
from lineside.operations.zoneresults import ZoneView
from lineside.security.identity import Permission
from lineside.wire.commands import IDENTIFIER

R = TypeVar("R")

Number = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class Request(Struct, Generic[R], frozen=True, tag_field="operation", forbid_unknown_fields=True):
    """Ask for an ``R``."""

    permission: ClassVar[Permission] = "read"
    result: ClassVar[Any]
    looks: ClassVar[bool] = False
    """It changes nothing, whatever permission it needs."""
    told: ClassVar[tuple[str, ...]] = ()
    """The fields that are put on record with it: what it is about, never a payload or a secret."""


class ListEvents(Request[EventList], frozen=True, tag="events.list"):
    """Events above ``after``, or the newest ones, or the newest below ``before``.

    A search looks through a stretch of the journal at a time: it may find nothing and yet have a cursor to go on.
    """

    result: ClassVar[Any] = EventList
    after: Number | None = None
    source: str | None = None
    limit: Number = 50
    before: Number | None = None
    device: str | None = None
    contains: Annotated[str, Meta(min_length=1)] | None = None
    """In the event's key, device, JSON or raw bytes; ASCII letters in any case."""
    undecodable: bool = False
    """Only those."""


class ShowEvent(Request[EventStory], frozen=True, tag="events.show"):
    """One event's whole story."""

    result: ClassVar[Any] = EventStory
    seq: Number


class TailEvents(Request[FollowedEvent], frozen=True, tag="events.tail"):
    """A stream: the newest ``last`` events or those above ``after``, then each as it is committed.

    An event that not all routes have decided on comes a second time when they have.
    """

    result: ClassVar[Any] = FollowedEvent
    source: str | None = None
    device: str | None = None
    last: Number = 10
    after: Number | None = None


class ListDeadLetters(Request[DeadLetterList], frozen=True, tag="deadletters.list"):
    """Dead letters above the id ``after``; of one route, or with "" of none."""

    result: ClassVar[Any] = DeadLetterList
    after: Number = 0
    route: str | None = None
    limit: Number = 50


class ShowDeadLetter(Request[DeadLetterSummary], frozen=True, tag="deadletters.show"):
    """One dead letter with the target's own words."""

    result: ClassVar[Any] = DeadLetterSummary
    id: Number


class RetryDeadLetters(Request[Done], frozen=True, tag="deadletters.retry"):
    """Deliver again, or decode again with today's configuration; no ids means all."""

    permission: ClassVar[Permission] = "operate"
    result: ClassVar[Any] = Done
    told: ClassVar[tuple[str, ...]] = ("ids", "route")
    ids: list[Number] | None = None
    route: str | None = None


class DiscardDeadLetters(Request[Done], frozen=True, tag="deadletters.discard"):
    """Remove for good; no ids means all."""

    permission: ClassVar[Permission] = "operate"
    result: ClassVar[Any] = Done
    told: ClassVar[tuple[str, ...]] = ("ids", "route")
    ids: list[Number] | None = None
    route: str | None = None


class ListFiles(Request[FileList], frozen=True, tag="files.list"):
    """The newest files that partners sent, of one source or of all, below the id ``before``."""

    result: ClassVar[Any] = FileList
    source: str | None = None
    before: Number | None = None
    limit: Number = 50


class ShowFile(Request[FileStory], frozen=True, tag="files.show"):
    """One file, with what became of its rows above ``after``."""

    result: ClassVar[Any] = FileStory
    id: Number
    after: Number = 0
    limit: Number = 100


class ListConsumers(Request[ConsumerList], frozen=True, tag="consumers.list"):
    """Every place in the journal that is remembered."""

    result: ClassVar[Any] = ConsumerList


class ForgetConsumer(Request[ConsumerSummary], frozen=True, tag="consumers.forget"):
    """Remove the place of a route that is no longer configured."""

    permission: ClassVar[Permission] = "administer"
    result: ClassVar[Any] = ConsumerSummary
    told: ClassVar[tuple[str, ...]] = ("id",)
    id: str


class RewindConsumer(Request[ConsumerSummary], frozen=True, tag="consumers.rewind"):
    """Deliver again what came after ``to``; only while no gateway runs."""

    permission: ClassVar[Permission] = "administer"
    result: ClassVar[Any] = ConsumerSummary
    told: ClassVar[tuple[str, ...]] = ("id", "to")
    id: str
    to: Number


class ShowStatus(Request[Status], frozen=True, tag="status"):
    """What a running gateway does at present."""

    result: ClassVar[Any] = Status


class ShowOverview(Request[Overview], frozen=True, tag="overview"):
    """Sources, devices, journal, routes, targets and alarms of a running gateway at this moment."""

    result: ClassVar[Any] = Overview
    devices: Number = 20
    """At most so many."""
    order: Literal["busiest", "silent"] = "busiest"
    """Which devices."""


class ShowHistory(Request[History], frozen=True, tag="history"):
    """Rates, lag and dead letters of the last hour, for charts."""

    result: ClassVar[Any] = History


class Pause(Request[Paused], frozen=True, tag="pause"):
    """Stop a source, a route, or everything that goes to a target, until it is resumed; nothing is lost."""

    permission: ClassVar[Permission] = "operate"
    result: ClassVar[Any] = Paused
    told: ClassVar[tuple[str, ...]] = ("kind", "id")
    kind: Literal["source", "route", "target"]
    id: str


class Resume(Request[Paused], frozen=True, tag="resume"):
    """Let a source, a route or a target work again."""

    permission: ClassVar[Permission] = "operate"
    result: ClassVar[Any] = Paused
    told: ClassVar[tuple[str, ...]] = ("kind", "id")
    kind: Literal["source", "route", "target"]
    id: str


class ListSessions(Request[SessionList], frozen=True, tag="sessions.list"):
    """Show who is logged in."""

    permission: ClassVar[Permission] = "administer"
    looks: ClassVar[bool] = True
    result: ClassVar[Any] = SessionList


class RevokeSession(Request[SessionList], frozen=True, tag="sessions.revoke"):
    """End a session, or all of a user, at once."""

    permission: ClassVar[Permission] = "administer"
    result: ClassVar[Any] = SessionList
    told: ClassVar[tuple[str, ...]] = ("session",)
    session: Annotated[str, Meta(min_length=1, max_length=140)]
    """Its id, or the user's name in the ERP."""


class CreateToken(Request[CreatedToken], frozen=True, tag="tokens.create"):
    """Make an API token."""

    permission: ClassVar[Permission] = "administer"
    result: ClassVar[Any] = CreatedToken
    told: ClassVar[tuple[str, ...]] = ("name", "role", "sources", "seconds")
    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
    role: Literal["viewer", "operator", "admin", "device"]
    sources: list[str] | None = None
    """For the role device: the only sources that it may send to."""
    seconds: Annotated[int, Meta(ge=1, le=100 * 366 * 86_400)] | None = None
    """Until it expires; without it never."""


class ListTokens(Request[TokenList], frozen=True, tag="tokens.list"):
    """API tokens, without what makes them worth anything."""

    permission: ClassVar[Permission] = "administer"
    result: ClassVar[Any] = TokenList
    looks: ClassVar[bool] = True


class RevokeToken(Request[TokenSummary], frozen=True, tag="tokens.revoke"):
    """Make an API token worthless at once."""

    permission: ClassVar[Permission] = "administer"
    result: ClassVar[Any] = TokenSummary
    told: ClassVar[tuple[str, ...]] = ("token",)
    token: str
    """Its name or id."""


class ListDevices(Request[ConnectedDeviceList], frozen=True, tag="devices.list"):
    """Devices that are connected now."""

    result: ClassVar[Any] = ConnectedDeviceList
    source: str | None = None
    limit: Number = 1000


class CommandDevice(Request[CommandAnswer], frozen=True, tag="devices.command"):
    """Send a command to a connected device, at most once, and wait for its answer."""

    permission: ClassVar[Permission] = "operate"
    result: ClassVar[Any] = CommandAnswer
    told: ClassVar[tuple[str, ...]] = ("device", "source", "id", "expires", "wait")
    device: Annotated[str, Meta(min_length=1)]
    payload: Any = ""
    """A text goes out as it stands, any other JSON value as compact JSON."""
    source: str | None = None
    """Where the device is connected; only needed where more than one source has a device of this name."""
    expires: Annotated[float, Meta(gt=0, le=600)] | None = None
    """Seconds in which it is to be answered; without it as the source says."""
    id: Annotated[str, Meta(pattern=IDENTIFIER)] | None = None
    """Chosen by the one who sends: a second command with one id is refused. Without it one is made."""
    wait: bool = True
    """False: return as soon as it is on record, and leave it to `devices.commands` what becomes of it."""


class ListDeviceCommands(Request[DeviceCommandList], frozen=True, tag="devices.commands"):
    """Commands to devices and what became of them, the newest first."""

    result: ClassVar[Any] = DeviceCommandList
    id: str | None = None
    device: str | None = None
    source: str | None = None
    state: CommandState | None = None
    before: Number | None = None
    limit: Number = 50


class CallErp(Request[CalledErp], frozen=True, tag="erp.call"):
    """Have the ERP carry out a method that the configuration allows by a name, once."""

    permission: ClassVar[Permission] = "consult"
    """The least: each name needs what the configuration says."""
    result: ClassVar[Any] = CalledErp
    told: ClassVar[tuple[str, ...]] = ("name",)
    name: str
    params: dict[str, Any] = {}


TaskName = Annotated[str, Meta(min_length=1, max_length=100)]


class ListTasks(Request[TaskList], frozen=True, tag="tasks.list"):
    """Every task with what its runs do, and when it is due next."""

    result: ClassVar[Any] = TaskList
    upcoming: Annotated[int, Meta(ge=0, le=100)] = 5
    """At most so many moments for each."""
    totals: bool = True
    """Whether to count runs that have ended too, which takes the longer the more are kept."""


class RunTask(Request[AskedRun], frozen=True, tag="tasks.run"):
    """Ask for a run of a task; the answer comes when it is stored, not when it has ended."""

    permission: ClassVar[Permission] = "operate"
    result: ClassVar[Any] = AskedRun
    told: ClassVar[tuple[str, ...]] = ("task", "delay")
    task: TaskName
    params: dict[str, Any] | None = None
    """Override the task's own."""
    delay: Annotated[float, Meta(ge=0, le=366 * 86_400)] = 0.0
    """Seconds until it is due."""


class ListRuns(Request[RunList], frozen=True, tag="tasks.runs"):
    """Runs, the newest first: of one task, in one state, below the number ``before``."""

    result: ClassVar[Any] = RunList
    task: TaskName | None = None
    state: RunState | None = None
    before: Number | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50


class ShowTaskHistory(Request[TaskHistory], frozen=True, tag="tasks.history"):
    """How the newest runs of each task went that have ended: their states, and how long they took."""

    result: ClassVar[Any] = TaskHistory
    task: TaskName | None = None
    """This one alone."""
    limit: Annotated[int, Meta(ge=1, le=500)] = 60
    """At most so many runs of each."""


class ShowRun(Request[RunStory], frozen=True, tag="tasks.show"):
    """One run with its parameters, log, steps and result."""

    result: ClassVar[Any] = RunStory
    run: Number


class FollowRun(Request[RunSummary], frozen=True, tag="tasks.follow"):
    """A stream: one run as it is, then each change, the last when it has ended."""

    result: ClassVar[Any] = RunSummary
    run: Number


class CancelRun(Request[RunSummary], frozen=True, tag="tasks.cancel"):
    """Let a run end: at once where it waits, as soon as it can where it runs."""

    permission: ClassVar[Permission] = "operate"
    result: ClassVar[Any] = RunSummary
    told: ClassVar[tuple[str, ...]] = ("run",)
    run: Number


class RetryRun(Request[RunSummary], frozen=True, tag="tasks.retry"):
    """Run once more what failed, was cancelled or interrupted; finished steps are not repeated."""

    permission: ClassVar[Permission] = "operate"
    result: ClassVar[Any] = RunSummary
    told: ClassVar[tuple[str, ...]] = ("run",)
    run: Number


class PauseTask(Request[Paused], frozen=True, tag="tasks.pause"):
    """Begin no more runs of a task until it is resumed; those asked for wait."""

    permission: ClassVar[Permission] = "operate"
    result: ClassVar[Any] = Paused
    told: ClassVar[tuple[str, ...]] = ("task",)
    task: TaskName


class ResumeTask(Request[Paused], frozen=True, tag="tasks.resume"):
    """Let runs of a task begin again."""

    permission: ClassVar[Permission] = "operate"
    result: ClassVar[Any] = Paused
    told: ClassVar[tuple[str, ...]] = ("task",)
    task: TaskName


class ListAudit(Request[AuditPage], frozen=True, tag="audit.list"):
    """Who did what from where, the newest first: of one person or program, of one kind, below ``before``."""

    permission: ClassVar[Permission] = "administer"
    result: ClassVar[Any] = AuditPage
    looks: ClassVar[bool] = True
    who: str | None = None
    what: str | None = None
    before: Number | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50


class VerifyAudit(Request[AuditVerdict], frozen=True, tag="audit.verify"):
    """Whether the record of who did what is as it was written; with a number, whether its hash is the one given."""

    permission: ClassVar[Permission] = "administer"
    result: ClassVar[Any] = AuditVerdict
    looks: ClassVar[bool] = True
    number: Number = 0
    hash: Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")] | None = None
    """That was noted for this number; without it the chain alone is verified."""


class ShowZone(Request[ZoneView], frozen=True, tag="dns.zone"):
    """The records that DNS answers now, and what has left them."""

    result: ClassVar[Any] = ZoneView


AnyRequest = (
    ListEvents
    | ShowEvent
    | TailEvents
    | ListDeadLetters
    | ShowDeadLetter
    | RetryDeadLetters
    | DiscardDeadLetters
    | ListConsumers
    | ListFiles
    | ShowFile
    | ForgetConsumer
    | RewindConsumer
    | ShowStatus
    | ShowOverview
    | ShowHistory
    | Pause
    | Resume
    | ListSessions
    | RevokeSession
    | CreateToken
    | ListTokens
    | RevokeToken
    | ListDevices
    | CommandDevice
    | ListDeviceCommands
    | CallErp
    | ListTasks
    | RunTask
    | ListRuns
    | ShowTaskHistory
    | ShowRun
    | FollowRun
    | CancelRun
    | RetryRun
    | PauseTask
    | ResumeTask
    | ListAudit
    | VerifyAudit
    | ShowZone
)
