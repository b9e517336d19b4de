"""The audit log: one line of JSON for each event."""

from __future__ import annotations

import io
import json
import logging
import stat
from pathlib import Path

import pytest

from limpet import events
from limpet.audit import JSONAuditLog
from tests.site import opened


async def test_lines_of_a_file(tmp_path: Path) -> None:
    """Each event is one line; the file is its user's alone."""
    path = tmp_path / "audit.jsonl"
    async with opened("memory", tmp_path) as site:
        site.manager.listen(JSONAuditLog(path))
        cookie = await site.login("ann\nbob")
        await site.run(lambda session: session.logout(), cookie)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["SessionCreated", "SessionLoggedIn", "SessionLoggedOut"]
    assert {line["subject"] for line in lines} == {"ann\nbob"}
    assert lines[0]["at"] == "2025-06-15T15:06:40.000Z"
    assert len({line["session"] for line in lines}) == 1
    assert cookie not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_streams_and_kinds() -> None:
    """A stream gets the lines, of the wanted kinds alone, with what else an event tells."""
    stream = io.StringIO()
    log = JSONAuditLog(stream, only=(events.LimitReached,))
    log(events.SessionCreated(at=0))
    log(events.LimitReached(at=1, subject="ann", refused=True))
    assert json.loads(stream.getvalue()) == {
        "at": "1970-01-01T00:00:00.001Z",
        "event": "LimitReached",
        "subject": "ann",
        "refused": True,
    }


def test_loggers(caplog: pytest.LogCaptureFixture) -> None:
    """A logger gets the line as a message."""
    with caplog.at_level(logging.INFO, "audit"):
        JSONAuditLog(logging.getLogger("audit"))(events.SessionExpired(at=0, tag="01234567"))
    [record] = caplog.records
    assert json.loads(record.getMessage())["session"] == "01234567"
