"""`AdapterSuite` for frameworks without an event loop: every rule that makes sense there, over WSGI.

::

    class TestFlask(BlockingAdapterSuite):
        def build_blocking(self, spec: AppSpec) -> WSGIApp:
            app = Flask(__name__)
            ...

            @app.get("/<name>")
            def page(name: str) -> Response:
                reply = spec.run_blocking(name, request.args, lambda: session)
                if reply.stream is not None:
                    response = Response(reply.parts())
                else:
                    response = Response(reply.text, reply.status, reply.headers)
                response.call_on_close(reply.run_background)
                return response

            return app

`AppSpec.run_blocking` says what to answer; what it raises goes the way that a handler's errors go in the framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar, Final

import limpet.wsgi
from limpet.asgi import ASGIApp
from limpet.testing._wsgi import Served
from limpet.testing.adapter_app import AppSpec
from limpet.testing.suite_adapter import AdapterSuite

__all__ = ["NO_GUARD", "NO_SOCKETS", "BlockingAdapterSuite"]

NO_SOCKETS: Final = "WSGI has no WebSockets."
NO_GUARD: Final = "`CSRFMiddleware` is for ASGI; a WSGI framework has a guard of its own."


class BlockingAdapterSuite(AdapterSuite):
    """The conformance suite of adapters for blocking frameworks. Subclass it and override `build_blocking`."""

    documented_in: ClassVar[Path | ModuleType | None] = limpet.wsgi

    impossible: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            **dict.fromkeys(
                (
                    "test_an_error_of_the_session_closes_a_websocket",
                    "test_a_websocket_whose_handler_fails_drops_writes",
                    "test_a_websocket_has_the_session",
                    "test_a_websocket_may_write_before_it_is_accepted",
                    "test_a_websocket_may_write_late",
                    "test_a_websocket_that_hangs_up_is_saved",
                    "test_a_late_first_write_in_a_websocket_is_refused",
                    "test_a_late_logout_of_nobody_in_a_websocket_does_nothing",
                ),
                NO_SOCKETS,
            ),
            **dict.fromkeys(
                (
                    "test_a_post_needs_a_token_of_its_session",
                    "test_every_page_has_another_token",
                    "test_a_token_ends_with_its_id",
                ),
                NO_GUARD,
            ),
        }
    )

    def build_blocking(self, spec: AppSpec) -> Any:
        """Return a WSGI application of the framework under test, as the module's docstring says."""
        raise NotImplementedError("override build_blocking(spec): return a WSGI application of your framework")

    def build(self, spec: AppSpec) -> ASGIApp:
        """Return the application as the suite's clients speak to it."""
        return Served(self.build_blocking(spec))
