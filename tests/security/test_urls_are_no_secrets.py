"""The URL of a store is never a key: it can be guessed, and a key that can be guessed lets anybody forge sessions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from starlette.datastructures import Secret

import limpet
from limpet import ConfigurationError, Keyring, SessionManager, WeakSecret
from limpet.adapters import fastmvc, nexios
from limpet.adapters.blacksheep.sessions.cookies import CookieSessionStore
from limpet.importers import BlackSheepCookies, DjangoCookies, DjangoDatabase, FlaskCookies, NexiosCookies
from limpet.importers.starlette import StarletteCookies
from limpet.keyring import Key, generate_secret, looks_like_a_store
from limpet.stores import CookieStore, open_store

GOOD = "Zk3v-8Qw1LrT5yXcB7nMp2aSd9fGh4jKe6uIo0_RtYE"
PASSWORD = "correct-horse"

URLS = [
    "memory:",
    "file:./sessions?prefix=session_",
    "file:/var/lib/sessions",
    "sqlite:///sessions.db",
    "sqlite:////var/lib/app/sessions.db",
    "sqlite+aiosqlite:///sessions.db",
    "redis://localhost:6379/0",
    f"rediss://app:{PASSWORD}@cache.internal:6379/0",
    "valkey://localhost",
    "valkeys://localhost",
    "redis+sentinel://a:26379,b:26379/main",
    "redis+cluster://a:6379",
    "redis+unix:///run/redis.sock",
    "postgres://localhost/app",
    f"postgresql://app:{PASSWORD}@db.internal/app",
    "postgresql+asyncpg://localhost/app",
    "mysql://localhost/app",
    "cookie:",
    "cookie:signed",
]
SPELLINGS: list[Callable[[str], str]] = [
    str,
    str.upper,
    str.title,
    lambda url: f"  {url}\n",
    lambda url: f"\t{url}",
    lambda url: f'"{url}"',
    lambda url: f"'{url}' ",
    lambda url: f"\ufeff{url}",
    lambda url: url.replace(":", " :", 1),
    lambda url: f"{url}#{'x' * 64}",
]


@pytest.mark.parametrize("spell", SPELLINGS, ids=range(len(SPELLINGS)))
@pytest.mark.parametrize("url", URLS)
def test_a_url_is_refused_as_a_secret_in_every_spelling(url: str, spell: Callable[[str], str]) -> None:
    """Whatever the case, the white space and the quotes: alone, in a list, as bytes, with ``allow_weak``, later."""
    text = spell(url)
    ring = Keyring(GOOD)
    for attempt in (
        lambda: Keyring(text),
        lambda: Keyring(text, allow_weak=True),
        lambda: Keyring(text.encode(), allow_weak=True),
        lambda: Keyring([GOOD, text], allow_weak=True),
        lambda: Key(text),
        lambda: ring.replace(text),
    ):
        with pytest.raises(ConfigurationError, match=r"URL of a store.*limpet keygen") as caught:
            attempt()
        assert not isinstance(caught.value, WeakSecret)  # which adapters turn into a warning
        assert PASSWORD not in str(caught.value)
    assert len(ring) == 1
    assert ring.derive("a", "b") == Keyring(GOOD).derive("a", "b")


def test_what_opens_as_a_store_is_refused_as_a_secret() -> None:
    """The shape that is refused is no narrower than what `open_store` takes."""
    for url in URLS:
        try:
            open_store(url)
        except ConfigurationError:
            continue
        assert looks_like_a_store(url)
        assert looks_like_a_store(url.swapcase())


def test_secrets_are_not_taken_for_urls() -> None:
    """What `limpet keygen`, ``secrets`` and ``openssl`` print, and sentences with colons, are secrets as before."""
    for secret in (
        *(generate_secret() for _ in range(2000)),
        "5d41402abc4b2a76b9719d911017c592",
        "q/7Zt1+Xo0PbW3vJr9Lm5uHc2Ns8Ye4Kg6Fd1Ra7Ti=",
        "a memory: of the sea at night, 1987",
        "see https://example.org/17 for 4 more",
        "filed under cookies, 4711 red apples",
    ):
        assert not looks_like_a_store(secret), secret
        Keyring(secret)


@pytest.mark.parametrize("url", ["sqlite:///sessions.db", "MEMORY:", f" postgresql://app:{PASSWORD}@db/app"])
@pytest.mark.parametrize(
    "use",
    [
        lambda url: SessionManager("memory:", secret=url),
        lambda url: SessionManager("cookie:", secret=[GOOD, url]),
        lambda url: SessionManager(CookieStore(), secret=url),
        CookieSessionStore,
        lambda url: fastmvc.SessionConfig(secret_key=url).keyring(),
        lambda url: fastmvc.SessionMiddleware(_nothing, secret_key=url, store="memory:"),
        lambda url: fastmvc.SessionMiddleware(_nothing, secret_key=[GOOD, url], store="memory:"),
        lambda url: _nexios(nexios.SessionMiddleware(secret_key=url)),
        lambda url: _nexios(nexios.SessionMiddleware(), secret_key=url),
        lambda url: BlackSheepCookies(url, until=date(2030, 1, 1)),
        lambda url: FlaskCookies([GOOD, url], until=date(2030, 1, 1)),
        lambda url: FlaskCookies(url.encode(), until=date(2030, 1, 1)),
        lambda url: StarletteCookies(url, until=date(2030, 1, 1)),
        lambda url: StarletteCookies(Secret(url), until=date(2030, 1, 1)),  # type: ignore[arg-type]
        lambda url: NexiosCookies(url, until=date(2030, 1, 1)),
        lambda url: DjangoCookies([url], until=date(2030, 1, 1)),
        lambda url: DjangoDatabase(url, until=date(2030, 1, 1), fetch=_none),
    ],
)
def test_wherever_a_secret_is_taken(use: Callable[[str], Any], url: str) -> None:
    """No parameter of the library that takes a secret takes a store's URL, and the message hides the URL."""
    with pytest.raises(ConfigurationError, match="URL of a store") as caught:
        use(url)
    assert PASSWORD not in str(caught.value)


def test_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """``LIMPET_SECRET`` and ``LIMPET_STORE`` that were exchanged are an error, not a key that anybody knows."""
    monkeypatch.setenv("LIMPET_SECRET", "sqlite:///sessions.db")
    monkeypatch.setenv("LIMPET_STORE", "memory:")
    with pytest.raises(ConfigurationError, match="URL of a store"):
        SessionManager()
    with pytest.raises(ConfigurationError, match="URL of a store"):
        Keyring.from_env()


def test_a_good_secret_still_works() -> None:
    """The check refuses nothing else: every place takes a good secret without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SessionManager("cookie:", secret=GOOD)
        fastmvc.SessionConfig(secret_key=GOOD).keyring()
        _nexios(nexios.SessionMiddleware(secret_key=GOOD))
        StarletteCookies(Secret(GOOD), until=date(2030, 1, 1))  # type: ignore[arg-type]
    assert limpet.Keyring(GOOD).derive("a", "b")


def _nexios(middleware: nexios.SessionMiddleware, **config: Any) -> Any:
    app = nexios.NexiosApp(config=nexios.MakeConfig(**config))
    app.add_middleware(middleware)
    return app.session_manager


async def _nothing(scope: Any, receive: Any, send: Any) -> None: ...


async def _none(key: str) -> str | None:
    return None
