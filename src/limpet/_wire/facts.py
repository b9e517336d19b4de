"""What facts of a record may say: checks of what a store gave back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["IMPORT", "are_rows", "are_words", "is_binding", "is_text", "proven"]

IMPORT: Final = "import"
"""The method (``amr``) of a login that nobody saw here: a session of another library has moved in."""

_KINDS: Final[Mapping[str, type]] = {
    "id": str,
    "since": int,
    "key": dict,
    "thumb": str,
    "alg": str,
    "at": int,
    "last": int,
    "proofs": int,
}
_ASKED: Final = ("id", "since")
_KEYED: Final = tuple(name for name in _KINDS if name != "at")


def is_binding(bound: dict[str, Any]) -> bool:
    """Tell whether a mapping says what it should of the device that a session is bound to (`limpet.bound`).

    ``id``: what devices call the session. ``since``: when a browser was asked to bind it. Once one has registered:
    ``key`` (a public JWK), ``thumb`` (its thumbprint, RFC 7638), ``alg``, ``proofs`` (how many there were, the
    registration among them) and ``last`` (when the last one was). ``at``: when the first proof after the registration
    was, from which on the session needs one. Times are in milliseconds since 1970.
    """
    known = all(type(value) is _KINDS.get(name) for name, value in bound.items())
    return known and all(name in bound for name in (_KEYED if "key" in bound else _ASKED))


def proven(bound: Mapping[str, Any] | None) -> tuple[str, int] | None:
    """Return with which algorithm the device of a session was proven last, and when; None: it is bound to none.

    A device that has registered and has given no proof yet binds nothing.
    """
    return None if bound is None or "at" not in bound else (bound["alg"], bound["last"])


def is_text(labels: dict[str, Any]) -> bool:
    """Tell whether all values are text."""
    return all(type(value) is str for value in labels.values())


def are_words(words: list[Any]) -> bool:
    """Tell whether a list holds nothing but text."""
    return all(type(word) is str for word in words)


_ROW: Final = ((str,), (int,), (str,), (str, type(None)), (dict,))


def are_rows(rows: list[Any]) -> bool:
    """Tell whether a list names predecessors (`limpet._wire.record.Predecessor`)."""
    return all(
        type(row) is list
        and len(row) == len(_ROW)
        and all(type(part) in kinds for part, kinds in zip(row, _ROW, strict=True))
        for row in rows
    )
