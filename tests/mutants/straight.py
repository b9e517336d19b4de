"""Breakages of the straight paths: what they would have to leave to the general ones."""

from __future__ import annotations

from typing import Final

from tests.mutants.breakage import Breakage

__all__ = ["STRAIGHT"]

STRAIGHT: Final = (
    Breakage(
        "the quick judgement takes a session at its idle deadline",
        "_core/manager.py",
        "now - accessed < self._safe_idle",
        "now - accessed <= self._safe_idle",
        "security/test_s09_expiry.py",
    ),
    Breakage(
        "the quick judgement takes a session at its absolute deadline",
        "_core/manager.py",
        "now - contents.created < self._safe_age",
        "now - contents.created <= self._safe_age",
        "security/test_s10_absolute_timeout.py",
    ),
    Breakage(
        "the straight way in does not look at a deadline of the session's own",
        "_core/plain.py",
        "accessed > now or contents.ends is not None or engine.is_over",
        "accessed > now or engine.is_over",
        "core/test_plain.py",
    ),
    Breakage(
        "the straight way in takes the last of two cookies",
        "sealers/_token.py",
        "if rest is not None or (at and",
        "if (at and",
        "core/test_plain.py",
    ),
    Breakage(
        "the straight way in does not look whether the name comes again",
        "sealers/_token.py",
        "if rest is None or rest.find(name) >= 0:",
        "if rest is None:",
        "core/test_plain.py",
    ),
    Breakage(
        "the straight way in takes a cookie whose name only ends like ours",
        "sealers/_token.py",
        'if rest is not None or (at and line[at - 2 : at] != b"; "):',
        "if rest is not None:",
        "core/test_plain.py",
    ),
    Breakage(
        "the usual save takes a login for a change of values",
        "_core/plain.py",
        "        session._rare is not None\n        or session._phase\n",
        "        session._phase\n",
        "core/test_plain.py",
    ),
    Breakage(
        "the usual save does not look at keys that stand for a login",
        "_core/plain.py",
        "if value is not None and type(value) not in FROZEN:",
        "if value is None and not engine:",
        "core/test_plain.py",
    ),
    Breakage(
        "a save that was given up is taken for another request's",
        "_core/plain.py",
        "        session._tried = {record.version: {}}\n",
        "",
        "races/test_cancelled.py",
    ),
)
