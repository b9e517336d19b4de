"""What a poll for security events brings, and what the next one says of it (RFC 8936). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from limpet.signout._refused import Refused

__all__ = ["report", "sets_of"]


def sets_of(answer: object) -> Mapping[str, object]:
    """Return the tokens in the answer to a poll, each under the ``jti`` that it was sent under.

    Raises:
        ValueError: It is no answer to a poll.

    Source: RFC 8936, section 2.3.
    """
    sets = answer.get("sets") if isinstance(answer, Mapping) else None
    if not isinstance(sets, Mapping) or not all(isinstance(jti, str) for jti in sets):
        raise ValueError(
            'this is no answer to a poll, which is an object with "sets" in it (RFC 8936, section 2.3): give what was '
            "decoded from its JSON, and look at its status first"
        )
    return cast("Mapping[str, object]", sets)


def report(taken: Sequence[str], refused: Mapping[str, Refused]) -> dict[str, Any]:
    """Return what the next poll says of these tokens.

    Source: RFC 8936, sections 2.2 and 2.6, with the errors of RFC 8935, section 2.4.
    """
    said: dict[str, Any] = {}
    if taken:
        said["ack"] = list(taken)
    if refused:
        said["setErrs"] = {jti: {"err": why.code, "description": why.why} for jti, why in refused.items()}
    return said
