"""Who is subscribed to what, and what they are sent."""

from __future__ import annotations

import json
import re
from typing import Any

from msgspec import Raw
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.websocket.channels import GATHERED, Hub, Publication, Ring, Spread


class Listener:
    """A member that keeps what it is sent."""

    def __init__(self, name: str) -> None:
        self.id = self.user = name
        self.frames: list[bytes] = []

    def deliver(self, frame: bytes) -> None:
        self.frames.append(frame)

    @property
    def pushes(self) -> list[dict[str, Any]]:
        return [json.loads(frame[2:])["push"] for frame in self.frames]

    @property
    def data(self) -> list[Any]:
        return [push["pub"]["data"] for push in self.pushes if "pub" in push]


def number(value: int) -> Publication:
    return Publication(Raw(b"%d" % value), value)


class Channels(SynchronousTestCase):
    """What members of a channel rely on."""

    def setUp(self) -> None:
        self.hub = Hub()
        self.ann, self.ben = Listener("ann"), Listener("ben")

    def test_everybody_gets_the_same_bytes(self) -> None:
        """A publication is encoded once, however many are subscribed."""
        for member in (self.ann, self.ben):
            self.hub.subscribe("a", member, {}, silent=True)
        self.hub.publish("a", number(7))
        self.assertIs(self.ann.frames[0], self.ben.frames[0])
        self.assertEqual([{"channel": "a", "pub": {"data": 7, "offset": 7}}], self.ann.pushes)

    def test_other_channels_are_none_of_their_business(self) -> None:
        """Nothing comes of a channel to which one is not subscribed, or no longer."""
        self.hub.subscribe("a", self.ann, {})
        self.hub.publish("b", number(1))
        self.hub.unsubscribe("a", self.ann)
        self.hub.publish("a", number(2))
        self.assertEqual([], self.ann.data)
        self.assertNotIn("a", self.hub)

    def test_what_comes_before_the_reply_is_held(self) -> None:
        """It is sent with the flush, but for what the reply told already."""
        subscription = self.hub.subscribe("a", self.ann, {}, hold=True)
        for value in (4, 5, 6):
            self.hub.publish("a", number(value))
        self.assertEqual([], self.ann.frames)
        self.hub.flush(subscription, 5)
        self.hub.publish("a", number(7))
        self.assertEqual([6, 7], self.ann.data)

    def test_comings_and_goings(self) -> None:
        """The others are told, one's own are not; who is there can be asked."""
        self.hub.subscribe("a", self.ann, {"user": "ann"})
        self.hub.subscribe("a", self.ben, {"user": "ben"})
        self.assertEqual({"ann": {"user": "ann"}, "ben": {"user": "ben"}}, self.hub.presence("a"))
        self.hub.unsubscribe("a", self.ben)
        info = {"info": {"user": "ben"}}
        self.assertEqual([{"channel": "a", "join": info}, {"channel": "a", "leave": info}], self.ann.pushes)
        self.assertEqual([], self.ben.frames)

    def test_silent_members(self) -> None:
        """Where presence is nobody's business, nobody is told."""
        self.hub.subscribe("a", self.ann, {})
        self.hub.subscribe("a", self.ben, {}, silent=True)
        self.hub.unsubscribe("a", self.ben)
        self.assertEqual([], self.ann.frames)

    def test_a_member_that_goes_while_others_are_sent_to(self) -> None:
        """It hinders nobody."""
        for member in (self.ann, self.ben):
            self.hub.subscribe("a", member, {}, silent=True)
        self.patch(self.ann, "deliver", lambda frame: self.hub.unsubscribe("a", self.ann))
        self.hub.publish("a", number(1))
        self.assertEqual([1], self.ben.data)


class Gathering(SynchronousTestCase):
    """What a hub does that may let publications wait for each other."""

    def setUp(self) -> None:
        self.hub = Hub()
        self.asked: dict[Spread, None] = {}
        self.hub.gather(self.ask)
        self.ann, self.ben = Listener("ann"), Listener("ben")
        self.hub.subscribe("a", self.ann, {}, silent=True)

    def ask(self, spread: Spread) -> None:
        self.asked[spread] = None

    def spread(self) -> None:
        asked, self.asked = self.asked, {}
        for spread in asked:
            spread()

    def data(self, member: Listener) -> list[Any]:
        frames = b"".join(member.frames)
        return [json.loads(text)["push"]["pub"]["data"] for text in re.findall(rb'\{"push".*?\}\}\}', frames)]

    def test_many_are_one_piece(self) -> None:
        """All members get the same bytes, once."""
        self.hub.subscribe("a", self.ben, {}, silent=True)
        for value in (1, 2, 3):
            self.hub.publish("a", number(value))
        self.assertEqual(([], 1), (self.ann.frames, len(self.asked)))
        self.spread()
        self.assertEqual((1, [1, 2, 3]), (len(self.ann.frames), self.data(self.ann)))
        self.assertIs(self.ann.frames[0], self.ben.frames[0])

    def test_who_comes_later_gets_nothing_of_before(self) -> None:
        """And who goes gets all until then."""
        self.hub.publish("a", number(1))
        self.hub.subscribe("a", self.ben, {}, silent=True)
        self.hub.publish("a", number(2))
        self.hub.unsubscribe("a", self.ann)
        self.hub.publish("a", number(3))
        self.spread()
        self.assertEqual(([1, 2], [2, 3]), (self.data(self.ann), self.data(self.ben)))

    def test_nothing_that_a_reply_told_is_sent_again(self) -> None:
        """Not even what was published before the reply and is not spread yet."""
        subscription = self.hub.subscribe("a", self.ben, {}, silent=True, hold=True)
        for value in (1, 2, 3):
            self.hub.publish("a", number(value))
        self.hub.flush(subscription, 2)
        self.spread()
        self.assertEqual(([1, 2, 3], [3]), (self.data(self.ann), self.data(self.ben)))

    def test_comings_are_told_in_order(self) -> None:
        """A publication of before goes before them."""
        self.hub.publish("a", number(1))
        self.hub.subscribe("a", self.ben, {"user": "ben"})
        self.assertEqual(["pub", "join"], [list(push)[1] for push in self.ann.pushes])

    def test_much_is_not_gathered(self) -> None:
        """So that no member is handed more at once than it has room for."""
        self.hub.publish("a", Publication(Raw(b'"%s"' % (b"x" * GATHERED)), 1))
        self.assertEqual(1, len(self.ann.frames))
        self.spread()
        self.assertEqual(1, len(self.ann.frames))


class Rings(SynchronousTestCase):
    """The newest publications."""

    def offsets(self, ring: Ring, since: int) -> list[int]:
        return [each.offset for each in ring.since(since)]

    def test_what_is_above_an_offset(self) -> None:
        """Oldest first, gaps in the offsets or not."""
        ring = Ring(0, most=10)
        for value in (2, 5, 9):
            ring.add(number(value))
        self.assertEqual(([2, 5, 9], [5, 9], [9], []), tuple(self.offsets(ring, since) for since in (0, 2, 5, 9)))

    def test_what_had_to_go_is_known(self) -> None:
        """Above ``after`` nothing is missing, whether number or size was the bound."""
        few = Ring(0, most=2)
        small = Ring(0, most=10, room=2)
        for value in (2, 5, 9):
            few.add(number(value))
            small.add(number(value))
        self.assertEqual((2, [5, 9]), (few.after, self.offsets(few, 0)))
        self.assertEqual((2, [5, 9]), (small.after, self.offsets(small, 0)))

    def test_the_same_one_twice(self) -> None:
        """It is kept once: what was read from the disk may be published yet."""
        ring = Ring(0, most=10)
        for value in (2, 5, 5, 2):
            ring.add(number(value))
        self.assertEqual([2, 5], self.offsets(ring, 0))
