"""Why a message is refused."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["Code", "KeysUnavailable", "Refused"]

Code: TypeAlias = Literal[
    "invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed", "access_denied"
]
"""What RFC 8935, section 2.4, calls it; the other endpoints use the same words."""


class KeysUnavailable(Exception):
    """Whether a message is right cannot be told now: its issuer's keys could not be fetched."""


class Refused(Exception):
    """A message that ends nothing.

    Args:
        code: What is wrong with it.
        why: The same in a sentence, for its sender. It repeats nothing of the message.
        rule: The section that says so.
    """

    def __init__(self, code: Code, why: str, rule: str) -> None:
        super().__init__(f"{why} ({rule})")
        self.code = code
        self.why = why
        self.rule = rule
