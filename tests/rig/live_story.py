"""What an application sees of live channels through one of Centrifugo's SDKs; told for each of them."""

from __future__ import annotations

from tests.rig.live_case import LiveCase, token
from tests.rig.told import of


class LiveStory(LiveCase):
    """The promises to a client."""

    async def test_an_event_comes_the_moment_it_is_stored(self) -> None:
        """Its offset is the sequence that the device was told; history has it too, forwards and backwards."""
        client = await self.follower()
        self.device.send(range(1, 11))
        await self.device.answered()
        await self.got_all(client)
        offsets = sorted(self.acknowledged.values())
        found = await client.do("history", channel="events:gate", limit=100)
        self.assertEqual((offsets, offsets[-1]), (found["offsets"], found["offset"]))
        since = {"offset": offsets[4], "epoch": found["epoch"]}
        newer = await client.do("history", channel="events:gate", limit=3, since=since)
        self.assertEqual(offsets[5:8], newer["offsets"])
        older = await client.do("history", channel="events:gate", limit=3, since=since, reverse=True)
        self.assertEqual(offsets[3:0:-1], older["offsets"])
        position = await client.do("history", channel="events:gate", limit=0)
        self.assertEqual(([], offsets[-1]), (position["offsets"], position["offset"]))
        lost = {"offset": offsets[4], "epoch": "another journal's"}
        refused = await client.do("history", channel="events:gate", limit=3, since=lost)
        self.assertEqual(112, refused["code"])

    async def test_members_see_and_hear_each_other(self) -> None:
        """Who is there, who comes and goes, and what each publishes, in every kind of JSON."""
        anna, bert = await self.client(token("anna")), await self.client(token("bert"))
        await anna.do("connect")
        me = (await anna.heard("connected"))["client"]
        await anna.do("subscribe", channel="pub:hall")
        await anna.heard("subscribed")
        await bert.do("connect")
        await bert.do("subscribe", channel="pub:hall")
        other = (await anna.heard("join", user="bert"))["client"]
        await bert.heard("subscribed")
        present = await anna.do("presence", channel="pub:hall")
        self.assertEqual({me: "anna", other: "bert"}, present["clients"])
        counted = await bert.do("presence_stats", channel="pub:hall")
        self.assertEqual((2, 2), (counted["num_clients"], counted["num_users"]))
        for data in ({"text": "Grüße ✓\n🏭"}, [1, None, 2.5], "text", 0, False):
            await bert.do("publish", channel="pub:hall", data=data)
            for client in (anna, bert):
                self.assertEqual(data, (await client.heard("publication"))["data"])
        await bert.do("unsubscribe", channel="pub:hall")
        await anna.heard("leave", user="bert", client=other)

    async def test_calls_are_answered_or_refused(self) -> None:
        """With what the operation returns, or with the code for what does not go."""
        client = await self.client()
        await client.do("connect")
        shown = await client.do("rpc", method="status", data={})
        self.assertEqual(["gate", "pages"], sorted(source["id"] for source in shown["data"]["sources"]))
        self.assertEqual(104, (await client.do("rpc", method="no.such", data={}))["code"])
        self.assertEqual(107, (await client.do("rpc", method="events.show", data={"seq": "x"}))["code"])
        self.assertEqual(103, (await client.do("rpc", method="deadletters.retry", data={"ids": []}))["code"])

    async def test_events_are_brought_in_by_a_call(self) -> None:
        """They are on disk when it is answered; a repeat under its key is one, and who only looks brings none."""
        sender = await self.client(token("term", meta={"role": "operator"}))
        await sender.do("connect")
        await sender.do("subscribe", channel="events:pages")
        await sender.heard("subscribed")
        await sender.do("subscribe", channel="deadletters")
        await sender.heard("subscribed")
        call = {"source": "pages", "events": [{"n": 1}, "none"], "key": "k-1"}
        told = (await sender.do("rpc", method="events.append", data=call))["data"]
        self.assertEqual([1], [each["index"] for each in told["rejected"]])
        self.assertEqual({"n": 1}, (await sender.heard("publication", channel="events:pages"))["data"]["event"])
        letter = (await sender.heard("publication", channel="deadletters"))["data"]
        self.assertEqual((told["sequences"][1], "pages", "json"), (letter["seq"], letter["source"], letter["code"]))
        again = (await sender.do("rpc", method="events.append", data=call))["data"]
        self.assertEqual((told["sequences"], [0, 1]), (again["sequences"], again["repeated"]))
        wrong = {"source": "nowhere", "events": []}
        self.assertEqual(400, (await sender.do("rpc", method="events.append", data=wrong))["code"])
        self.assertEqual(107, (await sender.do("rpc", method="events.append", data={}))["code"])
        reader = await self.client()
        await reader.do("connect")
        self.assertEqual(103, (await reader.do("rpc", method="events.append", data=call))["code"])

    async def test_what_was_missed_is_made_good_after_cuts(self) -> None:
        """The way is cut, or swallows what is sent first, and the gateway dies: all in order, each once."""
        client = await self.follower()
        sent = 0

        async def send(count: int) -> None:
            nonlocal sent
            self.device.send(range(sent, sent + count))
            sent += count
            await self.device.answered()

        await send(50)
        self.network.swallows = True
        await send(50)
        self.network.cut()
        self.network.swallows = False
        await send(50)
        self.assertTrue((await client.heard("subscribed"))["recovered"])
        self.device.send(range(sent, sent + 100))
        sent += 100
        await self.device.answered(60)
        await self.kill_gateway()
        await send(50)
        await self.device.answered()
        await self.got_all(client)
        self.assertEqual(1, self.always_recovered(client))

    async def test_who_missed_more_than_the_limit_is_told(self) -> None:
        """`recovered` is false, and from there on everything comes."""
        client = await self.follower()
        self.device.send([0])
        await self.device.answered()
        await self.got_all(client)
        self.network.swallows = True
        self.device.send(range(1, self.limit + 2))
        await self.device.answered()
        self.network.swallows = False
        self.network.cut()
        returned = await client.heard("subscribed")
        self.assertEqual((True, False), (returned["was_recovering"], returned["recovered"]))
        client.said.clear()
        self.acknowledged.clear()
        self.device.send([self.limit + 2])
        await self.device.answered()
        await self.got_all(client)

    async def test_a_token_that_expired_is_replaced(self) -> None:
        """At the start, and once its time is up: the SDK asks its application, and the connection stays."""
        client = await self.client(token("anna", -10), token("anna", 2), token("anna"))
        await client.do("connect")
        await client.do("subscribe", channel="events:gate")
        await client.heard("token")
        await client.heard("connected")
        await client.heard("token")
        # The answer comes behind the new token.
        await client.do("rpc", method="status", data={})
        self.device.send([1])
        await self.device.answered()
        await self.got_all(client)
        self.assertEqual(1, len(of(client.said, "subscribed")))

    async def test_a_token_that_is_none_ends_it(self) -> None:
        """The SDK does not come back with it."""
        client = await self.client(token("anna") + "x")
        await client.do("connect")
        self.assertEqual(3500, (await client.heard("disconnected"))["code"])

    async def test_a_client_that_takes_nothing_is_let_go_and_recovers(self) -> None:
        """It is told 3008; the others do not wait for it, and it misses nothing either."""
        # Nothing between, that would take what they do not.
        stalled, other = await self.follower(url=self.direct), await self.follower(url=self.direct)
        stalled.signal("STOP")
        sent = 0
        while not of(self.gateway.said, "live.slow"):
            # Less than may wait for the other.
            self.device.send(range(sent, sent + 10), "x" * 30_000)
            sent += 10
            await self.device.answered()
            if not of(self.gateway.said, "live.slow"):
                await self.got_all(other)
        stalled.signal("CONT")
        left = await stalled.heard("connecting", code=3008)
        self.assertEqual("slow", left["reason"])
        await self.got_all(stalled)
        await self.got_all(other)
        self.assertEqual([], of(other.said, "connecting"))
        self.always_recovered(stalled)

    async def test_a_gateway_that_stops_is_waited_for(self) -> None:
        """Clients are told 3001 and come back by themselves."""
        client = await self.follower()
        self.assertEqual(0, await self.gateway.end("TERM"))
        self.assertEqual((3001, "shutdown"), tuple((await client.heard("connecting", code=3001)).values())[1:])
        await self.start_gateway()
        self.device.send([1])
        await self.device.answered()
        await self.got_all(client)
