"""Solution of exercise 3: a photo in between."""

from twisted.protocols.basic import LineReceiver


class CameraGate(LineReceiver):
    """One scanner's connection, with a camera."""

    delimiter = b"\n"
    MOST = 100_000

    def __init__(self, keep):
        self.keep = keep
        self.item = None
        self.missing = 0
        self.pieces = []  # joined once: adding to bytes would copy the photo with every piece

    def lineReceived(self, line):
        words = line.split()
        if words[:1] != [b"PHOTO"]:
            self.sendLine(b"OK")
            return
        try:
            _photo, item, size = words
            self.item, self.missing = item.decode("ascii"), int(size)
        except ValueError:
            self.refuse(b"ERR a photo is PHOTO, an item and a size")
            return
        if not 0 < self.missing <= self.MOST:
            self.refuse(b"ERR a photo has 1 to 100000 bytes")
            return
        self.pieces = []
        self.setRawMode()

    def refuse(self, why):
        # Nobody can tell where the next line begins, so there is no going on.
        self.sendLine(why)
        self.transport.loseConnection()

    def rawDataReceived(self, data):
        piece, rest = data[: self.missing], data[self.missing :]
        self.pieces.append(piece)
        self.missing -= len(piece)
        if self.missing == 0:
            photo = b"".join(self.pieces)
            self.keep(self.item, photo)
            self.sendLine(b"OK %d" % len(photo))
            # What came behind the photo are lines again.
            self.setLineMode(rest)
