"""The checks of the exercises of chapter 7."""

import inspect
import json
import warnings

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, WebSocketServerFactory
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.test.iosim import connectedServerAndClient

from lineside.workshop.lessons import Lesson


class Shown:
    """A screen that remembers what it was sent."""

    def __init__(self):
        self.messages = []

    def send(self, message):
        self.messages.append(message)

    @property
    def news(self):
        """What it was sent, read as JSON."""
        return [json.loads(message) for message in self.messages]


class Broken(Shown):
    """A screen whose connection is gone."""

    def send(self, message):
        super().send(message)
        raise ConnectionError("this screen is gone")


class BroadcastHub(Lesson):
    """Exercise 1."""

    exercise = 1

    def joined(self, hub, *screens):
        for screen in screens:
            hub.join(screen)
            screen.messages.clear()

    def test_whole(self):
        """Whoever joins hears the whole stock, and nobody else does."""
        hub, early, late = self.learner.Hub(), Shown(), Shown()
        hub.join(early)
        self.teach(
            early.messages,
            "A screen joined and heard nothing. Send it the whole stock in join (TODO 1), even while it is {}.",
        )
        self.teach(
            all(isinstance(message, bytes) for message in early.messages),
            f"A screen was sent {early.messages[0]!r}. A WebSocket sends bytes: json.dumps(…).encode().",
        )
        early.messages.clear()
        hub.update({"BOLT-M8": 120})
        early.messages.clear()
        hub.join(late)
        self.teach(
            late.news == [{"stock": {"BOLT-M8": 120}}],
            f"After an update to 120 bolts a screen joined and heard {late.news}; expected is one message, "
            "{'stock': {'BOLT-M8': 120}}. Does update remember the stock, for those who come later?",
        )
        self.teach(
            not early.messages,
            f"When another screen joined, the first one heard {early.news} again. Tell the new one alone.",
        )

    def test_changes(self):
        """An update tells what is new or different, and nothing else."""
        hub, screen = self.learner.Hub(), Shown()
        self.joined(hub, screen)
        stock = {"BOLT-M8": 120, "NUT-M8": 80}
        hub.update(stock)
        self.teach(
            screen.news == [{"changes": {"BOLT-M8": 120, "NUT-M8": 80}}],
            f"The first update brought two items, and a screen heard {screen.news}; expected is one message with both.",
        )
        screen.messages.clear()
        hub.update({"BOLT-M8": 125, "NUT-M8": 80})
        self.teach(
            screen.news == [{"changes": {"BOLT-M8": 125}}],
            f"120 bolts became 125, the nuts stayed; a screen heard {screen.news}, expected is {{'changes': "
            "{'BOLT-M8': 125}}. Compare with what you told the last time.",
        )
        screen.messages.clear()
        hub.update({"BOLT-M8": 125, "NUT-M8": 80})
        self.teach(
            not screen.messages,
            f"Nothing changed, and a screen heard {screen.news}. Thirty screens that are told nothing cost nothing.",
        )
        hub.update({"BOLT-M8": 0, "NUT-M8": 80})
        self.teach(
            screen.news == [{"changes": {"BOLT-M8": 0}}],
            f"The bolts ran out, and a screen heard {screen.news}; expected is {{'changes': {{'BOLT-M8': 0}}}}. Zero is a "
            "quantity too: compare, and do not ask whether it is true.",
        )

    def test_same_dict(self):
        """A stock that its owner goes on changing is noticed all the same."""
        hub, screen, stock = self.learner.Hub(), Shown(), {"BOLT-M8": 120}
        self.joined(hub, screen)
        hub.update(stock)
        screen.messages.clear()
        stock["BOLT-M8"] = 125
        hub.update(stock)
        self.teach(
            screen.news == [{"changes": {"BOLT-M8": 125}}],
            f"The same dict came again with another quantity in it, and a screen heard {screen.news}. If you remember the "
            "dict itself, you compare it with itself: remember a copy.",
        )

    def test_once(self):
        """All screens get the same bytes."""
        hub, screens = self.learner.Hub(), [Shown() for _ in range(3)]
        self.joined(hub, *screens)
        hub.update({"BOLT-M8": 120})
        first = screens[0].messages
        self.teach(
            all(screen.messages and screen.messages[0] is first[0] for screen in screens),
            "Three screens got equal news, but each got bytes of its own: the news were encoded three times. With a "
            "thousand screens that is most of the work. Encode before the loop (TODO 4).",
        )

    def test_raising(self):
        """A screen that raises leaves, and the others hear the news."""
        for place in range(4):
            hub = self.learner.Hub()
            good = [Shown() for _ in range(3)]
            broken = Broken()
            screens = [*good[:place], broken, *good[place:]]
            hub.screens.update(screens)
            try:
                hub.update({"BOLT-M8": 120})
            except Exception as error:
                self.teach(
                    False,
                    f"One screen's send raised ConnectionError, and update raised {type(error).__name__}: {error}. Catch "
                    "it for each screen, and let that screen leave (TODO 5). If it is a RuntimeError about the size of a "
                    "set: go over a copy.",
                )
            deaf = sum(1 for screen in good if not screen.messages)
            self.teach(not deaf, f"One of four screens raised, and {deaf} of the others heard nothing.")
            broken.messages.clear()
            hub.update({"BOLT-M8": 125})
            self.teach(
                not broken.messages, "A screen whose send had raised was sent the next news as well. Let it leave."
            )

    def test_leaving(self):
        """Who left hears no more; to leave twice, or in the middle of news, is no error."""
        hub, screen = self.learner.Hub(), Shown()
        self.joined(hub, screen)
        hub.leave(screen)
        hub.update({"BOLT-M8": 120})
        self.teach(not screen.messages, f"A screen that had left heard {screen.news}.")
        try:
            hub.leave(screen)
        except KeyError:
            self.teach(
                False,
                "A screen left twice, and leave raised KeyError. A connection that ends while it is being closed does "
                "that. Sets have a method that removes what may not be there.",
            )

        class Leaving(Shown):
            def send(self, message):
                super().send(message)
                hub.leave(self)

        screens = [Leaving() for _ in range(3)]
        hub.screens.update(screens)
        try:
            hub.update({"BOLT-M8": 125})
        except RuntimeError as error:
            self.teach(
                False,
                f"Screens left while they were told, and update raised RuntimeError: {error}. Go over a copy: tuple(…).",
            )
        self.teach(
            all(screen.messages for screen in screens),
            "Screens left while they were told, and some of them did not hear the news. Go over a copy of the set.",
        )


class Client(WebSocketClientProtocol):
    """A screen at the other end: remembers the answers."""

    def onMessage(self, payload, isBinary):
        self.factory.answers.append(json.loads(payload))


class OrdersById(Lesson):
    """Exercise 2."""

    exercise = 2

    def setUp(self):
        super().setUp()
        self.connect()

    def connect(self):
        """Connect a screen to the learner's protocol, in memory."""
        clock = Clock()
        server = WebSocketServerFactory(reactor=clock)
        server.protocol, server.place = self.learner.OrderScreen, self.place
        server.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
        client = WebSocketClientFactory("ws://board", reactor=clock)
        client.protocol, client.answers = Client, []
        client.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0, serverConnectionDropTimeout=0)
        self.placed, self.answers = [], client.answers
        self.client, self.server, self.pump = connectedServerAndClient(
            lambda: server.buildProtocol(None), lambda: client.buildProtocol(None)
        )
        self.pump.flush()
        self.client, self.server = (
            (self.client, self.server) if isinstance(self.client, Client) else (self.server, self.client)
        )

    def place(self, item, qty, customer):
        deferred = Deferred()
        self.placed.append(((item, qty, customer), deferred))
        return deferred

    def send(self, message):
        """Send what is a message, or text, or bytes."""
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", RuntimeWarning
            )  # a coroutine that nobody awaits: we say it in other words
            try:
                self.client.sendMessage(data)
                self.pump.flush()
            except Exception as error:
                self.teach(
                    False,
                    f"The message {data[:70]!r} made onMessage raise {type(error).__name__}: {error}. Twisted would end "
                    "the connection. Catch it, and answer with an error.",
                )

    def order(self, number, item="GLOVE-L", qty=2, customer="Bicycle Works"):
        self.send({"id": number, "order": {"item": item, "qty": qty, "customer": customer}})

    def fire(self, place, result):
        """Let a placed order be done, or fail."""
        self.placed[place][1].callback(result)
        self.pump.flush()

    def left_over(self, place):
        """Return a failure that nobody dealt with, or None."""
        left = []
        self.placed[place][1].addBoth(left.append)
        return left[0] if left and isinstance(left[0], Failure) else None

    def test_placed(self):
        """Each order is placed when it arrives."""
        if inspect.iscoroutinefunction(self.learner.OrderScreen.onMessage):
            self.teach(
                False,
                "onMessage is an async function. autobahn calls it and never awaits what it returns, so nothing of it "
                "runs. Write a plain one that starts the work, with Deferred.fromCoroutine for example.",
            )
        for number in 1, 2, 3:
            self.order(number)
        self.teach(
            self.placed,
            "Three orders came in and none was placed. Call self.factory.place(item, qty, customer) for each.",
        )
        self.teach(
            len(self.placed) == 3,
            f"Three orders came in, and {len(self.placed)} were placed before the first was done. None needs to wait for "
            "another: the answers have ids.",
        )
        self.teach(
            self.placed[0][0] == ("GLOVE-L", 2, "Bicycle Works"),
            f"place was called with {self.placed[0][0]}; expected is ('GLOVE-L', 2, 'Bicycle Works').",
        )
        self.teach(not self.answers, f"No order is done yet, and the screen was sent {self.answers}.")

    def test_answers(self):
        """Each answer goes out when its order is done, with its id."""
        for number in 1, 2, "three":
            self.order(number)
        for place, number in (2, "three"), (0, 1), (1, 2):
            self.answers.clear()
            self.fire(place, f"SAL-ORD-{place}")
            wrong = self.left_over(place)
            self.teach(
                wrong is None,
                "An order was done, and sending its answer raised "
                f"{wrong and wrong.type.__name__}: {wrong and wrong.getErrorMessage()}. sendMessage takes bytes.",
            )
            self.teach(
                self.answers == [{"id": number, "name": f"SAL-ORD-{place}"}],
                f"The order with id {number!r} was done, and the screen was sent {self.answers}; expected is "
                f"[{{'id': {number!r}, 'name': 'SAL-ORD-{place}'}}]. Does each answer keep the id of its own order, and "
                "go out at once?",
            )

    def test_failures(self):
        """An order that fails is answered with the reason, whenever it fails."""
        self.order(1)
        self.order(2)
        self.fire(0, Failure(RuntimeError("no such customer")))
        self.teach(
            self.answers,
            "An order's Deferred failed, and the screen heard nothing. Without an errback nobody hears of a failure.",
        )
        self.teach(
            len(self.answers) == 1
            and self.answers[0].get("id") == 1
            and "no such customer" in str(self.answers[0].get("error")),
            f"An order failed with 'no such customer', and the screen was sent {self.answers}; expected is one answer "
            "with its id and an error that says why.",
        )
        self.fire(1, "SAL-ORD-1")
        self.teach(len(self.answers) == 2, "After one order had failed, the next was done and had no answer.")
        self.connect()

        def place(item, qty, customer):
            raise RuntimeError("the ERP is away")

        self.server.factory.place = place
        self.order(3)
        self.teach(
            len(self.answers) == 1
            and self.answers[0].get("id") == 3
            and "the ERP is away" in str(self.answers[0].get("error")),
            f"place raised at once, without a Deferred, and the screen was sent {self.answers}; expected is an error "
            "with the id. twisted.internet.defer has a function that makes a Deferred of both.",
        )

    def test_no_order(self):
        """What is no order is answered with an error, and nothing is placed."""
        good = {"item": "GLOVE-L", "qty": 2, "customer": "Bicycle Works"}
        for message, number in [
            (b"GLOVE-L 2", None),
            (b"\xff\xfe", None),
            (b"[" * 5_000, None),
            (b"7", None),
            (b"[]", None),
            (b"null", None),
            ({"order": good}, None),
            ({"id": [1], "order": good}, None),
            ({"id": True, "order": good}, None),
            ({"id": 1.5, "order": good}, None),
            ({"id": 7}, 7),
            ({"id": 7, "order": "GLOVE-L"}, 7),
            ({"id": 7, "order": {"item": "GLOVE-L", "qty": 2}}, 7),
            *(({"id": 7, "order": good | {"qty": qty}}, 7) for qty in (0, -1, 10_001, "2", 2.5, True, None)),
            *(
                ({"id": 7, "order": good | {key: value}}, 7)
                for key in ("item", "customer")
                for value in ("", 5, None)
            ),
        ]:
            self.connect()
            if message == b"\xff\xfe":  # as a binary message: in a text autobahn itself looks for UTF-8
                try:
                    self.server.onMessage(message, True)
                except Exception as error:
                    self.teach(
                        False,
                        f"A message that is no UTF-8 made onMessage raise {type(error).__name__}: {error}. It is a "
                        "ValueError, as bad JSON is.",
                    )
                self.pump.flush()
            else:
                self.send(message)
            told = message[:40] if isinstance(message, bytes) else json.dumps(message)
            self.teach(
                not self.placed, f"{told} is no order, and it was placed as {[one[0] for one in self.placed]}."
            )
            self.teach(self.answers, f"{told} is no order, and got no answer at all. An error is a message, too.")
            answer = self.answers[0]
            self.teach(
                len(self.answers) == 1 and answer.get("error") and "name" not in answer,
                f"{told} was answered {self.answers}; expected is one message with an 'error' that says something.",
            )
            self.teach(
                "id" in answer and answer["id"] == number and type(answer["id"]) is type(number),
                f"{told} was answered {answer}; the id should be {json.dumps(number)}. Read the id before you look at the "
                "rest; it is text or a whole number, or else null.",
            )
            self.order("next")
            self.teach(len(self.placed) == 1, f"After {told} the next order, a good one, was not placed.")

    def test_limits_are_allowed(self):
        """One piece is an order, and so are 10,000, and an id of 0 or of no letters is an id."""
        for number, qty in (0, 1), ("", 10_000):
            self.connect()
            self.order(number, qty=qty)
            self.teach(
                self.placed, f"An order of {qty} pieces with the id {number!r} was not placed: {self.answers}."
            )
            self.fire(0, "SAL-ORD-0")
            self.teach(
                self.answers == [{"id": number, "name": "SAL-ORD-0"}],
                f"The order with the id {number!r} was answered {self.answers}.",
            )

    def test_gone(self):
        """A screen that is gone is sent nothing, and nothing is logged."""
        for result in "SAL-ORD-0", Failure(RuntimeError("no such customer")):
            self.connect()
            self.order(1)
            self.client.sendClose()
            self.pump.flush()
            try:
                self.fire(0, result)
            except Exception as error:
                self.teach(False, f"The screen was gone when its order was done: {type(error).__name__}: {error}.")
            problem = self.left_over(0)
            self.teach(
                problem is None and not self.flushLoggedErrors(),
                f"The screen was gone when its order was done, and {problem.type.__name__ if problem else 'an error'} "
                "was left over in the Deferred. sendMessage raises when the connection is closed: look at self.state "
                "(self.STATE_OPEN) before you send.",
            )


class NoHole(Lesson):
    """Exercise 3."""

    exercise = 3

    def channel(self, changes=0, size=100):
        """Return a channel that had some changes: of A to 1, of A to 2, ..."""
        channel = self.learner.Channel("red", size)
        for number in range(1, changes + 1):
            channel.publish({"A": number})
        return channel

    def follow(self, channel, since=None):
        """Subscribe; return what is heard, and the function that ends it."""
        heard = []
        try:
            end = channel.subscribe(heard.append, since)
        except Exception as error:
            self.teach(False, f"subscribe(send, {since!r}) raised {type(error).__name__}: {error}.")
        return heard, end

    def test_whole(self):
        """Without since: the whole, and which change was the last in it."""
        heard, _end = self.follow(self.channel())
        self.teach(
            heard,
            "A subscriber was sent nothing. The first message is the whole, even while there is nothing in it.",
        )
        self.teach(
            heard == [{"epoch": "red", "offset": 0, "stock": {}}],
            f"On a new channel a subscriber was sent {heard}; expected is one message with epoch, offset 0 and stock {{}}.",
        )
        heard, _end = self.follow(self.channel(3))
        self.teach(
            heard == [{"epoch": "red", "offset": 3, "stock": {"A": 3}}],
            f"After three changes of A a subscriber was sent {heard}; expected are offset 3 and the stock {{'A': 3}}.",
        )

    def test_changes(self):
        """Every change comes with the next offset, until the subscription ends."""
        channel = self.channel(1)
        heard, end = self.follow(channel)
        other, _end = self.follow(channel)
        whole = heard[0]
        channel.publish({"A": 2})
        channel.publish({"B": 1})
        expected = [{"offset": 2, "changes": {"A": 2}}, {"offset": 3, "changes": {"B": 1}}]
        self.teach(
            heard[1:] == expected, f"After two changes a subscriber was sent {heard[1:]}; expected is {expected}."
        )
        self.teach(
            whole["stock"] == {"A": 1},
            f"The whole that was sent has become {whole['stock']} since: it is the channel's own dict. Send a copy.",
        )
        end()
        channel.publish({"A": 3})
        self.teach(len(heard) == 3, "After the function that subscribe returned was called, changes still came.")
        self.teach(len(other) == 4, "One subscriber ended, and another one did not hear the next change.")
        try:
            end()
        except Exception as error:
            self.teach(
                False,
                f"The function that subscribe returned was called twice, and raised {type(error).__name__}. A connection "
                "may end while it is being closed: let the second time do nothing.",
            )

    def test_recovered(self):
        """Who comes back in time gets what was missed, in order, and then what is new."""
        channel = self.channel(5)
        for offset in range(6):
            heard, _end = self.follow(channel, {"epoch": "red", "offset": offset})
            self.teach(
                heard and heard[0] == {"epoch": "red", "offset": 5, "recovered": True},
                f"Five changes were published, and all are kept. A subscriber that has seen up to {offset} was sent "
                f"{heard[:1]} first; expected is {{'epoch': 'red', 'offset': 5, 'recovered': True}}.",
            )
            expected = [{"offset": number, "changes": {"A": number}} for number in range(offset + 1, 6)]
            self.teach(
                heard[1:] == expected,
                f"A subscriber that has seen up to {offset} of 5 was sent {heard[1:]}; expected is {expected}.",
            )
        channel.publish({"A": 6})
        self.teach(
            heard[1:] == [{"offset": 6, "changes": {"A": 6}}],
            f"After it had come back, a subscriber that missed nothing was sent {heard[1:]}; expected is change 6, once.",
        )

    def test_too_old(self):
        """What is no longer kept is told as recovered: false, to the change."""
        channel = self.channel(10, size=4)
        for offset, recovered in (5, False), (6, True), (9, True), (0, False):
            heard, _end = self.follow(channel, {"epoch": "red", "offset": offset})
            self.teach(
                heard and heard[0].get("recovered") is recovered,
                f"Ten changes, and the latest four are kept: 7, 8, 9 and 10. A subscriber that has seen up to {offset} "
                f"was sent {heard[:1]}; 'recovered' should be {recovered}. It has to have seen the one before the oldest "
                "that is kept.",
            )
            if recovered:
                self.teach(
                    [message["offset"] for message in heard[1:]] == list(range(offset + 1, 11)),
                    f"Back at {offset} of 10, a subscriber was sent {heard[1:]}.",
                )
            else:
                self.teach(
                    heard == [{"epoch": "red", "offset": 10, "recovered": False, "stock": {"A": 10}}],
                    f"Back too late, a subscriber was sent {heard}; expected is one message that says so, with the whole.",
                )

    def test_other_run(self):
        """An offset of another run of the server says nothing."""
        heard, _end = self.follow(self.channel(5), {"epoch": "blue", "offset": 3})
        self.teach(
            heard and heard[0].get("recovered") is False and heard[0].get("epoch") == "red",
            f"The server was restarted, its epoch is 'red'. A subscriber with offset 3 of 'blue' was sent {heard[:1]}: "
            "change 3 is another one now. Compare the epoch first.",
        )

    def test_anything(self):
        """Whatever a screen says it has seen, it is no crash."""
        for since in (
            {"epoch": "red", "offset": 6},
            {"epoch": "red", "offset": -1},
            {"epoch": "red", "offset": "3"},
            {"epoch": "red", "offset": None},
            {"epoch": "red", "offset": True},
            {"epoch": "red", "offset": 2.5},
            {"epoch": "red"},
            {"offset": 3},
            {},
            [],
            "red",
            0,
        ):
            heard, _end = self.follow(self.channel(5), since)
            self.teach(
                heard
                and heard[0].get("recovered") is False
                and heard[0].get("stock") == {"A": 5}
                and len(heard) == 1,
                f"There are changes 1 to 5. A subscriber came with {since!r} and was sent {heard}; expected is the whole, "
                "with 'recovered': False. An offset is a whole number that was given out.",
            )

    def test_raising(self):
        """Who raises is let go, and nobody else notices."""
        channel = self.channel(3)
        calls = []

        def send(message):
            calls.append(message)
            raise ConnectionError("gone")

        try:
            channel.subscribe(send)
            channel.subscribe(send, {"epoch": "red", "offset": 0})
        except ConnectionError:
            self.teach(
                False, "A subscriber's send raised, and so did subscribe. It ends that subscription, no more."
            )
        self.teach(
            len(calls) == 2,
            f"Two subscribers raised at their first message, and were sent {len(calls)} in all. Who raised gets no more, "
            "also not the rest of what it missed.",
        )
        before, _end = self.follow(channel)
        fails = []

        def later(message):
            fails.append(message)
            if "changes" in message:
                raise ConnectionError("gone")

        end = channel.subscribe(later)
        after, _end = self.follow(channel)
        try:
            channel.publish({"A": 4})
            channel.publish({"A": 5})
            end()
        except Exception as error:
            self.teach(
                False, f"A subscriber's send raised, and the channel raised {type(error).__name__}: {error}."
            )
        self.teach(
            len(before) == len(after) == 3,
            "One subscriber raised, and others did not hear every change after that.",
        )
        self.teach(len(fails) == 2, "A subscriber whose send had raised was sent the next change as well.")
        self.teach(len(calls) == 2, "Subscribers that had raised at their first message were sent changes later.")
