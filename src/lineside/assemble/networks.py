"""Networks, as the configuration names them."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from lineside.assemble.values import Shape, in_tuple


def _networks(given: tuple[str, ...]) -> tuple[str, ...]:
    for each in given:
        try:
            ip_network(each)
        except ValueError as wrong:
            raise ValueError(f'"{each}" is no network such as "10.0.0.0/8": {wrong}') from wrong
    return given


Networks = Annotated[
    tuple[str, ...], BeforeValidator(in_tuple), AfterValidator(_networks), Shape("array of networks")
]
"""Such as ``10.0.0.0/8``; one address is one as well."""
