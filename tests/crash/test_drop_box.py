"""The gateway dies while a partner sends a file, and after it said that it has it."""

from __future__ import annotations

from tests.rig.drop_box_case import DropBoxCase


class Dying(DropBoxCase):
    """SIGKILL, and a new start on the same folders."""

    def test_in_the_middle_of_a_file(self) -> None:
        """Nothing is taken; the client goes on with what had come, and the file is whole."""
        self.start()
        client = self.slow_put()
        self.hear_of("begun orders.csv")
        self.kill()
        self.assertNotEqual(client.wait(), 0)
        self.assertLess(self.partial, len(self.data))
        self.start()
        done = self.sftp(f"reput {self.file} /inbox/orders.csv")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.is_taken()

    def test_between_the_close_and_the_source(self) -> None:
        """What was acknowledged is in the inbox, and is taken by the next start."""
        self.start(held=True)
        done = self.sftp(f"put {self.file} /inbox/orders.csv", f"put {self.file} /inbox/later.part")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.kill()
        self.start()
        self.is_taken()
        self.assertEqual([path.name for path in (self.folder / "acme" / "inbox").iterdir()], ["later.part"])
