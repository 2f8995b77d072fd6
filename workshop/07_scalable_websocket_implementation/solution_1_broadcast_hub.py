"""Solution of exercise 1: the hub."""

import json


class Hub:
    """The stock, and the screens that show it."""

    def __init__(self):
        self.screens = set()
        self.stock = {}

    def join(self, screen):
        self.screens.add(screen)
        self.tell([screen], {"stock": self.stock})

    def leave(self, screen):
        self.screens.discard(screen)

    def update(self, stock):
        # Sets of pairs: what is in the new one and not in the old one is new or has another quantity.
        changes = dict(stock.items() - self.stock.items())
        self.stock = dict(stock)  # a copy: whoever gave it to us may go on changing it
        if changes:
            self.tell(self.screens, {"changes": changes})

    def tell(self, screens, news):
        message = json.dumps(news).encode()
        # A copy here too: a screen may leave, or another may join, while we are in the loop.
        for screen in tuple(screens):
            try:
                screen.send(message)
            except Exception:  # whatever is wrong with it is no reason for others to hear nothing
                self.leave(screen)
