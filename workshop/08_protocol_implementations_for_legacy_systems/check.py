"""The checks of the exercises of chapter 8."""

from twisted.conch.ssh.filetransfer import FXF_CREAT, FXF_WRITE, FileTransferClient, SFTPError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.names import dns
from twisted.names.error import AuthoritativeDomainError, DomainError
from twisted.python.failure import Failure

from lineside.workshop.lessons import Lesson

SERVICE = b"_scanner._tcp.plant.test"


class WhereToConnect(Lesson):
    """Exercise 1."""

    exercise = 1

    def setUp(self):
        super().setUp()
        self.plant = self.learner.Plant([(b"gateway1.plant.test", 7001), (b"gateway2.plant.test", 7002)])

    def ask(self, name, kind):
        """Return a question's three lists, or the failure."""
        asked = self.plant.query(dns.Query(name, kind))
        self.teach(
            isinstance(asked, Deferred),
            f"query returned {asked!r}. twisted.names waits for a Deferred: succeed(…) or fail(…) makes one that has "
            "fired already.",
        )
        seen = []
        asked.addBoth(seen.append)
        self.teach(seen, "The Deferred that query returned has not fired. There is nothing here to wait for.")
        return seen[0]

    def services(self, name=SERVICE):
        told = self.ask(name, dns.SRV)
        self.teach(
            not isinstance(told, Failure),
            f"SRV {name.decode()} failed with {told.value!r}." if isinstance(told, Failure) else "",
        )
        return [(each.payload.priority, str(each.payload.target), each.payload.port) for each in told[0]]

    def test_service(self):
        """The service's name leads to both gateways."""
        services = self.services()
        self.teach(
            services,
            "The question SRV _scanner._tcp.plant.test got no answer. The first of the three lists holds the answers: "
            "one record for each of self.gateways, made by self.service (TODO 3).",
        )
        self.teach(
            [(target, port) for _, target, port in services]
            == [("gateway1.plant.test", 7001), ("gateway2.plant.test", 7002)],
            f"The answers offer {[(target, port) for _, target, port in services]}; expected are both gateways, each "
            "with its own port.",
        )

    def test_priority(self):
        """The first gateway has the priority 1, the second 2."""
        priorities = [priority for priority, _, _ in self.services()]
        self.teach(
            priorities == [1, 2],
            f"The gateways have the priorities {priorities}, expected are [1, 2]. It is the lowest that is tried first; with equal ones scanners would be "
            "spread over both. Record_SRV's first argument is the priority.",
        )

    def test_unknown(self):
        """A name of the zone that is not there is AuthoritativeDomainError."""
        for name in b"printer.plant.test", b"_tcp.plant.test.plant.test":
            told = self.ask(name, dns.A)
            self.teach(
                isinstance(told, Failure) and told.check(AuthoritativeDomainError),
                f"{name.decode()} was answered {told.value if isinstance(told, Failure) else told!r}. It is in our zone "
                "and does not exist: only AuthoritativeDomainError says that for certain, and ends the search. An "
                "empty answer would say that it exists.",
            )

    def test_others(self):
        """A name of others is DomainError."""
        for name in b"example.com", b"notplant.test", b"test":
            told = self.ask(name, dns.A)
            self.teach(
                isinstance(told, Failure) and told.check(DomainError),
                f"{name.decode()} was answered {told.value if isinstance(told, Failure) else told!r}. Only names that "
                "end in .plant.test, dot included, are ours; we do not know whether others exist.",
            )

    def test_other_type(self):
        """The service's name exists, whatever type is asked for."""
        told = self.ask(SERVICE, dns.A)
        self.teach(
            not isinstance(told, Failure),
            "The question A _scanner._tcp.plant.test failed. The name exists; it only has no address. A resolver that "
            "is told 'no such name' believes it for every type, SRV included.",
        )
        self.teach(
            list(told[0]) == [],
            f"The question A _scanner._tcp.plant.test was answered {told[0]}: answers must be of the type asked for. "
            "Compare query.type with dns.SRV.",
        )

    def test_capitals(self):
        """Capital letters do not matter."""
        told = self.ask(b"_Scanner._TCP.Plant.TEST", dns.SRV)
        self.teach(
            not isinstance(told, Failure) and len(told[0]) == 2,
            "_Scanner._TCP.Plant.TEST was not found. In DNS it is the same name; some resolvers even mix capitals in "
            "on purpose. See bytes.lower (TODO 1).",
        )


class WholeFiles(Lesson):
    """Exercise 2."""

    exercise = 2

    def setUp(self):
        super().setUp()
        self.kept = []
        avatar = self.learner.Inbox(lambda name, data: self.kept.append((name, data)))
        self.server, self.client = self.learner.Transfer(avatar=avatar), FileTransferClient()
        for side in self.client, self.server:
            side.makeConnection(StringTransport())
        self.pump()

    def pump(self):
        """Carry the bytes over until both are silent."""
        while self.client.transport.value() or self.server.transport.value():
            for one, other in (self.client, self.server), (self.server, self.client):
                data = one.transport.value()
                one.transport.clear()
                other.dataReceived(data)

    def result(self, deferred):
        """Return what came of a request: its value, or the failure."""
        self.pump()
        seen = []
        deferred.addBoth(seen.append)
        self.flushLoggedErrors()
        self.teach(
            seen,
            "The machine got no answer to a request. conch answers for you, unless a method is missing or raises "
            "before it was called properly.",
        )
        return seen[0]

    def open(self, path=b"/inbox/count-7.csv"):
        file = self.result(self.client.openFile(path, FXF_WRITE | FXF_CREAT, {}))
        self.teach(
            not isinstance(file, Failure),
            f"Opening {path.decode()} was refused: {file.value}." if isinstance(file, Failure) else "",
        )
        return file

    def test_whole(self):
        """A file in two pieces is kept once, when it is closed."""
        file = self.open()
        self.result(file.writeChunk(0, b"BOLT-M8,1"))
        self.result(file.writeChunk(9, b"18\n"))
        self.teach(
            not self.kept,
            f"{self.kept} was kept before the file was closed. More could have come: wait for close().",
        )
        closed = self.result(file.close())
        self.teach(
            not isinstance(closed, Failure),
            f"Closing a whole file was answered {getattr(closed, 'value', closed)!r}.",
        )
        self.teach(
            len(self.kept) == 1,
            f"After the file was closed, keep had been called {len(self.kept)} times, not once.",
        )
        self.teach(
            self.kept[0][1] == b"BOLT-M8,118\n" and isinstance(self.kept[0][1], bytes),
            f"Kept was {self.kept[0][1]!r}, expected is b'BOLT-M8,118\\n'.",
        )
        self.teach(
            self.kept[0][0] == "count-7.csv",
            f"The file was kept as {self.kept[0][0]!r}; expected is its name without the folder, 'count-7.csv', as text.",
        )

    def test_cut_off(self):
        """A file whose connection is lost is not kept."""
        file = self.open()
        self.result(file.writeChunk(0, b"BOLT-M8,1"))
        self.server.connectionLost(Failure(ConnectionLost()))
        self.teach(
            not self.kept,
            f"The connection was lost after 9 bytes, and {self.kept} was kept. conch's connectionLost closes every file "
            "that is open, as the machine would. Override it in Transfer, and tell the files in self.openFiles first.",
        )

    def test_clean_up(self):
        """A lost connection leaves no file open."""
        self.open()
        self.server.connectionLost(Failure(ConnectionLost()))
        self.teach(
            not self.server.openFiles,
            "After the connection was lost a file is still open. What conch's own connectionLost does is still needed: "
            "call it with super().",
        )

    def test_closed_before(self):
        """A file that was closed before the connection was lost stays kept."""
        file = self.open()
        self.result(file.writeChunk(0, b"NUT-M8,81\n"))
        self.result(file.close())
        self.server.connectionLost(Failure(ConnectionLost()))
        self.teach(
            self.kept == [("count-7.csv", b"NUT-M8,81\n")],
            f"A file was closed, then the connection ended; kept is {self.kept}, expected is that one file, once.",
        )

    def test_empty(self):
        """An empty file is kept."""
        self.result(self.open().close())
        self.teach(
            self.kept == [("count-7.csv", b"")],
            f"An empty file was closed, and kept was {self.kept}. That nothing was counted is news too; test for None "
            "or for a flag, not for emptiness.",
        )

    def test_gap(self):
        """A piece that does not begin where the last one ended is refused, and so is its file."""
        for offset in 12, 3:
            self.setUp()
            file = self.open()
            self.result(file.writeChunk(0, b"BOLT-M8,1"))
            told = self.result(file.writeChunk(offset, b"18\n"))
            self.refused(told, f"After 9 bytes came a piece for offset {offset}")
            self.result(file.close())
            self.teach(
                not self.kept,
                f"A piece for offset {offset} was refused, the machine closed the file nevertheless, and {self.kept} was "
                "kept. Remember that a piece is missing.",
            )

    def test_after_refusal(self):
        """A file that is broken stays broken."""
        file = self.open()
        self.result(file.writeChunk(5, b"second"))
        self.result(file.writeChunk(0, b"first"))
        self.result(file.close())
        self.teach(
            not self.kept,
            f"The first piece was refused, the next one fitted, and {self.kept} was kept. Machines send several pieces "
            "without waiting for answers: once a piece is missing, no later one makes the file whole.",
        )

    def test_largest(self):
        """A file may have LARGEST bytes, and no more."""
        largest = self.learner.LARGEST
        file = self.open()
        told = self.result(file.writeChunk(0, b"x" * largest))
        self.teach(not isinstance(told, Failure), f"A file of exactly {largest} bytes was refused.")
        told = self.result(file.writeChunk(largest, b"x"))
        self.refused(told, f"The file had {largest} bytes, and one more came")
        self.result(file.close())
        self.teach(not self.kept, "A file that was too great was refused, then closed, and what fitted was kept.")

    def test_names(self):
        """Only files such as /inbox/count-7.csv are opened."""
        for path in (
            b"/etc/passwd",
            b"/inbox/../../etc/count-7.csv",
            b"/inbox/count-7.csv/../../x",
            b"/inbox/count-7.csv.part",
            b"/inbox/count-7xcsv",
            b"/inbox/.csv",
            b"/inbox/count-7.csv\n",
            b"/inbox/count-\xff.csv",
            b"count-7.csv",
        ):
            told = self.result(self.client.openFile(path, FXF_WRITE | FXF_CREAT, {}))
            self.refused(told, f"The machine opened {path!r}")

    def refused(self, told, what):
        self.teach(isinstance(told, Failure), f"{what}, and that was allowed. Raise SFTPError.")
        self.teach(
            told.check(SFTPError) and told.value.message not in {"open failed", "write failed"},
            f"{what}; your code raised something else than SFTPError, and the machine was told {told.value}.",
        )


class OperatorsWords(Lesson):
    """Exercise 3."""

    exercise = 3

    def setUp(self):
        super().setUp()
        self.called = []
        self.waiting = Deferred()
        command = self.learner.Command
        both, boss = frozenset({"viewer", "operator"}), frozenset({"operator"})
        self.commands = [
            command("stock", both, ("ITEM",), self.call("stock", lambda item: f"{item} 120")),
            command(
                "orders", both, (), self.call("orders", lambda: succeed("SAL-1 Boat Yard\nSAL-2 Bicycle Works"))
            ),
            command(
                "hold",
                boss,
                ("ITEM", "REASON"),
                self.call("hold", lambda item, reason: f"{item} is held: {reason}"),
            ),
            command("slow", both, (), self.call("slow", lambda: self.waiting)),
            command("refuse", both, (), self.call("refuse", self.refuse)),
            command("refuse-later", both, (), self.call("refuse-later", lambda: fail(self.refusal()))),
            command("break", both, (), self.call("break", lambda: 1 // 0)),
            command(
                "break-later", both, (), self.call("break-later", lambda: fail(OSError("key hunter2 refused")))
            ),
            command("paint", both, (), self.call("paint", lambda: "BOLT\x1b[2J\x07-M8\r\n120 Stück\x9b")),
        ]
        self.operator = self.learner.Console(self.commands, "operator")
        self.viewer = self.learner.Console(self.commands, "viewer")

    def call(self, word, function):
        def called(*arguments):
            self.called.append((word, *arguments))
            return function(*arguments)

        return called

    def refusal(self):
        return self.learner.Refused("no such item: BOLT-M9")

    def refuse(self):
        raise self.refusal()

    def say(self, line, console=None):
        """Return the text and the code that a line was answered with."""
        try:
            said = (console or self.operator).run(line)
        except Exception as error:
            self.teach(
                False,
                f"run({line!r}) raised {type(error).__name__}: {error}. Every line gets an answer: a text and a code.",
            )
        self.teach(isinstance(said, Deferred), f"run({line!r}) returned {said!r} and not a Deferred.")
        seen = []
        said.addBoth(seen.append)
        self.flushLoggedErrors()
        self.teach(seen, f"run({line!r}) gave a Deferred that has not fired, though nothing is left to wait for.")
        (answer,) = seen
        self.teach(
            not isinstance(answer, Failure),
            f"run({line!r}) failed: {answer!r}. It never fails; what went wrong becomes a text and a code.",
        )
        self.teach(
            isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], str),
            f"run({line!r}) was answered {answer!r}; expected are a text and a code.",
        )
        return answer

    def test_call(self):
        """A command is called with its arguments, and its text comes back with code 0."""
        said = self.say(b"stock BOLT-M8")
        self.teach(
            self.called == [("stock", "BOLT-M8")],
            f"The line 'stock BOLT-M8' called {self.called}; expected is one call of stock with the text 'BOLT-M8'.",
        )
        self.teach(said == ("BOLT-M8 120", 0), f"It was answered {said}; expected is ('BOLT-M8 120', 0).")
        said = self.say(b"orders")
        self.teach(
            said == ("SAL-1 Boat Yard\nSAL-2 Bicycle Works", 0),
            f"'orders' returns a Deferred of two lines; it was answered {said}. maybeDeferred takes both kinds of "
            "answer. Line feeds stay.",
        )

    def test_slow(self):
        """The answer waits for the command."""
        said = self.operator.run(b"slow")
        seen = []
        said.addBoth(seen.append)
        self.teach(not seen, f"The command has not answered, and {seen} was said already.")
        self.waiting.callback("done")
        self.teach(seen == [("done", 0)], f"The command has answered 'done'; said was {seen}.")

    def test_quotes(self):
        """Words are quoted as in a shell."""
        self.say(b'hold BOLT-M8 "wrong thread"')
        self.teach(
            self.called == [("hold", "BOLT-M8", "wrong thread")],
            f'hold BOLT-M8 "wrong thread" called {self.called}. shlex.split takes quoted words together.',
        )
        text, code = self.say(b'hold BOLT-M8 "wrong')
        self.teach(
            code == 2 and text, f"A quote that is not closed was answered {(text, code)}; expected is the code 2."
        )

    def test_no_command(self):
        """A line that is no command is answered with help and code 2."""
        for line in b"reboot", b"", b"   ", b"\xff\xfe", b"STOCK; rm -rf /", b"__init__":
            text, code = self.say(line)
            self.teach(
                code == 2 and text,
                f"The line {line!r} was answered {(text, code)}; expected are some text and the code 2.",
            )

    def test_arguments(self):
        """Too few or too many arguments are answered with the usage."""
        for line in b"stock", b"stock BOLT-M8 5":
            said = self.say(line)
            self.teach(not self.called, f"The line {line.decode()!r} called {self.called}. Count before you call.")
            self.teach(
                said == ("usage: stock ITEM", 2),
                f"The line {line.decode()!r} was answered {said}; expected is ('usage: stock ITEM', 2).",
            )

    def test_roles(self):
        """What a role may not use does not exist for it."""
        unknown, held = self.say(b"reboot BOLT-M8 x", self.viewer), self.say(b"hold BOLT-M8 x", self.viewer)
        self.teach(not self.called, "A viewer's line 'hold BOLT-M8 x' called hold, which is for operators only.")
        self.teach(
            held == unknown,
            f"To a viewer, 'hold' was answered {held} and a word that does not exist {unknown}. The difference tells "
            "whoever asks what others may do.",
        )
        held = self.say(b"hold", self.viewer)
        self.teach(
            held == self.say(b"reboot", self.viewer),
            f"To a viewer, 'hold' without arguments was answered {held}: the usage of a command that is not theirs. Ask "
            "for the role first.",
        )

    def test_help(self):
        """Help lists what the role may use."""
        text, code = self.say(b"help", self.viewer)
        self.teach(
            code == 0 and text.splitlines()[:2] == ["stock ITEM", "orders"],
            f"A viewer's help was {text!r} with the code {code}; expected are lines such as 'stock ITEM', and the code 0.",
        )
        self.teach("hold" not in text, "A viewer's help names hold, which a viewer may not use.")
        text, _ = self.say(b"help")
        self.teach(
            "hold ITEM REASON" in text.splitlines(), f"An operator's help was {text!r}; it lacks hold ITEM REASON."
        )

    def test_refused(self):
        """What a command refuses is told, with code 1."""
        for line in b"refuse", b"refuse-later":
            said = self.say(line)
            self.teach(
                said == ("no such item: BOLT-M9", 1),
                f"A command {'raised' if line == b'refuse' else 'returned a Deferred that failed with'} "
                f"Refused('no such item: BOLT-M9'); the operator was told {said}. Both are for the operator to read.",
            )

    def test_broken(self):
        """Any other failure is told without its words, with code 1."""
        for line, secret in (b"break", "division"), (b"break-later", "hunter2"):
            text, code = self.say(line)
            self.teach(
                code == 1 and text,
                f"A command that broke was answered {(text, code)}; expected are a text and code 1.",
            )
            self.teach(
                secret not in text and "Error" not in text,
                f"A command that broke was answered {text!r}. What an exception says is for the log, not for the one "
                "who asked: here it held a password, there it tells how the program is made.",
            )

    def test_control_characters(self):
        """No control character reaches the terminal, and other letters do."""
        text, _ = self.say(b"paint")
        self.teach(
            not any(letter in text for letter in "\x1b\x07\r\x9b"),
            f"A command returned control characters, and {text!r} reached the operator's terminal. An item whose name "
            "holds such a sequence could clear the screen, or type for the operator. See str.isprintable.",
        )
        self.teach(
            "BOLT" in text and "-M8" in text and "\n120 Stück" in text,
            f"Of 'BOLT…-M8', a new line and '120 Stück', only {text!r} was left: letters and line feeds stay.",
        )
