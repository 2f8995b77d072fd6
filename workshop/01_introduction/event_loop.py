"""An event loop by hand, with nothing but Python's standard library: what a reactor is.

It answers every line with the line's number, to any number of clients at once, in one thread.
"""

import selectors
import socket


class Loop:
    """Waits for all sockets together, and calls a function for each that has something to read."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()

    def when_readable(self, source, function):
        self.selector.register(source, selectors.EVENT_READ, function)

    def forget(self, source):
        self.selector.unregister(source)
        source.close()

    def run(self):
        while True:
            for key, _events in self.selector.select():  # the only place where the program waits
                key.data()


class Client:
    """One client's connection; the loop calls `readable` when bytes have come."""

    def __init__(self, loop, connection):
        self.loop, self.connection = loop, connection
        self.lines = 0
        loop.when_readable(connection, self.readable)

    def readable(self):
        data = self.connection.recv(4096)
        if not data:
            self.loop.forget(self.connection)
        for _line in range(data.count(b"\n")):
            self.lines += 1
            self.connection.sendall(b"line %d\n" % self.lines)


def main():
    loop = Loop()
    listening = socket.create_server(("127.0.0.1", 0))
    loop.when_readable(listening, lambda: Client(loop, listening.accept()[0]))
    print(f"event loop: listening on 127.0.0.1:{listening.getsockname()[1]}", flush=True)
    loop.run()


if __name__ == "__main__":
    main()
