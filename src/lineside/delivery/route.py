"""What a route makes of a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from lineside.delivery.templates import Condition, RenderError, Template
from lineside.model.event import Record, delivery_id
from lineside.model.fields import key_text, lookup
from lineside.model.outcome import Refused
from lineside.model.ports import Delivery

_payload = msgspec.json.Decoder()
