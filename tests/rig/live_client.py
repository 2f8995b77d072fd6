"""An application on centrifuge-python, told line by line what to do: it prints whatever comes, as JSON lines.

``live_client.mjs`` is the same on the SDK for JavaScript. Both want one argument, JSON: ``url`` and, if the
connection is to have tokens, ``tokens``: the first is at hand, each further one is what ``getToken`` gives.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

from centrifuge import Client, ClientEventHandler, ReplyError, StreamPosition, SubscriptionEventHandler  # type: ignore[import-untyped]


def tell(event: str, **facts: Any) -> None:
    """Print what happened."""
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


class OfClient(ClientEventHandler):
    """What becomes of the connection."""

    async def on_connected(self, ctx: Any) -> None:
        tell("connected", client=ctx.client)

    async def on_connecting(self, ctx: Any) -> None:
        tell("connecting", code=ctx.code, reason=ctx.reason)

    async def on_disconnected(self, ctx: Any) -> None:
        tell("disconnected", code=ctx.code, reason=ctx.reason)

    async def on_publication(self, ctx: Any) -> None:
        tell("publication", channel=ctx.channel, offset=ctx.pub.offset, data=ctx.pub.data)

    async def on_subscribed(self, ctx: Any) -> None:
        tell("subscribed", channel=ctx.channel, recovered=ctx.recovered, was_recovering=ctx.was_recovering)


class OfChannel(SubscriptionEventHandler):
    """What becomes of a subscription, and what it brings."""

    def __init__(self, channel: str) -> None:
        self.channel = channel

    async def on_subscribed(self, ctx: Any) -> None:
        tell("subscribed", channel=self.channel, recovered=ctx.recovered, was_recovering=ctx.was_recovering)

    async def on_unsubscribed(self, ctx: Any) -> None:
        tell("unsubscribed", channel=self.channel, code=ctx.code, reason=ctx.reason)

    async def on_publication(self, ctx: Any) -> None:
        tell("publication", channel=self.channel, offset=ctx.pub.offset, data=ctx.pub.data)

    async def on_join(self, ctx: Any) -> None:
        tell("join", channel=self.channel, user=ctx.info.user, client=ctx.info.client)

    async def on_leave(self, ctx: Any) -> None:
        tell("leave", channel=self.channel, user=ctx.info.user, client=ctx.info.client)


class Application:
    """Carries orders out."""

    def __init__(self, url: str, tokens: list[str]) -> None:
        async def get_token() -> str:
            tell("token")
            return tokens.pop(0)

        self._client = Client(
            url,
            events=OfClient(),
            token=tokens.pop(0) if tokens else "",
            get_token=get_token if tokens else None,
            min_reconnect_delay=0.02,
            max_reconnect_delay=0.2,
            proxy=None,
        )
        self._subscriptions: dict[str, Any] = {}

    async def carry_out(self, order: dict[str, Any]) -> None:
        do, channel = order["do"], order.get("channel", "")
        try:
            answer = await self._answer(do, channel, order)
        except ReplyError as refused:
            tell("refused", do=do, code=refused.code)
        else:
            tell("answer", do=do, **answer)

    async def _answer(self, do: str, channel: str, order: dict[str, Any]) -> dict[str, Any]:
        client = self._client
        match do:
            case "connect":
                await client.connect()
            case "subscribe":
                subscription = client.new_subscription(
                    channel, events=OfChannel(channel), min_resubscribe_delay=0.02, max_resubscribe_delay=0.2
                )
                self._subscriptions[channel] = subscription
                await subscription.subscribe()
            case "unsubscribe":
                await self._subscriptions[channel].unsubscribe()
            case "publish":
                await self._subscriptions[channel].publish(order["data"])
            case "rpc":
                return {"data": (await client.rpc(order["method"], order["data"])).data}
            case "presence":
                found = await self._subscriptions[channel].presence()
                return {"clients": {name: info.user for name, info in found.clients.items()}}
            case "presence_stats":
                return asdict(await self._subscriptions[channel].presence_stats())
            case "history":
                since = order.get("since")
                found = await self._subscriptions[channel].history(
                    limit=order["limit"],
                    since=None if since is None else StreamPosition(**since),
                    reverse=order.get("reverse", False),
                )
                return {
                    "offset": found.offset,
                    "epoch": found.epoch,
                    "offsets": [publication.offset for publication in found.publications],
                }
            case _:
                raise AssertionError(do)
        return {}


async def main() -> None:
    """Carry out what standard input says, to its end."""
    options = json.loads(sys.argv[1])
    application = Application(options["url"], options.get("tokens", []))
    orders = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    tell("started")
    beside = set()
    async for line in orders:
        order = json.loads(line)
        carrying = asyncio.ensure_future(application.carry_out(order))
        if order.get("beside"):
            beside.add(carrying)
        else:
            await carrying


if __name__ == "__main__":
    asyncio.run(main())
