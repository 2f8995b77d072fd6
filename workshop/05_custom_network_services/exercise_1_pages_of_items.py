"""Exercise 1 (guided): pages of items.

Serve what is known of items, from a dictionary such as ``{"BOLT-M8": {"name": "Hex bolt M8 x 40"}}``:

- ``GET /items/BOLT-M8`` answers 200 with the item as JSON;
- an item that is not in the dictionary answers 404;
- ``GET /items`` answers the list of all codes, sorted, as JSON;
- both say what they answer: ``Content-Type: application/json``.

`root` puts the tree together and is given to you. `Items` stands at /items, and Twisted asks its ``getChild`` for
whatever comes behind the next slash.
"""

import json

from twisted.web.resource import Resource


class Items(Resource):
    """/items"""

    def __init__(self, items):
        super().__init__()
        self.items = items

    def getChild(self, path, request):
        # TODO 1: path is bytes. Return an Item for a code that is known, and `notFound()` for any other.
        return Item({})

    def render_GET(self, request):
        # TODO 2: answer all codes, sorted. The header is as in TODO 3; what is returned is the body, as bytes.
        return b""


class Item(Resource):
    """/items/CODE"""

    isLeaf = True

    def __init__(self, item):
        super().__init__()
        self.item = item

    def render_GET(self, request):
        # TODO 3: set the header Content-Type, and return JSON, as bytes.
        return b""


def root(items):
    """Return the root of the tree."""
    tree = Resource()
    tree.putChild(b"items", Items(items))
    return tree


def as_json(value):
    """Return a value as the bytes of its JSON."""
    return json.dumps(value).encode()
