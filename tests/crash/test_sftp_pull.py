"""Files that a gateway fetches from OpenSSH's server, and deaths of both: each row becomes one event."""

from __future__ import annotations

import json

from tests.rig.dying_case import DyingCase

SOURCE = """
[sources.acme]
type = "sftp-pull"
folder = "{folder}"
every = "100ms"
then = "move"
path = "acme"
"""
ROWS = 7_000
FILES = 3


class Killed(DyingCase):
    """A partner's folder on the host."""

    def setUp(self) -> None:
        super().setUp()
        self.out = self.directory / "out"
        self.out.mkdir()
        self.configure(SOURCE.format(folder=self.out))

    def part(self) -> int:
        """Return how many bytes of a file are here that is being fetched."""
        folder = self.directory / "acme" / ".fetching"
        return max((path.stat().st_size for path in folder.glob("*.fetching")), default=0)

    def moved(self) -> set[str]:
        return {path.name for path in (self.out / "done").glob("*")}

    async def test_each_row_becomes_one_event_whatever_dies(self) -> None:
        """Killed while it fetches, and when a file was moved; the host's process dies too; a file comes again."""
        contents = {
            f"{number}.csv": "".join(["code\n", *(f"{number}-{row:07}-{'x' * 500}\n" for row in range(ROWS))])
            for number in range(FILES)
        }
        for name, content in contents.items():
            (self.out / name).write_text(content)
        self.host.cut_after = 2_800_000
        for deaths in range(FILES):
            gateway = self.run_gateway()
            before = len(self.moved())
            if deaths % 2:
                await self.until(gateway, lambda before=before: len(self.moved()) > before)  # type: ignore[misc]
            else:
                await self.until(gateway, lambda: self.part() > 2_200_000)
            gateway.signal("KILL")
            await gateway.ended()
        gateway = self.run_gateway()
        await self.until(gateway, lambda: self.moved() >= contents.keys())
        (self.out / "again.csv").write_text(contents["1.csv"])
        await self.until(gateway, lambda: "again.csv" in self.moved())
        archive = self.directory / "acme" / "archive"
        await self.until(gateway, lambda: {path.name for path in archive.glob("*.csv")} >= contents.keys())
        gateway.signal("TERM")
        self.assertEqual(0, await gateway.ended())
        told = sorted(json.loads(record.event.body)["code"] for record in await self.journal())
        self.assertEqual(sorted(row for text in contents.values() for row in text.splitlines()[1:]), told)
        archived = {path.name: path.read_text() for path in archive.iterdir()}
        self.assertEqual(contents, archived)
        self.assertIn("pull.resumed", self.said())
        self.assertNotIn("stumbled", self.said())
