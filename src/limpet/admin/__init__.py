"""A page for operators: how many sessions there are, whose they are, what happens to them; and the means to end them.

::

    from limpet.admin import Admin

    app.mount("/sessions", Admin(manager, allow=is_operator))

`Admin` is one ASGI application. It needs no build step and asks nothing of other hosts; without JavaScript it does
all it does, with it the figures stay up to date.
"""

from __future__ import annotations

from limpet.errors import MissingDependency

try:
    from limpet.admin.app import Admin, Allow
except ModuleNotFoundError as _error:
    if (_error.name or "").partition(".")[0] not in {"starlette", "jinja2"}:
        raise
    raise MissingDependency("the admin page", "admin") from _error

__all__ = ["Admin", "Allow"]
