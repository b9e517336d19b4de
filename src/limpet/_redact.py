"""Strips local variables from tracebacks, so that error reporters cannot print ids or values.

A report that prints local variables (rich, Sentry, a debugging page) walks through the frames of a traceback. Those of
the engine and of the stores hold ids, payloads and values that no handler has asked for. So an error of ours leaves the
engine without them: a note says where it was raised. Any other error would be a mistake in the code and stays whole.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import TypeVar

from limpet.errors import LimpetError

__all__ = ["redact"]

_E = TypeVar("_E", bound=LimpetError)


def redact(error: _E) -> _E:
    """Return an error without its tracebacks and those of its causes, with a note of the innermost line.

    What was being handled when the caller was called, such as an error of the application's, is left as it is.
    """
    above: set[FrameType] = set()
    frame: FrameType | None = sys._getframe(1)
    if error.__traceback__ is not None and error.__traceback__.tb_frame is frame:
        frame = frame.f_back  # the caller's own; compiled code is not on the stack, and has none there
    while frame is not None:
        above.add(frame)
        frame = frame.f_back
    _note_the_place(error)
    each: BaseException | None = error
    seen: set[int] = set()
    while each is not None and id(each) not in seen:
        if each.__traceback__ is not None and each.__traceback__.tb_frame in above:
            break
        seen.add(id(each))
        each.__traceback__ = None
        each = each.__cause__ or (None if each is error else each.__context__)
    return error


def _note_the_place(error: LimpetError) -> None:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None and not hasattr(error, "__notes__"):
        code = trace.tb_frame.f_code
        error.add_note(f"raised in {code.co_qualname}, {code.co_filename}:{trace.tb_lineno}")
