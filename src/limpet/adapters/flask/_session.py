"""The session of a Flask application: a dict to it, with the words of Flask, of Flask-Session and of limpet."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from flask import has_request_context
from flask import request as current_request
from flask.sessions import SessionMixin

from limpet import _flashes as flashes
from limpet._blocking import Driven, drive
from limpet._core.session import backend_of, state_of
from limpet._core.state import ACCESSED, ENDED, LOGIN, REGENERATE
from limpet._doors import BlockingSession
from limpet.adapters._dict import DictSession

if TYPE_CHECKING:
    from limpet.wsgi import SessionMiddleware

__all__ = ["PERMANENT", "PLACE", "FlaskSession", "current_session"]

PLACE = "limpet.flask"
"""Where the session is in the environ of a request."""

PERMANENT = "_permanent"
"""The key in which Flask keeps `FlaskSession.permanent`."""


class FlaskSession(DictSession, SessionMixin):
    """The session of one request: ``flask.session``.

    It is a dict, and has the methods of a `limpet.Session` beside those of a dict. Those that wait for a store block:
    ``session.save()``, ``session.refresh()``, ``with session.exclusive("payment"): ...``.

    Args:
        session: The session that it shows. A mapping instead makes one that belongs to no request and is never saved.
        middleware: What made it.
        subject_key: The key that says who is logged in; None: only `login` does.
        starts_permanent: A session is permanent from its first write on, unless the application says that it is not.

    Attributes:
        failed: The request is answered with an error; what was written is dropped.
        refused: The save has failed, and the response says so; nothing is tried again.
        sent: The headers that the response was given for it.
    """

    failed: bool = False
    refused: bool = False
    sent: Sequence[tuple[str, str]] = ()
    _met: tuple[Any, dict[str, Any]] | None = None  # who was logged in as it was read, and what there was
    _told: bool | None = None  # what `modified` is; None: as the contents say
    _unmodified: bytes | None = None  # the contents that were said to be unmodified

    def __init__(
        self,
        session: BlockingSession | Mapping[str, Any] | None = None,
        *,
        middleware: Any = None,
        subject_key: str | None = None,
        starts_permanent: bool = False,
    ) -> None:
        super().__init__(session)
        self.middleware: SessionMiddleware = middleware
        self._subject_key = subject_key
        self._starts_permanent = starts_permanent

    # -- Flask

    @property
    def new(self) -> bool:  # type: ignore[override]
        """Whether nothing of this session is stored yet."""
        return bool(self._session.is_new)

    @property
    def accessed(self) -> bool:
        """Whether the request used the session; what ``Vary: Cookie`` depends on.

        Flask sets it whenever the proxy ``flask.session`` is used. What reads a dict without asking it, such as
        the JSON of a session that a view returns, then finds it filled.
        """
        return self._session.accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        if value:
            if self._base is None:
                self.pull()
            self._session.mark_accessed()

    @property
    def permanent(self) -> bool:
        """Whether the cookie outlives the browser; kept under the key ``_permanent``."""
        return bool(self.get(PERMANENT, self._starts_permanent and self.new))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self[PERMANENT] = bool(value)

    @property
    def modified(self) -> bool:
        """Whether there is something to save, nested changes included; after it was saved, whether there was.

        True can be set, and hands the cookie of a permanent session out again. False forgets the changes so far for
        this attribute alone: they are saved.
        """
        if self._told is not None:
            return self._told
        state = state_of(self._session)
        if state.loaded or not state.flags & ACCESSED:
            return False  # it was not even read
        self.push()
        if self._unmodified is not None:
            return self._encoded() != self._unmodified
        return bool(self._session.modified)

    @modified.setter
    def modified(self, value: bool) -> None:
        self._told = True if value else None
        self._unmodified = None if value else self._encoded()

    def _encoded(self) -> bytes:
        found: bytes = backend_of(self._session).serializer.encode(self.copy())
        return found

    def pop(self, key: str, /, *default: Any) -> Any:
        """Remove a key and return its value, or the default; messages as Flask reads them.

        Raises:
            KeyError: There is neither.
        """
        value = super().pop(key, *default)
        return flashes.pairs(value) if key == flashes.KEY else value

    # -- Flask-Session

    @property
    def sid(self) -> str | None:
        """The session's public id, good for lists and for `SessionManager.revoke`; None before the first save.

        It is not what the cookie holds: whoever reads it in a log cannot use the session.
        """
        return self.public_id  # type: ignore[no-any-return]

    # -- limpet

    @property
    def inner(self) -> BlockingSession:
        """The session that this dict shows."""
        found: Any = self._session
        return found  # type: ignore[no-any-return]

    @property
    def blocking(self) -> FlaskSession:
        """The session itself, since all of its methods block."""
        return self

    def mark_accessed(self) -> None:
        """Note that a handler took hold of the session."""
        self._session.mark_accessed()

    def exclusive(self, name: str, **options: Any) -> AbstractContextManager[FlaskSession]:  # type: ignore[override]
        """Do something once at a time for this session; see `Session.exclusive`."""
        return self._alone(name, options)

    @contextmanager
    def _alone(self, name: str, options: Mapping[str, Any]) -> Iterator[FlaskSession]:
        self.push()
        with Driven(self._session.exclusive(name, **options)):
            self.pull()
            yield self
            self.push()
        self.pull()

    def _wait(self, done: Any) -> Any:
        result = drive(done) if inspect.iscoroutine(done) else done
        self._show()
        return self if result is self._session else result

    def pull(self) -> None:
        """Show what is in the session now."""
        super().pull()
        if self._met is None:
            who = self._who()
            self._met = who, {} if who is None else dict(dict.items(self))

    # -- for the interface

    def settle(self) -> None:
        """Let the session have what is in the dict, before it is saved.

        A session in which nothing is left but whether it is permanent counts as empty, as with Flask-Session: the
        habit of setting ``session.permanent`` before each request begins no session for each visitor.
        """
        self.push()
        if self._base is None:
            return
        if self._subject_key is not None:
            self._follow()
        keys = dict.keys(self)
        if self._starts_permanent and keys and PERMANENT not in keys and self._session.is_new:
            self[PERMANENT] = True
        if len(keys) == 1 and PERMANENT in keys and self._session.subject is None:
            if self._session.is_new:
                self._session.pop(PERMANENT, None)
            else:
                self.clear()

    def settled(self, *, changed: bool) -> None:
        """Note whether a save found something; `modified` says so from then on."""
        self._told = changed or self._told is True

    @property
    def changes_hands(self) -> bool:
        """Whether the request logged somebody in or out, or asked for a new id."""
        before, _ = self._met or (None, {})
        return bool(state_of(self._session).flags & (LOGIN | ENDED | REGENERATE)) or self._who() != before

    def _who(self) -> Any:
        return None if self._subject_key is None else dict.get(self, self._subject_key)

    def _follow(self) -> None:
        """Let the session be the subject's whom the application has just written into it, or nobody's."""
        before, met = self._met or (None, {})
        now, session = self._who(), self._session
        if now == before or state_of(session).flags & LOGIN:
            return
        kept, subject = dict(dict.items(self)), session.subject
        if now is None:
            if subject is not None and subject == str(before):
                session.logout()
                if not state_of(session).phase:  # else no cookie goes out any more that would find it again
                    session.update(kept)
        else:
            if subject is not None and subject != str(now):  # what the other one had stays behind
                kept = {key: value for key, value in kept.items() if met.get(key) is not value or key == PERMANENT}
            session.login(str(now))
            session.update(kept)
        self._met = now, {}
        self.pull()


def current_session() -> FlaskSession | None:
    """Return the session of the current request; None: it has none. Unlike ``flask.session``, this is no use of it."""
    return current_request.environ.get(PLACE) if has_request_context() else None
