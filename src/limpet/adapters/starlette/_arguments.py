"""Arguments of other session middlewares, given to one of ours: a sentence says what to write instead."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

from limpet.errors import ConfigurationError
from limpet.manager import SessionManager

__all__ = ["refuse_unknown"]

_STARLETTES: Final = frozenset(
    {"secret_key", "session_cookie", "max_age", "path", "same_site", "https_only", "domain", "partitioned"}
)
_STARSESSIONS: Final = frozenset(
    {
        *("backend", "lifetime", "rolling", "cookie_name", "cookie_same_site", "cookie_https_only", "cookie_domain"),
        *("cookie_path", "cookie_partitioned"),
    }
)
_DROP_IN: Final = "limpet.adapters.starlette.middleware.sessions.SessionMiddleware"


def refuse_unknown(middleware: type, given: Mapping[str, Any]) -> None:
    """Refuse arguments that a middleware does not have, and that another one, or a manager, has.

    Raises:
        ConfigurationError: There are some. What nobody has is left to Python.
    """
    known = inspect.signature(middleware.__init__).parameters  # type: ignore[misc]
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values()):
        return
    found = given.keys() - known.keys()
    names = ", ".join(sorted(found))
    if found & _STARSESSIONS:
        cure = (
            "these are arguments of starsessions. Write manager=SessionManager(store, policy=SessionPolicy(...), "
            "cookie=CookiePolicy(...)); the page about coming from starsessions has them one by one"
        )
    elif found & _STARLETTES:
        cure = (
            f"the one that takes the arguments of Starlette's own is {_DROP_IN}; this one takes "
            "manager=SessionManager(...), which has the settings"
        )
    elif "manager" in found:
        cure = (
            "this one takes the arguments of Starlette's own, and store=...; the one that takes a manager is "
            "limpet.adapters.starlette.SessionMiddleware"
        )
    elif found & inspect.signature(SessionManager).parameters.keys():
        cure = f"that is for the manager: write manager=SessionManager(..., {min(found)}=...)"
    else:
        return
    raise ConfigurationError(f"SessionMiddleware takes no {names}: {cure}")
