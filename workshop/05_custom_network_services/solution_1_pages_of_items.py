"""Solution of exercise 1: pages of items."""

import json

from twisted.web.pages import notFound
from twisted.web.resource import Resource


class Items(Resource):
    """/items"""

    def __init__(self, items):
        super().__init__()
        self.items = items

    def getChild(self, path, request):
        # Bytes that are no UTF-8 are no item's code; "replace" makes something of them that is in no dictionary.
        code = path.decode(errors="replace")
        return Item(self.items[code]) if code in self.items else notFound()

    def render_GET(self, request):
        request.setHeader("Content-Type", "application/json")
        return as_json(sorted(self.items))


class Item(Resource):
    """/items/CODE"""

    isLeaf = True

    def __init__(self, item):
        super().__init__()
        self.item = item

    def render_GET(self, request):
        request.setHeader("Content-Type", "application/json")
        return as_json(self.item)


def root(items):
    """Return the root of the tree."""
    tree = Resource()
    tree.putChild(b"items", Items(items))
    return tree


def as_json(value):
    """Return a value as the bytes of its JSON."""
    return json.dumps(value).encode()
