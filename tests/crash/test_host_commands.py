"""Lines of a legacy host, and deaths of the gateway and of the host's server: what is lost, and what is not."""

from __future__ import annotations

import json

from tests.rig.dying_case import DyingCase

SOURCE = """
[sources.scale]
type = "ssh-command"
"""
DEATHS = 2
EACH = 400


class Killed(DyingCase):
    """A log on the host."""

    def setUp(self) -> None:
        super().setUp()
        self.log = self.directory / "scale.log"
        self.log.touch()

    def write(self, numbers: range) -> None:
        with self.log.open("a") as file:
            file.write("".join(f'{{"n": {number}}}\n' for number in numbers))

    async def live(self, way: str) -> list[int]:
        """Let the log grow while gateways are killed, and the host's processes; return what was stored."""
        self.configure(SOURCE + way.replace("LOG", str(self.log)) + "\n")
        written = 0
        for death in range(DEATHS):
            gateway = self.run_gateway()
            visits = self.host.visits
            await self.until(gateway, lambda visits=visits: self.host.visits > visits)  # type: ignore[misc]
            for step in range(death + 2):
                before = self.stored()
                self.write(range(written, written + EACH))
                written += EACH
                # In the midst of what is stored at each write.
                await self.until(gateway, lambda before=before: self.stored() != before)  # type: ignore[misc]
                if step == 1 and self.host.sessions:
                    self.host.sessions[-1].kill()
            gateway.signal("KILL")
            await gateway.ended()
        ready = self.said().count("gateway.ready")
        gateway = self.run_gateway()
        # Before that, whoever asks for events would read the journal itself, and hold it.
        await self.until(gateway, lambda: self.said().count("gateway.ready") > ready)
        await self.until(gateway, lambda: self.peek() >= written)
        gateway.signal("TERM")
        self.assertEqual(0, await gateway.ended())
        self.assertNotIn("stumbled", self.said())
        return [json.loads(record.event.body)["n"] for record in await self.journal()] + [-written]

    def stored(self) -> int:
        """Return what changes with each commit."""
        wal = self.directory / "journal.db-wal"
        return wal.stat().st_mtime_ns if wal.exists() else 0

    def peek(self) -> int:
        """Return how many lines a gateway that runs says that it has; none while it does not."""
        done = self.nursery.run(["events", "list", "--limit", "1", "--json", "-c", str(self.config)], {}, 30.0)
        lines = done.out.splitlines()
        return json.loads(lines[-1])["seq"] if done.code == 0 and lines else 0

    async def test_each_line_of_a_followed_file_is_one_event(self) -> None:
        """Without any key: how far it was taken dies and lives with the events."""
        *told, written = await self.live("follow = 'LOG'\nevery = '100ms'")
        self.assertEqual(list(range(-written)), told)

    async def test_each_line_of_a_command_that_repeats_all_is_one_event(self) -> None:
        """By the key in each line: the command says all of it again, and what is known is passed."""
        *told, written = await self.live("command = 'tail -n +1 -F LOG'\ndedupe = 'n'")
        self.assertEqual(list(range(-written)), sorted(told))
