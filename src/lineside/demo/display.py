"""What the demonstration shows while it runs, and at its end."""

from __future__ import annotations

from msgspec import Struct
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lineside.demo.reckoning import Reckoning


class Moment(Struct, frozen=True):
    """How it stands: totals since the start, rates over the last interval."""

    seconds: float
    sent: int
    acknowledged: int
    acknowledged_a_second: float
    documents: int
    documents_a_second: float
    lag: int
    """Acknowledged, and no document yet."""
    dead_letters: int
    devices: int
    connected: int
    gateway: str
    erp: str
    kills: int


class Display:
    """Draws each moment anew on a terminal; elsewhere prints a plain line for each."""

    def __init__(self, console: Console, *, chaos: bool) -> None:
        self._console = console
        self._chaos = chaos
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print one line that stays."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def show(self, now: Moment) -> None:
        """Show how it stands."""
        if self._live is None:
            self.say(self._line(now))
        else:
            self._live.update(self._picture(now), refresh=True)

    def reckon(self, result: Reckoning) -> None:
        """Print the ledger."""
        table = Table(title="Ledger", title_justify="left", box=None, show_header=False, pad_edge=False)
        table.add_column()
        table.add_column(justify="right", style="bold")
        table.add_row("lines acknowledged to the devices", str(result.acknowledged))
        table.add_row("documents in the ERP", str(result.documents))
        if result.unanswered:
            table.add_row("lines without an answer (at most one document each)", str(result.unanswered))
        if result.refused:
            table.add_row("lines kept as dead letters", str(result.refused))
        if result.unknown:
            table.add_row("documents that nobody sent", str(result.unknown))
        if result.p50_ms is not None and result.p99_ms is not None:
            table.add_row("from the line to its document, p50", _milliseconds(result.p50_ms))
            table.add_row("from the line to its document, p99", _milliseconds(result.p99_ms))
        self._console.print(table)
        verdict = Text(f"lost {result.lost}, duplicated {result.duplicated}")
        verdict.stylize("bold green" if result.exact else "bold red")
        self._console.print(verdict)

    def _line(self, now: Moment) -> str:
        words = [
            f"{now.seconds:5.0f} s",
            f"acknowledged {now.acknowledged} ({now.acknowledged_a_second:.0f}/s)",
            f"documents {now.documents} ({now.documents_a_second:.0f}/s)",
            f"on their way {now.lag}",
            f"devices {now.connected}/{now.devices}",
        ]
        if self._chaos:
            words += [f"gateway killed {now.kills} times", f"ERP: {now.erp}"]
        if now.dead_letters:
            words.append(f"dead letters {now.dead_letters}")
        return "  ".join(words)

    def _picture(self, now: Moment) -> Group:
        path = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("", "total", "a second"):
            path.add_column(heading, justify="left" if not heading else "right", min_width=10)
        path.add_row(f"{now.connected} of {now.devices} devices connected, lines sent", str(now.sent), "")
        path.add_row(
            "  acknowledged (on the disk)", str(now.acknowledged), f"{now.acknowledged_a_second:.0f}", style="cyan"
        )
        path.add_row("  documents in the ERP", str(now.documents), f"{now.documents_a_second:.0f}", style="green")
        path.add_row("  on their way", str(now.lag), "")
        path.add_row("  dead letters", str(now.dead_letters), "")
        state = Text(f"{now.seconds:.0f} s   gateway {now.gateway}   ERP {now.erp}", style="dim")
        if self._chaos:
            state.append(f"   killed {now.kills} times", style="bold red")
        return Group(path, state)


def _milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
