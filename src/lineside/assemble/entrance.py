"""By what whoever asks is known: API tokens, and sessions of people whose passwords the ERP checks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twisted.logger import Logger

from lineside.assemble.edges import passwords
from lineside.assemble.parts import JournalPart
from lineside.assemble.settings import Settings
from lineside.operations.audit import Audit
from lineside.operations.logins import LogIns
from lineside.operations.registry import Operations
from lineside.operations.sessions import SessionOperations
from lineside.operations.tokens import TokenOperations

if TYPE_CHECKING:
    from lineside.assemble.edges import TargetPart

log = Logger()


class Entrance:
    """The tokens and the sessions of a gateway, and who lets people in.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: of the whole gateway.
        store: the journal, which keeps their sessions.
        targets: the ERP's sites among them.
        audit: the record of who did what.
        operations: those on tokens and sessions are added.

    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        store: JournalPart,
        targets: Mapping[str, TargetPart],
        audit: Audit,
        operations: Operations,
    ) -> None:
        self.tokens = TokenOperations(store.database, settings.sources, time.time_ns)
        self.tokens.register(operations)
        self.sessions = SessionOperations(store.database, time.time_ns)
        self.log_ins: LogIns | None = None
        """None where the configuration lets nobody log in."""
        http = settings.http
        if http is None or http.login is None:
            self.sessions.register(operations)
            return
        login = http.login
        name = login.target or next(iter(settings.sites))
        oracle = passwords(targets[name])
        self.sessions = SessionOperations(
            store.database,
            time.time_ns,
            login.roles.by_role(),
            oracle,
            idle=login.idle,
            lifetime=login.lifetime,
        )
        self.sessions.register(operations)
        self.log_ins = LogIns(
            oracle,
            self.sessions,
            audit,
            reactor.seconds,
            urlsplit(settings.sites[name].url).netloc,
            proxied=login.behind_tls,
        )
        if login.insecure and http.tls is None and not login.behind_tls:
            log.warn(
                "login.insecure",
                listen=http.listen,
                remedy="set `tls` in [http]: everyone between a browser and the gateway can read passwords",
            )
