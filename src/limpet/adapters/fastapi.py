"""FastAPI.

::

    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager="sqlite:///sessions.db")

    @app.post("/cart/{item}")
    async def add(item: str, session: SessionDep): ...

A typed value that lives under one key::

    Cart = Annotated[CartModel, in_session("cart")]

    @app.post("/cart/{item}")
    async def add(item: str, cart: Cart):
        cart.items.append(item)                 # saved; merely read, nothing is
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Annotated, Any, Final, Literal

from limpet.errors import MissingDependency

try:
    from fastapi import Depends, params
    from fastapi.requests import HTTPConnection
except ModuleNotFoundError as _error:
    raise MissingDependency("limpet.adapters.fastapi", "fastapi") from _error

from limpet._core.session import Session
from limpet._scopes import loaded
from limpet.adapters._fresh import fresh_login
from limpet.adapters._model import Model
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.errors import ConfigurationError, InvalidSessionData
from limpet.manager import SessionManager

__all__ = ["Session", "SessionDep", "SessionMiddleware", "fresh_login", "get_session", "in_session", "session_of"]

_UNSET: Final[Any] = object()


async def _session(connection: HTTPConnection) -> Session:
    return await loaded(get_session(connection))


SessionDep = Annotated[Session, Depends(_session)]
"""The session of a request or a WebSocket, loaded."""


def session_of(manager: SessionManager) -> Any:
    """Return the dependency that gives the session of one of several managers.

    ::

        AdminSession = Annotated[Session, session_of(admin)]
    """

    async def session(connection: HTTPConnection) -> Session:
        return await loaded(get_session(connection, manager))

    return Depends(session)


def in_session(
    key: str,
    *,
    default: Any = _UNSET,
    on_invalid: Literal["raise", "default"] = "raise",
    manager: SessionManager | None = None,
) -> Any:
    """Return the dependency that gives the value of one key as a dataclass, msgspec Struct or pydantic model.

    What is stored is plain: a dict of the fields. Changes to the object are saved with the session; an object that is
    merely read creates no session and writes nothing. All that ask for the key during one request get the same object.

    Args:
        key: The key in the session.
        default: What an absent key gives: a value (copied for each request) or a function that makes one. Left
            out: the model without arguments. None: None.
        on_invalid: For stored data that does not fit the model, ``"raise"`` `InvalidSessionData` or take the
            ``"default"``; the stored data is replaced only when the object is changed.
        manager: Whose session, where the application has several managers.
    """
    if on_invalid not in ("raise", "default"):
        raise ConfigurationError(f"on_invalid={on_invalid!r} is neither 'raise' nor 'default'")
    return _InSession(key=key, default=default, on_invalid=on_invalid, manager=manager)


@dataclasses.dataclass(frozen=True, eq=False)
class _InSession(params.Depends):
    """FastAPI fills a dependency that is None with the annotated type, which is how the model gets here."""

    key: str = dataclasses.field(default="", kw_only=True)
    default: Any = dataclasses.field(default=_UNSET, kw_only=True)
    on_invalid: str = dataclasses.field(default="raise", kw_only=True)
    manager: SessionManager | None = dataclasses.field(default=None, kw_only=True)

    # By identity: Annotated[...] keeps one of two that are equal, and the base compares its own fields alone.
    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __post_init__(self) -> None:
        if hasattr(params.Depends, "__post_init__"):  # of late
            super().__post_init__()
        if self.dependency is not None and not isinstance(getattr(self.dependency, "__self__", None), _Provider):
            object.__setattr__(self, "dependency", _Provider(self, Model(self.dependency)).provide)


class _Provider:
    """One key, one model."""

    def __init__(self, wanted: _InSession, model: Model) -> None:
        self._wanted = wanted
        self._model = model

    async def provide(self, connection: HTTPConnection) -> Any:
        wanted, model = self._wanted, self._model
        session = await loaded(get_session(connection, wanted.manager))
        value = session.viewed(wanted.key)
        if value is None:
            value = self._value(session)
            if value is not None:
                session.view(wanted.key, value, model.dump)
        elif isinstance(model.type, type) and not isinstance(value, model.type):
            raise ConfigurationError(
                f"one request asks for the session key {wanted.key!r} as {model.name} and as {type(value).__name__}: "
                "one key has one model"
            )
        return value

    def _value(self, session: Session) -> Any:
        wanted, model = self._wanted, self._model
        if wanted.key in session:
            try:
                return model.build(session[wanted.key])
            except (ValueError, TypeError) as error:
                if wanted.on_invalid == "raise":
                    # Without its cause: what pydantic raises quotes the stored values.
                    raise InvalidSessionData(wanted.key, model.problem(error)) from None
        if callable(wanted.default):
            return wanted.default()
        if wanted.default is not _UNSET:
            return copy.deepcopy(wanted.default)
        try:
            return model.type()
        except (ValueError, TypeError) as error:
            problem = f"there is nothing stored, and {model.name} needs arguments: give in_session(..., default=...)"
            raise InvalidSessionData(wanted.key, problem) from error
