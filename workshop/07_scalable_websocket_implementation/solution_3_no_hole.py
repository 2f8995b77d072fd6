"""Solution of exercise 3: come back without a hole."""

from collections import deque


class Channel:
    """A stock whose changes can be followed without a hole."""

    def __init__(self, epoch, size=100):
        self.epoch = epoch
        self.offset = 0
        self.stock = {}
        self.recent = deque(maxlen=size)  # a ring: when it is full, the oldest falls out
        self.following = {}

    def publish(self, changes):
        """Number the changes, take them in, keep them, and send them to all."""
        self.offset += 1
        self.stock |= changes
        message = {"offset": self.offset, "changes": dict(changes)}
        self.recent.append(message)
        for key in tuple(self.following):
            self.send(key, message)

    def subscribe(self, send, since=None):
        """Send what is to be known first, then every change; return a function that ends that."""
        # A key of our own: the same function may be subscribed twice, and each is ended by itself.
        key = object()
        self.following[key] = send
        first = {"epoch": self.epoch, "offset": self.offset}
        missed = None if since is None else self.missed(since)
        if missed is not None:
            messages = [first | {"recovered": True}, *missed]
        else:
            messages = [first | ({} if since is None else {"recovered": False}) | {"stock": dict(self.stock)}]
        # Nothing is published between the first message and the last: on a reactor nothing runs beside us.
        for message in messages:
            self.send(key, message)
        return lambda: self.following.pop(key, None)

    def missed(self, since):
        """Return the changes after an offset, or None where they cannot be had."""
        match since:
            case {"epoch": self.epoch, "offset": int(offset)} if not isinstance(offset, bool):
                # The oldest that can be asked for is the one before the oldest that is kept.
                if self.offset - len(self.recent) <= offset <= self.offset:
                    return [message for message in self.recent if message["offset"] > offset]
        return None

    def send(self, key, message):
        """Send to one that still follows, and let it go when that fails."""
        if key in self.following:
            try:
                self.following[key](message)
            except Exception:
                self.following.pop(key, None)
