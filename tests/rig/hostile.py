"""What nobody sends by mistake: JSON, HTTP requests, frames and configurations that attack what reads them."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase

fuzzed = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "15")),
    database=DirectoryBasedExampleDatabase(os.environ["FUZZ_DATABASE"]) if "FUZZ_DATABASE" in os.environ else None,
)
"""Few examples with all the other tests, as many as are asked for with `make fuzz`, which keeps what it finds."""

DEEP = 100_000
"""Levels of nesting."""

NUMBERS = (
    b"1" + b"0" * 400,
    b"1e999",
    b"-1e999",
    b"-0",
    b"9007199254740993",
    b"9" * 5000,
    b"1e-999",
    b"0e" + b"9" * 400,
)
"""Too large for a float, for a word, or for Python's own limit of digits; or not what a reader makes of them."""

WORST: tuple[bytes, ...] = (
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b"[" * DEEP,
    b'{"a":"\xff"}',
    b"\xff\xfe{\x00}\x00",
    b'{"a":"\\ud800"}',
    b'{"\\u0000":"\\u001b[2J"}',
    b'{"a":1,"a":2}',
    b'{"__proto__":{},"__class__":1}',
    b"",
    b"null",
    b'"' + b"x" * 100_000,
    *(b'{"a":%s}' % number for number in NUMBERS),
)
"""Bodies that no door may fail at."""

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@st.composite
def bent(draw: st.DrawFn, good: st.SearchStrategy[bytes]) -> bytes:
    """Return something good of which a few pieces are cut out, doubled, altered or put elsewhere."""
    data = draw(good)
    for _ in range(draw(st.integers(0, 3))):
        begin = draw(st.integers(0, len(data)))
        end = draw(st.integers(begin, min(len(data), begin + 40)))
        piece = draw(
            st.sampled_from([b"", data[begin:end] * 2, b"\0", b"\r\n", b"\xff", b"{", b"[", b'"', *NUMBERS])
        )
        data = data[:begin] + piece + data[end:]
    return data


JSONS = (
    st.sampled_from(WORST) | bent(VALUES.map(lambda value: json.dumps(value).encode())) | st.binary(max_size=200)
)
"""Anything that may come where JSON is expected."""


def objects(names: tuple[str, ...], kinds: tuple[str, ...] = ()) -> st.SearchStrategy[bytes]:
    """Return objects with some of these members, whose values are of any kind; texts are also one of ``kinds``."""
    value: st.SearchStrategy[Any] = VALUES | st.sampled_from(kinds) if kinds else VALUES
    return bent(
        st.dictionaries(st.sampled_from(names), value, max_size=4).map(lambda each: json.dumps(each).encode())
    )


HEADERS = st.sampled_from(
    [
        b"Content-Length: 4",
        b"Content-Length: 4, 4",
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Content-Length: +4",
        b"Content-Length: " + b"9" * 5000,
        b"Content-Length : 4",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked, identity",
        b" folded: yes",
        b"Content-Type: application/json",
        b"Content-Encoding: gzip",
        b"Connection: Upgrade",
        b"Upgrade: h2c",
        b"Expect: 100-continue",
        b"Expect: \xff",
        b"Host: other",
        b"X: " + b"y" * 20_000,
        b"\x00: \x00",
        b":",
        b"Authorization: Bearer \xff",
    ]
)
REQUESTS = bent(
    st.builds(
        lambda line, headers, body: line + b"\r\n" + b"\r\n".join([b"Host: localhost", *headers, b"", body]),
        st.sampled_from(
            [
                b"GET /plain HTTP/1.1",
                b"POST /whole HTTP/1.1",
                b"POST /stream HTTP/1.1",
                b"GET /things/%2e%2e%2f%00%ff HTTP/1.1",
                b"GET //plain HTTP/1.0",
                b"GET http://[::1/ HTTP/1.1",
                b"* /plain HTTP/1.1",
                b"GET /plain HTTP/9.9",
                b"PRI * HTTP/2.0",
            ]
        ),
        st.lists(HEADERS, max_size=5),
        st.sampled_from(
            [b"", b"{}xx", b"4\r\n{}xx\r\n0\r\n\r\n", b"fffffffffffffffff\r\n", b"-1\r\n", b"0\r\nX: y\r\n\r\n"]
        ),
    )
)
"""What comes on a connection of HTTP."""
