"""Exercise 3 (open): a photo in between.

New scanners have a camera. For a damaged parcel they send a line ``PHOTO BOLT-M8 1200``, then 1,200 bytes that are no
lines (they may well hold line feeds), and then go on with lines. `LineReceiver` has a mode for this: see
``setRawMode``, ``rawDataReceived`` and ``setLineMode`` in its documentation.

- ``PHOTO <item> <size>`` is followed by that many raw bytes; then ``self.keep(item, data)`` is called once with all of
  them and the scanner is answered ``OK <size>``. Lines go on right behind the photo's last byte.
- Every other line is answered ``OK``.
- A photo may be 100,000 bytes at most. Greater ones are answered ``ERR`` and the connection is closed: what follows
  could only be misread.
- A photo that is cut off by a lost connection is not kept.
- The network may cut anywhere: within a photo, between photo and line, or not at all.
"""

from twisted.protocols.basic import LineReceiver


class CameraGate(LineReceiver):
    """One scanner's connection, with a camera."""

    delimiter = b"\n"
    MOST = 100_000

    def __init__(self, keep):
        self.keep = keep

    def lineReceived(self, line):
        # TODO
        self.sendLine(b"OK")
