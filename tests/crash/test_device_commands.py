"""A gateway that dies while a command to a device is under way."""

from __future__ import annotations

from tests.rig.command_case import CommandCase


class Killed(CommandCase):
    """At most once, over any death."""

    async def test_a_command_is_never_sent_a_second_time(self) -> None:
        """It was written, then came SIGKILL: it is unknown from then on, and the device hears no more of it.

        What waited behind it was never sent, and is not either.
        """
        asking = [
            self.program("devices", "command", "s-1", f"OPEN {number}", "--id", f"c-{number}") for number in (1, 2)
        ]
        # Which one comes first is the operating system's choice.
        word, sent, _ = (await self.scale.line()).split(b" ", 2)
        self.assertEqual(word, b"CMD")
        waits = "c-2" if sent == b"c-1" else "c-1"
        await self.listed(waits)
        await self.gateway.end("KILL")
        await self.scale.gone
        for each in asking:
            self.assertEqual(
                (await each.ended(), each.other), (1, ["lineside: the gateway went away before it answered"])
            )
        await self.start_gateway()
        self.assertEqual(
            {each["id"]: (each["state"], each["sent"] is None) for each in await self.commands()},
            {sent.decode(): ("unknown", False), waits: ("unsent", True)},
        )
        # The next thing that the device hears is the next command, and nothing comes between.
        again = self.program("devices", "command", "s-1", "CLOSE", "--id", "c-3")
        self.assertEqual(await self.scale.reply(b"closed"), b"CLOSE")
        self.assertEqual((await again.ended(), again.other), (0, ["closed"]))
        twice = self.program("devices", "command", "s-1", "OPEN", "--id", sent.decode())
        self.assertEqual(await twice.ended(), 1)
        self.assertIn("which is unknown; this one was not sent", twice.other[0])
        self.scale.sendLine(b'{"scale":"s-1"}')
        self.assertRegex(await self.scale.line(), rb"OK \d+")

    async def listed(self, identifier: str) -> None:
        """Return when a command is on record."""
        while not [each for each in await self.commands() if each["id"] == identifier]:
            pass

    async def commands(self) -> list[dict[str, object]]:
        """Return what is on record."""
        return await self.printed("devices", "commands", "--json")
