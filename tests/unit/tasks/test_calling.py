"""What a task's function says of its parameters."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct
from twisted.trial.unittest import SynchronousTestCase

from lineside.tasks.calling import params_type, typed
from lineside.tasks.context import Context, ThreadContext

Item = TypeVar("Item")


class Recount(Struct):
    """Parameters of a task."""

    item: str
    shelves: int = 1


class Odd(Generic[Item]):
    """Nothing that parameters are made into."""


async def recount(context: Context[Recount]) -> None:
    """Want a struct."""


def recount_blocking(context: ThreadContext[Recount]) -> None:
    """Want a struct, on a thread."""


async def anything(context: Context[dict[str, Any]]) -> None:
    """Want what comes."""


async def unsaid(context) -> None:  # type: ignore[no-untyped-def]
    """Say nothing."""


async def odd(context: Context[Odd[int]]) -> None:
    """Want what cannot be."""


class Parameters(SynchronousTestCase):
    """By the annotation of the function's first argument."""

    def test_are_what_the_annotation_says(self) -> None:
        """`Context[Recount]` wants a Recount, on the reactor's thread or another."""
        self.assertEqual([Recount, Recount], [params_type(recount), params_type(recount_blocking)])

    def test_are_a_dict_where_it_says_nothing_else(self) -> None:
        """Without an annotation, or with one of a dict, parameters come as they are."""
        self.assertEqual([None, None], [params_type(anything), params_type(unsaid)])

    def test_cannot_be_everything(self) -> None:
        """A type that nothing can be made into is told when the task is configured."""
        self.assertIn("is no type for parameters", str(self.assertRaises(TypeError, params_type, odd)))

    def test_are_made_and_checked(self) -> None:
        """Texts become numbers where these are wanted; what is missing or wrong is told by its name."""
        self.assertEqual(Recount("bolt", 3), typed({"item": "bolt", "shelves": "3"}, Recount))
        wrong = self.assertRaises(msgspec.ValidationError, typed, {"shelves": 3}, Recount)
        self.assertIn("item", str(wrong))
        self.assertEqual({"as": "it is"}, typed({"as": "it is"}, None))
