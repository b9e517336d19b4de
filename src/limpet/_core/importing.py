"""Moving in: a request that has no session of ours and one of another library keeps what it holds.

The old session is only read. The first response that has to do with the session turns it into a new one, with an id of
its own; a logout takes the old cookie away too, so that it cannot come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from limpet._core import events
from limpet._core.protocols import Header, Imported, Importer
from limpet._core.standing import PENDING
from limpet.errors import UnstorableValue

if TYPE_CHECKING:
    from limpet._core.manager import Engine
    from limpet._core.session import Session

__all__ = ["Old", "adopt", "leftovers", "look", "note", "read"]


class Old:
    """What a request brought from another library.

    Attributes:
        found: The importers that found a cookie of theirs, each with its values.
        source: The importer whose session was taken over.
        left_out: Keys whose values cannot be stored.
        noted: The new session is to be written.
        dropped: The session was ended: the old cookie is not to come back.
    """

    __slots__ = ("dropped", "found", "left_out", "noted", "source")

    def __init__(self, found: Sequence[tuple[Importer, Sequence[str]]]) -> None:
        self.found = found
        self.source: Importer | None = None
        self.left_out: tuple[str, ...] = ()
        self.noted = False
        self.dropped = False


def look(engine: Engine, session: Session, headers: Sequence[Header]) -> None:
    """Note the old cookies of a request, if an importer is still open for them; nothing is decoded."""
    now = engine.clock()
    found = [(each, values) for each in engine.importers if now < each.until and (values := each.find(headers))]
    if found:
        session._old = Old(found)
        session._state = PENDING


async def read(engine: Engine, old: Old) -> Imported | None:
    """Return the one old session of a request; two that disagree are none.

    Raises:
        StoreUnavailable: The old store does not answer.
    """
    for importer, values in old.found:
        sessions = [
            imported
            for value in values
            if (imported := await engine.call("import", importer.read(value, engine.clock()))) is not None
        ]
        if sessions and all(each == sessions[0] for each in sessions):
            old.source = importer
            return sessions[0]
    return None


def adopt(engine: Engine, session: Session, imported: Imported) -> None:
    """Let a new session hold what the old one held; what cannot be stored is left out."""
    session._begin()
    left_out: list[str] = []
    for key, value in imported.data.items():
        try:
            engine.serializer.encode({key: value})
        except UnstorableValue:
            left_out.append(str(key))
        else:
            session._data[key] = value
    if imported.subject is not None and session._contents is not None:
        session._subject = imported.subject
        session._contents.authenticated = session._contents.created
    session._watched = True
    assert session._old is not None
    session._old.left_out = tuple(left_out)


def note(session: Session) -> bool:
    """Tell whether an old session that was taken over is to be written, because the handler had to do with it."""
    old = session._old
    if old is None or old.source is None or old.noted or old.dropped or session._phase or not session._accessed:
        return False
    old.noted = session._written = True
    session._engine.emit(
        events.SessionImported, subject=session._subject, origin=old.source.origin, left_out=old.left_out
    )
    return True


def leftovers(session: Session, handed_out: bool) -> list[Header]:
    """Return the headers that take old cookies away.

    Args:
        handed_out: This response carries the new session's cookie.
    """
    old = session._old
    if old is None:
        return []
    if old.dropped:
        return [importer.clear() for importer, _ in old.found]
    same = old.source is not None and getattr(session._engine.transport, "name", None) == old.source.cookie
    if old.source is not None and old.source.forget and old.noted and handed_out and not same:
        return [old.source.clear()]
    return []
