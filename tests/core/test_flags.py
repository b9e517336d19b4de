"""The flags of a session's state."""

from __future__ import annotations

from collections import Counter

from limpet._core import state


def test_each_flag_is_a_bit_of_its_own() -> None:
    """Two flags that share a bit would each be taken for the other."""
    phases = {"READY", "PENDING", "SEALED", "FAILED", "OPEN", "STARTED", "CLOSED"}
    flags = {name: value for name, value in vars(state).items() if name.isupper() and type(value) is int}
    bits = Counter(value for name, value in flags.items() if name not in phases)
    assert {bit: count for bit, count in bits.items() if count > 1 or bit.bit_count() != 1} == {}
