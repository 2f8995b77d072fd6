"""Exercise 1 (guided): the hub.

A hub knows the stock and the screens that show it. A screen has one method: ``screen.send(message)`` takes bytes, and
may raise when the screen is gone. Nothing else of WebSockets matters here.

- ``join(screen)`` sends it the whole stock, ``{"stock": {"BOLT-M8": 120}}``, and from then on it hears of changes.
- ``leave(screen)`` ends that. To leave twice is no error.
- ``update(stock)`` gets the whole stock as the ERP tells it, and sends ``{"changes": {"BOLT-M8": 125}}`` to all screens:
  what is new or different, and nothing at all when nothing is.
- News are turned into JSON once, and all screens get the same bytes.
- A screen whose ``send`` raises leaves. The others hear the news all the same, and ``update`` raises nothing.

What is missing is marked TODO. See what you have: ``lineside workshop check 7``.
"""

import json


class Hub:
    """The stock, and the screens that show it."""

    def __init__(self):
        self.screens = set()
        self.stock = {}

    def join(self, screen):
        # TODO 1: the whole stock first, as JSON in bytes: json.dumps(…).encode()
        self.screens.add(screen)

    def leave(self, screen):
        self.screens.remove(screen)  # TODO 2: what happens when a screen leaves twice?

    def update(self, stock):
        # TODO 3: only what changed, and nothing when nothing did. Remember what you told.
        # TODO 4: encode once.
        # TODO 5: a screen that raises leaves, and the others still hear. Mind what a loop over a set says when the set
        #         becomes smaller meanwhile.
        for screen in self.screens:
            screen.send(json.dumps({"changes": stock}).encode())
