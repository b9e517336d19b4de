"""An audit log: one line of JSON for each event.

::

    manager.listen(JSONAuditLog("/var/log/shop/sessions.jsonl"))

No line holds a session id, a key or a value; the subject is, because an audit log is read to learn it.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime
from typing import IO, Final

from limpet.devices import summary
from limpet.events import Event

__all__ = ["JSONAuditLog"]

_COMMON: Final = frozenset(one.name for one in fields(Event))


class JSONAuditLog:
    """A listener that writes each event as one line of JSON.

    A line has ``at`` (RFC 3339, UTC, milliseconds), ``event`` (the name of its class), ``session`` (the first digits
    of the store key) and ``subject`` where there are any, and what else the event tells. With
    `limpet.events.acting` it has ``by`` and ``why``, and with ``SessionManager(devices=True)`` the ``device`` and
    truncated ``address`` whose request it was.

    Args:
        to: A path, which is appended to (made with mode 0600); a text stream; or a logger, which gets the line as an
            INFO message.
        only: The kinds of events to write; None: all.
    """

    def __init__(
        self, to: str | os.PathLike[str] | IO[str] | logging.Logger, *, only: Iterable[type[Event]] | None = None
    ) -> None:
        self._to = to
        self._only = None if only is None else tuple(only)
        self._locks: dict[int, threading.Lock] = {}  # by process: a forked one inherits no lock that is held

    def __call__(self, event: Event) -> None:
        """Write the event."""
        if self._only is not None and not isinstance(event, self._only):
            return
        line = self.line(event)
        if isinstance(self._to, logging.Logger):
            self._to.info("%s", line)
        elif isinstance(self._to, (str, os.PathLike)):
            # Opened anew for each line, so that the file can be rotated; one write, so that processes can share it.
            descriptor = os.open(self._to, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line.encode() + b"\n")
            finally:
                os.close(descriptor)
        else:
            with self._locks.setdefault(os.getpid(), threading.Lock()):
                self._to.write(line + "\n")
                self._to.flush()

    @staticmethod
    def line(event: Event) -> str:
        """Return the line of an event, without its end."""
        moment = datetime.fromtimestamp(event.at / 1000, UTC)
        document: dict[str, object] = {
            "at": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "event": type(event).__name__,
        }
        if event.tag is not None:
            document["session"] = event.tag
        if event.subject is not None:
            document["subject"] = event.subject
        if event.by is not None:
            document["by"] = event.by
        if event.why is not None:
            document["why"] = event.why
        if event.device is not None:
            document["device"] = summary(event.device.get("agent", ""))
            if "address" in event.device:
                document["address"] = event.device["address"]
        for one in fields(event):
            if one.name not in _COMMON:
                document[one.name] = getattr(event, one.name)
        return json.dumps(document, separators=(",", ":"))
