"""Sessions of Django with limpet's words, and an application of Django for `AdapterSuite`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from limpet._wire.ids import Ids
from limpet._wire.tokens import SHORT_BYTES
from limpet.adapters.django import SessionStore, _settings
from limpet.adapters.django._transport import KeyTransport
from limpet.manager import SessionManager
from limpet.testing.adapter_app import AppSpec

__all__ = ["Project", "Words"]


class Words(MutableMapping[str, Any]):
    """A session of Django, for code that speaks of `limpet.Session`.

    Args:
        store: The session of a request, read.
    """

    def __init__(self, store: SessionStore) -> None:
        self.store = store

    def __getitem__(self, key: str) -> Any:
        return self.store[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.store[key] = value

    def __delitem__(self, key: str) -> None:
        del self.store[key]

    def __iter__(self) -> Iterator[str]:
        return iter(key for key in self.store.keys() if not key.startswith("_"))  # noqa: SIM118 - Django has no __iter__

    def __len__(self) -> int:
        return len(list(iter(self)))

    def login(self, subject: str, *, remember: bool = False, acr: str | None = None, amr: Iterable[str] = ()) -> None:
        """Do what `django.contrib.auth.login` does with a session."""
        if self.store.get(SESSION_KEY, subject) != subject:
            self.store.flush()
        else:
            self.store.cycle_key()
        self.store.limpet.remember(remember)
        self.store.limpet.authenticated_by(*amr, acr=acr)
        self.store[SESSION_KEY] = subject

    def logout(self) -> None:
        """Do what `django.contrib.auth.logout` does with a session."""
        self.store.flush()

    def regenerate(self) -> None:
        """Change the key."""
        self.store.cycle_key()

    def increment(self, key: str) -> Any:
        """Add one."""
        return self.store.limpet.increment(key)

    def exclusive(self, name: str) -> Any:
        """Return the lock of that name."""
        return self.store.limpet.exclusive(name)

    def expire_in(self, seconds: float) -> None:
        """Give the session a deadline of its own."""
        self.store.set_expiry(seconds)

    async def is_live(self) -> bool:
        """Ask the store."""
        return await self.store.hold().is_live()

    async def save(self) -> None:
        """Save now."""
        await self.store.asave()

    @property
    def is_new(self) -> bool:
        """Whether nothing is stored yet."""
        return self.store.hold().is_new

    @property
    def acr(self) -> str | None:
        """How sure the application was of who logged in."""
        return self.store.limpet.acr

    @property
    def amr(self) -> tuple[str, ...]:
        """By what they logged in."""
        return self.store.limpet.amr

    def is_fresh(self, minutes: float | None = 5, *, level: str | None = None) -> bool:
        """Tell whether somebody logged in lately and surely enough."""
        return self.store.limpet.is_fresh(minutes, level=level)

    @property
    def subject(self) -> str | None:
        """Whose session it is."""
        return self.store.limpet.subject

    @property
    def public_id(self) -> str | None:
        """What it is called in lists."""
        return self.store.limpet.public_id


class Project:
    """A Django application over a manager that a test has made, with the settings that such a manager would come from.

    Args:
        spec: What the application does.
        blocks: Its views block, and it speaks WSGI.

    Attributes:
        app: The application.
    """

    def __init__(self, spec: AppSpec, *, blocks: bool) -> None:
        self._spec = spec
        manager = spec.manager
        view: Any = self._blocking if blocks else self._page
        _as_django_makes_one(manager)
        cookie = manager.cookie
        self._settings = override_settings(
            SESSION_COOKIE_NAME=manager.cookie_name,
            SESSION_COOKIE_SECURE=cookie.secure,
            SESSION_COOKIE_PATH=cookie.path,
            SESSION_COOKIE_DOMAIN=cookie.domain,
            SESSION_COOKIE_HTTPONLY=cookie.http_only,
            SESSION_COOKIE_SAMESITE=cookie.same_site.capitalize(),
            SESSION_EXPIRE_AT_BROWSER_CLOSE=not cookie.persistent,
            MIDDLEWARE=["limpet.adapters.django.middleware.SessionMiddleware"],
            ROOT_URLCONF=type("Urls", (), {"urlpatterns": [path("<str:name>", view)]}),
        )
        self._settings.enable()
        self._django: Any = get_wsgi_application() if blocks else get_asgi_application()
        self.app: Any = self._wsgi if blocks else self._asgi

    def close(self) -> None:
        """Give the settings back."""
        self._settings.disable()

    def _wsgi(self, environ: Any, start_response: Any) -> Any:
        self._take_manager()

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [(name, value.strip()) for name, value in headers], *more)  # as servers do

        return self._django(environ, start)

    def _take_manager(self) -> None:
        _settings._made.manager, _settings._made.slides = self._spec.manager, True

    async def _asgi(self, scope: Any, receive: Any, send: Any) -> None:
        self._take_manager()
        if scope["type"] != "lifespan":
            await self._django(scope, receive, send)
            return
        for word in ("startup", "shutdown"):
            await receive()
            await getattr(self._spec.manager, word)()
            await send({"type": f"lifespan.{word}.complete"})

    def _blocking(self, request: Any, name: str) -> Any:
        def session() -> Any:
            request.session.accessed = True
            return Words(request.session)

        reply = self._spec.run_blocking(name, request.GET.dict(), session)
        if reply.stream is not None:
            return StreamingHttpResponse(reply.parts())
        return HttpResponse(
            reply.text.encode(), status=reply.status, headers=reply.headers, content_type="application/json"
        )

    async def _page(self, request: Any, name: str) -> Any:
        async def session() -> Any:
            await request.session.ahold()
            request.session.accessed = True
            return Words(request.session)

        reply = await self._spec.run(name, request.GET.dict(), session)
        if reply.stream is not None:
            return StreamingHttpResponse(reply.stream)
        return HttpResponse(
            reply.text.encode(), status=reply.status, headers=reply.headers, content_type="application/json"
        )


def _as_django_makes_one(manager: SessionManager) -> None:
    engine = manager.engine
    engine.transport = KeyTransport()
    engine.ids = Ids(engine.namespace, None, 0, manager.clock, SHORT_BYTES)
    engine.rotate_on = engine.rules.rotate_on = frozenset()
