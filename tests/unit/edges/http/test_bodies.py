"""Bodies that come in the smallest of pieces take no more room than others."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.http.bodies import ENOUGH, BodyStream, WholeBody
from lineside.operations.web import Problem

SIZE = 200_000


def taken(push: Callable[[bytes], None], until: Callable[[int], bool]) -> tuple[int, int]:
    """Push pieces of two bytes until enough is said; return how many, and the bytes of memory that they took."""
    count = 0
    tracemalloc.start()
    try:
        while not until(count):
            push(b"%d" % (10 + count % 89))
            count += 1
        return count, tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


class SmallPieces(SynchronousTestCase):
    """Each object of Python's takes some fifty bytes beside what it holds."""

    def test_a_whole_body(self) -> None:
        """Takes what it has, about."""
        body = WholeBody(SIZE)
        count, memory = taken(body.push, lambda count: 2 * count == SIZE)
        self.assertLess(memory, 2 * SIZE)
        self.assertEqual(b"".join(b"%d" % (10 + n % 89) for n in range(count)), body.value())
        with self.assertRaises(Problem):
            body.push(b"x")

    def test_a_stream(self) -> None:
        """Is held up when it takes enough."""
        paused: list[bool] = []
        body = BodyStream(lambda: paused.append(True), lambda: None)
        _, memory = taken(body.push, lambda _: bool(paused))
        self.assertLess(memory, 2 * ENOUGH)

    def test_a_body_of_one_piece_is_not_copied(self) -> None:
        """As nearly all are."""
        body, piece = WholeBody(SIZE), b"x" * SIZE
        body.push(piece)
        self.assertIs(piece, body.value())
        self.assertEqual(b"", WholeBody(SIZE).value())
