"""`lineside run`: the gateway."""

from __future__ import annotations

import faulthandler
import os
from pathlib import Path
from typing import Any, Literal

import click
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from lineside.assemble import logging
from lineside.assemble.build import Gateway
from lineside.assemble.lifecycle import System, allow_many_connections
from lineside.assemble.settings import Settings
from lineside.cli.session import config_option, run_command, settings_of
from lineside.edges.systemd.notify import supervision

log = Logger()


@click.command(epilog="Example: lineside run -c lineside.toml --log-format json")
@config_option
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warn", "error"]), default="info", show_default=True
)
def command(config: Path, log_format: Literal["text", "json"], log_level: str) -> None:
    """Run the gateway until SIGTERM or Ctrl-C, which let it finish what it has begun."""
    settings = settings_of(config, secrets=True)
    logging.begin(log_format, log_level)
    descriptors = allow_many_connections()
    # A watchdog ends what is stuck by SIGABRT: the log then shows where each thread was.
    faulthandler.enable()
    run_command(_run, settings, descriptors)


async def _run(reactor: Any, settings: Settings, descriptors: int) -> None:
    gateway = Gateway(reactor, settings, supervision(os.environ, os.getpid()), descriptors=descriptors)
    system = System(gateway.stages)
    stopped: Deferred[None] = Deferred()

    def ended(result: object) -> None:
        log.info("gateway.stopped")
        stopped.callback(None)

    def stop() -> Deferred[None]:
        log.info("gateway.stopping")
        stopping = Deferred.fromCoroutine(system.stop())
        stopping.addBoth(ended)
        return stopping

    reactor.addSystemEventTrigger("before", "shutdown", stop)
    if await system.start():
        gateway.announce()
    await stopped
