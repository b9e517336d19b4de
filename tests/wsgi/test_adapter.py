"""Every promise of an adapter, asked of `limpet.wsgi` around an application of no framework."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl

from limpet.testing.adapter_app import AppSpec, Reply
from limpet.testing.suite_blocking import BlockingAdapterSuite
from limpet.wsgi import SessionMiddleware


class _Body:
    """A body with something to do once it was sent."""

    def __init__(self, reply: Reply) -> None:
        self._parts = iter([reply.text.encode()]) if reply.stream is None else reply.parts()
        self._reply = reply

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        self._reply.run_background()


class TestWSGI(BlockingAdapterSuite):
    """`SessionMiddleware` around a function."""

    def build_blocking(self, spec: AppSpec) -> Any:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            name = environ["PATH_INFO"][1:]
            if "/" in name:
                start_response("404 Not Found", [("Content-Type", "text/plain")])
                return [b"not found"]
            query = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
            reply = spec.run_blocking(name, query, lambda: environ["limpet.session"])
            start_response(f"{reply.status} Said", [("Content-Type", "application/json"), *reply.headers.items()])
            return _Body(reply)

        return SessionMiddleware(app, spec.manager, exclude=spec.exclude, lazy=spec.lazy, sweep_interval=None)
