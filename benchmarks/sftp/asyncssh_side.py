"""asyncssh's SFTP server in a folder: ``asyncssh_side.py FOLDER CIPHER MAC``. Prints its port."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncssh


async def serve(folder: Path, cipher: str, mac: str) -> None:
    """Serve until standard input ends."""

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Server,
        server_host_keys=[str(folder / "host")],
        authorized_client_keys=str(folder / "id.pub"),
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=bytes(folder / "root")),
        encryption_algs=[cipher],
        mac_algs=[mac],
    )
    print(server.get_port(), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
