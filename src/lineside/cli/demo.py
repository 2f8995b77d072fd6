"""`lineside demo`: the main job in one terminal."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from twisted.internet.defer import Deferred

from lineside.assemble import logging
from lineside.cli.session import print_json, run_command
from lineside.demo.display import Display
from lineside.demo.show import Demonstration, Plan


@click.command(epilog="Example: lineside demo --seconds 20 --chaos")
@click.option("--seconds", type=click.FloatRange(min=1), help="End after so long; by default at Ctrl-C.")
@click.option("--devices", type=click.IntRange(2, 200), default=6, show_default=True)
@click.option(
    "--rate", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Lines a second of each device."
)
@click.option("--chaos", is_flag=True, help="Kill the gateway with SIGKILL at random moments; trouble the ERP.")
@click.option("--seed", type=int, help="Repeat the same randomness.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep journal, ERP and logs here.")
@click.option("--json", "as_json", is_flag=True, help="Print the ledger as JSON.")
def command(
    seconds: float | None,
    devices: int,
    rate: float,
    chaos: bool,
    seed: int | None,
    keep: Path | None,
    as_json: bool,
) -> None:
    """Watch lines become documents: an ERP stand-in, the gateway and devices, and the ledger at the end.

    Exits with 1 unless every acknowledged line is exactly one document. The ledger is counted from the
    devices' own records and the ERP's own rows.
    """
    logging.begin("text", "error")
    if keep is not None:
        keep = keep.absolute()
        keep.mkdir(parents=True, exist_ok=True)
    run_command(_run, Plan(seconds, devices, rate, chaos, seed=seed), keep, as_json)


async def _run(reactor: Any, plan: Plan, keep: Path | None, as_json: bool) -> None:
    directory = Path(tempfile.mkdtemp(prefix="lineside-demo-")) if keep is None else keep
    display = Display(Console(stderr=as_json), chaos=plan.chaos)
    demonstration = Demonstration(reactor, plan, directory, display)
    finished: Deferred[None] = Deferred()

    def interrupted() -> Deferred[None]:
        # Ctrl-C ends the sending; the reactor then waits for the ledger.
        demonstration.end()
        return finished

    reactor.addSystemEventTrigger("before", "shutdown", interrupted)
    exact = False
    try:
        with display:
            result = await demonstration.run()
        exact = result.exact
        display.reckon(result)
        if as_json:
            print_json(result)
    finally:
        if keep is None and exact:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            display.say(f"everything is kept in {directory}")
        reactor.callLater(0, finished.callback, None)
    if not exact:
        raise SystemExit(1)
