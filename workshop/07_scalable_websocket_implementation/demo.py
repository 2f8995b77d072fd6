"""Demonstration: a live stock board, with screens that order, misbehave and fall asleep."""

import json
import time
from contextlib import suppress

from lineside.workshop.stage import Stage, perform
from lineside.workshop.websocket import Refused


def play(stage: Stage) -> None:
    """Play the chapter "Scalable WebSocket Implementation"."""
    erp = stage.erp()

    stage.step("Start the board")
    example = stage.example("--frappe", erp.url, environ=erp.environ)
    port = int(example.expect("listening on").rpartition(":")[2])
    first = stage.websocket(port)
    while "BOLT-M8" not in (first.hear() or "BOLT-M8"):  # until it has looked at the stock
        pass
    first.hang_up()

    stage.step("A WebSocket begins as HTTP")
    if stage.installed("curl"):
        upgrade = ["-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13"]
        key = ["-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        stage.run("curl", "-siN", "-m", "0.5", *upgrade, *key, f"http://127.0.0.1:{port}/")
        stage.say("(The bytes before the first brace are the frame's own: a text, and how long it is.)")
    stage.notice(
        "101: from here on the connection is no longer HTTP but a pair of message streams, one each way, until "
        "somebody closes it. The first message comes without being asked for."
    )
    try:
        stage.websocket(port, origin="http://evil.example")
        refused = "taken"
    except Refused as refusal:
        refused = str(refusal)
    stage.lines("a page of evil.example", refused)
    stage.notice(
        "A browser lets any page open a WebSocket to any server, and says in Origin which page it was. To look at "
        "it is the server's business: autobahn's default lets everybody in."
    )
    stage.check("a page from elsewhere is not let in", "not allowed" in refused)

    stage.step("Three screens see a change")
    north, south, office = (Watcher(stage, name, port) for name in ("north", "south", "office"))
    whole = [screen.until("stock") for screen in (north, south, office)]
    stage.check("each hears the whole stock first", all(news["stock"]["BOLT-M8"] == 120 for news in whole))
    stage.say("Five bolts come in: a scan becomes a Stock Entry in the ERP, as in chapter 3.")
    receive(erp, "BOLT-M8", 5)
    heard = [screen.until("changes") for screen in (north, south, office)]
    stage.notice("Only what changed is sent, and nobody asked.")
    stage.check("all three hear of it", all(news["changes"] == {"BOLT-M8": 125} for news in heard))

    stage.step("An order comes in on the same connection")
    north.order(1, "GLOVE-L", 2, "Bicycle Works")
    answer = north.until("name")
    ordered = [screen.until("ordered")["ordered"] for screen in (south, office)]
    stage.notice("The answer with its id goes to the one who ordered; the news goes to everybody.")
    stored = erp.documents("Sales Order")
    stage.check(
        "the name in the answer is the one Sales Order in the ERP",
        answer["id"] == 1 and [answer["name"]] == [order["name"] for order in stored if order["docstatus"] == 1],
    )
    stage.check("the others see it too", all(order["name"] == answer["name"] for order in ordered))

    stage.step("Something is wrong with a message")
    stage.say("Meanwhile two hundred more screens connect, in a program of their own. They have their turn later.")
    crowd = stage.example(f"127.0.0.1:{port}", "--screens", "200", file="client.py", quiet=True)
    south.send("GLOVE-L 2")
    no_json = south.until("error")
    south.order("a", "GLOVE-L", "many", "Boat Yard")
    no_number = south.until("error")
    south.order("b", "GLOVE-XXL", 1, "Boat Yard")
    unknown = south.until("error")
    south.order("c", "GLOVE-L", 1, "Boat Yard")
    after = south.until("name")
    stage.notice("Whatever is wrong, the answer is a message, with the id of the question, and the screen stays.")
    stage.check("what is no JSON is told so", no_json["error"].startswith("JSONDecodeError"))
    stage.check("what is no number is refused before the ERP is asked", "1 to 10000 pieces" in no_number["error"])
    stage.check("what the ERP refuses is told with its reason", "LinkValidationError" in unknown["error"])
    stage.check("the next order is taken", after["id"] == "c" and after["name"].startswith("SAL-ORD-"))
    babbler = Watcher(stage, "babbler", port)
    babbler.send(json.dumps({"id": "x" * 3_000}))
    stage.check("a message of more than 2,000 bytes ends the connection", babbler.end() == 1009)

    stage.step("A screen that does not read")
    stage.say(
        "A tablet fell asleep: its connection is open, and it takes nothing in. So that there is much to say to it, "
        "this one asks one long question after the other, and does not read a single answer."
    )
    asleep = stage.websocket(port, receive_buffer=4096)  # so that the kernels' buffers are full soon
    question = json.dumps({"id": "z" * 1_900})
    asked = 0
    with suppress(OSError):
        while "cut off" not in example.output and asked < 50_000:
            asleep.send(question)
            asked += 1
    example.expect("cut off")
    office.order("d", "NUT-M8", 1, "Boat Yard")
    awake = office.until("name")
    stage.check("the others go on meanwhile", awake["id"] == "d")
    kept = 0
    while (text := asleep.hear()) is not None:
        kept += len(text)
    stage.lines("asleep", f"wakes up, reads what the kernel kept for it, {kept / 1e6:.1f} MB, and is at its end")
    stage.notice(
        "The kernel kept what it could. When it took no more, 64 KiB were allowed to wait in the server; then it gave "
        "this screen up, so that it can go on for all others."
    )
    stage.check("the sleeper has lost its connection", asleep.closed in {(4008, "too slow"), None})

    stage.step("The ERP is away, and comes back")
    erp.faults(down=1.5)
    stage.say("(While we wait, a program starts that does three things wrong. Its turn is at the end.)")
    pitfalls = stage.example(file="pitfalls.py", quiet=True)
    gone = north.until("erp", lambda news: news["erp"] != "here")
    back = north.until("erp", lambda news: news["erp"] == "here")
    receive(erp, "BOLT-M8", 5)
    again = north.until("changes", lambda news: news["changes"])
    stage.notice("Old numbers are better than none, but only if the screen says that they are old.")
    stage.check("the screens say that the ERP is away", gone["erp"].startswith("away"))
    stage.check("they say when it is back, and go on", back["erp"] == "here" and again["changes"]["BOLT-M8"] == 130)

    stage.step("Two hundred screens more")
    stage.lines("client", crowd.expect("connected"))
    asked, began = requests(erp), time.monotonic()
    receive(erp, "00123", 1)
    line = crowd.expect('{"changes": {"00123": 41')
    stage.lines("client", line)
    looks, took = requests(erp) - asked - 1, time.monotonic() - began
    began = time.monotonic()
    for _ in range(30):
        erp.documents("Bin", ["item_code", "actual_qty"])
    polled = time.monotonic() - began
    stage.say(
        f"203 screens knew it {took:.2f} s after the scan, and the ERP was asked {looks} "
        f"time{'s' if looks != 1 else ''} meanwhile. Thirty screens that ask for themselves "
        f"make 30 requests in every second; the ERP was busy for {polled:.2f} s with one such round."
    )
    stage.notice(
        "One question a second, however many screens there are; and an answer only where something is new."
    )
    stage.check("all 200 heard the change", line.startswith("200 screens, the last "))
    stage.check("the ERP was asked once a second at most, not once for each screen", looks <= took + 2)

    stage.step("What autobahn does not tell you")
    pitfalls.expect("encoded once")
    stage.lines("pitfalls", pitfalls.output)
    stage.notice("The first three look like a server that works. This is why the example guards every callback.")


class Watcher:
    """A screen that the script plays; what it sends and hears is shown."""

    def __init__(self, stage: Stage, name: str, port: int) -> None:
        self.stage, self.name = stage, name
        self.erp = ""
        self.socket = stage.websocket(port)

    def send(self, text: str) -> None:
        """Send a message."""
        self.stage.lines(self.name, f"sends   {text if len(text) < 90 else f'{text[:60]}… ({len(text)} bytes)'}")
        self.socket.send(text)

    def order(self, number, item: str, quantity, customer: str) -> None:
        """Send an order."""
        self.send(json.dumps({"id": number, "order": {"item": item, "qty": quantity, "customer": customer}}))

    def until(self, key: str, wanted=lambda news: True):
        """Return the next message that has a key and is wanted."""
        while (text := self.socket.hear()) is not None:
            self.stage.lines(self.name, f"hears   {text}")
            news = json.loads(text)
            self.erp = news.get("erp", self.erp)
            if key in news and wanted(news):
                return news
        return {key: "", "error": f"closed: {self.socket.closed}"}

    def end(self) -> int:
        """Return the code with which the server closes."""
        while self.socket.hear() is not None:
            pass
        code, reason = self.socket.closed or (1006, "")
        self.stage.lines(self.name, f"is cut off with {code}: {reason}")
        return code


def receive(erp, item: str, quantity: int) -> None:
    """Let goods come in, as a scan does."""
    row = {"item_code": item, "qty": quantity, "t_warehouse": "Stores - SW"}
    entry = {"stock_entry_type": "Material Receipt", "company": "Stand-in Works", "items": [row], "docstatus": 1}
    erp.insert("Stock Entry", entry)


def requests(erp) -> int:
    """Return how many requests the ERP has had."""
    return erp.ask("GET", "/_standin/stats")["requests"]


if __name__ == "__main__":
    perform(play)
