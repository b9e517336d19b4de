"""How often a test does something: in every run, and in `make test-long`."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["LONG", "count"]

LONG: Final = os.environ.get("LIMPET_LONG", "0") not in {"", "0"}
"""Whether the large counts are asked for; `make test-long` sets LIMPET_LONG=1."""


def count(quick: int, long: int) -> int:
    """Return how often to do something: in every run, and with LIMPET_LONG=1."""
    return long if LONG else quick
