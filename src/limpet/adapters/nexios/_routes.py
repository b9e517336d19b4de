"""Routes whose handlers get our request, and only those path parameters that they declare."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import nexios
from nexios.exceptions import WebSocketException
from nexios.websockets import WebSocketDisconnect

from limpet.adapters._sockets import note_failure
from limpet.adapters.nexios._requests import Request

__all__ = ["Route", "Router", "noting", "with_ours"]


class Route(nexios.Route):
    """A route of the framework; a handler may take ``req.path_params.name`` instead of a parameter ``name``."""

    _declared: frozenset[str] | None = None

    async def get_route_handler(self, request: Any, response: Any, **kwargs: Any) -> Any:
        """Call the handler."""
        request.__class__ = Request  # the same object, which others hold and which may have read the body
        if self._declared is None:
            self._declared = _declared(self, kwargs)
        passed = {name: value for name, value in kwargs.items() if name in self._declared}
        return await super().get_route_handler(request, response, **passed)


class Router(nexios.Router):
    """A router of the framework with `Route` as its kind of route."""

    def __init__(self, prefix: str | None = None, *, route_class: type[nexios.Route] = Route, **options: Any) -> None:
        super().__init__(prefix, route_class=with_ours(route_class), **options)

    def add_ws_route(self, route: Any = None, path: str | None = None, handler: Any = None) -> None:
        """Add a WebSocket route, as ``nexios.Router`` does."""
        if route is not None:
            route.handler = noting(route.handler)
        elif handler is not None:
            handler = noting(handler)
        super().add_ws_route(route, path, handler)


def noting(handler: Any) -> Any:
    """Return the handler of a WebSocket that notes what it raises, since the framework does not hand it on."""

    @functools.wraps(handler)
    async def noted(websocket: Any) -> None:
        try:
            await handler(websocket)
        except (WebSocketException, WebSocketDisconnect):
            raise  # a refusal in the framework's words, and a client that hung up
        except Exception as error:
            note_failure(websocket.scope, error)
            raise

    return noted


def with_ours(given: type[nexios.Route]) -> type[nexios.Route]:
    """Return a class of routes, with ours in front."""
    if issubclass(given, Route):
        return given
    return Route if given is nexios.Route else type(given.__name__, (Route, given), {})


def _declared(route: nexios.Route, path_parameters: dict[str, Any]) -> frozenset[str]:
    parameters = inspect.signature(route.handler).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return frozenset(path_parameters)
    return frozenset(each.name for each in parameters if each.kind is not each.POSITIONAL_ONLY)
