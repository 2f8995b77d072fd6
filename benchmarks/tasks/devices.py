"""Devices at a line listener, while something else goes on: ``python devices.py PORT CONNECTIONS EVERY``.

Each sends a line, waits for its answer, and sends the next one ``EVERY`` seconds after the one before, until the
listener is gone. Then the moment of each line by the monotonic clock and the seconds to its answer are printed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

LINE = b'{"kind":"count","item":"00042","qty":3,"station":"press-07","shift":"A"}\n'
STARTS_WITHIN = 30.0


async def device(port: int, every: float, found: list[tuple[int, float]]) -> None:
    """Be one device."""
    began = time.monotonic()
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except ConnectionRefusedError:
            if time.monotonic() > began + STARTS_WITHIN:
                raise
            await asyncio.sleep(0.02)
    due = time.monotonic()
    while True:
        sent = time.monotonic()
        try:
            writer.write(LINE)
            answer = await reader.readline()
        except ConnectionError:
            answer = b""
        if not answer:
            writer.close()
            return
        if not answer.startswith(b"OK "):
            raise SystemExit(f"a line was not stored: {answer!r}")
        # From when it was due: one that could not be sent in time has waited as well.
        found.append((round(due * 1e9), time.monotonic() - min(due, sent)))
        due = max(due + every, time.monotonic() - every)
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def main(port: int, connections: int, every: float) -> None:
    """Be all of them."""
    found: list[tuple[int, float]] = []
    await asyncio.gather(*(device(port, every, found) for _ in range(connections)))
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
