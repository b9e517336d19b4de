"""Objects that hide a secret: their text is the key, and never what ``str()`` shows of them, which is the same for all.

pydantic's ``SecretStr`` shows ``**********``; whoever knows that could forge sessions that it signs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from blacksheep import Router
from essentials.secrets import Secret as EssentialsSecret
from itsdangerous import TimestampSigner
from pydantic import SecretBytes, SecretStr
from starlette.applications import Starlette
from starlette.datastructures import Secret as StarletteSecret
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as Theirs
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from limpet import ConfigurationError, Key, Keyring, SessionManager, WeakSecret
from limpet.adapters import fastmvc, nexios
from limpet.adapters.blacksheep import Application
from limpet.adapters.starlette.middleware.sessions import SessionMiddleware as DropIn
from limpet.importers import DjangoCookies, FlaskCookies, NexiosCookies, StarletteCookies
from limpet.testing import client

GOOD = "Zk3v-8Qw1LrT5yXcB7nMp2aSd9fGh4jKe6uIo0_RtYE"
HIDING: dict[str, Any] = {
    "pydantic": SecretStr(GOOD),
    "pydantic, bytes": SecretBytes(GOOD.encode()),
    "Starlette": StarletteSecret(GOOD),
    "essentials": EssentialsSecret.from_plain_text(GOOD),
}
END = date(2200, 1, 1)


@pytest.mark.parametrize("kind", HIDING)
def test_the_text_is_the_key(kind: str) -> None:
    """Alone, in a list and as a `Key`, such an object is the secret that it holds."""
    hidden, expected = HIDING[kind], Keyring(GOOD).derive("a", "b")
    for ring in (Keyring(hidden), Keyring([hidden]), Keyring(Key(hidden))):
        assert ring.derive("a", "b") == expected


async def enter(request: Request) -> JSONResponse:
    request.session["user_id"] = "ann"
    return JSONResponse(None)


async def who(request: Request) -> JSONResponse:
    return JSONResponse(request.session.get("user_id"))


def site(middleware: Any, **settings: Any) -> Starlette:
    routes = [Route("/login", enter), Route("/", who)]
    return Starlette(routes=routes, middleware=[Middleware(middleware, https_only=True, **settings)])


@pytest.mark.parametrize("kind", ["pydantic", "Starlette", "essentials"])
def test_the_drop_in_seals_and_imports_with_the_text(kind: str) -> None:
    """A cookie from before is taken over, one that the shown text signed is not, and the next process reads ours."""
    with client(site(Theirs, secret_key=GOOD), manager=SessionManager("memory:")) as browser:
        browser.get("/login")
        old = browser.cookies["session"]
    payload = old.partition(".")[0]
    forged = TimestampSigner(str(SecretStr(GOOD))).sign(payload).decode()
    with client(site(DropIn, secret_key=HIDING[kind], old_until=END)) as browser:
        assert browser.get("/", headers={"cookie": f"session={old}"}).json() == "ann"
        assert browser.get("/", headers={"cookie": f"session={forged}"}).json() is None
        browser.get("/login")
        ours = browser.cookies["session"]
    with client(site(DropIn, secret_key=GOOD)) as browser:
        assert browser.get("/", headers={"cookie": f"session={ours}"}).json() == "ann"


SHOWN = [
    str(SecretStr(GOOD)),
    repr(SecretStr(GOOD)),
    repr(SecretBytes(GOOD.encode())),
    repr(StarletteSecret(GOOD)),
    str(EssentialsSecret.from_plain_text(GOOD)),
    f"  {'*' * 40}\n",
    str(object()),
    str(GOOD.encode),
    str(SecretStr(GOOD).get_secret_value),
    str(test_the_text_is_the_key),
    str(Keyring),
]
PLACES: dict[str, Callable[[str], Any]] = {
    "manager": lambda text: SessionManager("cookie:", secret=text),
    "weak keyring": lambda text: Keyring([GOOD, text], allow_weak=True),
    "drop-in": lambda text: DropIn(Starlette(), text),
    "FastMVC": lambda text: fastmvc.SessionConfig(secret_key=text).keyring(),
    "Nexios": lambda text: _nexios(text),
    "BlackSheep": lambda text: Application(router=Router()).use_sessions(text),
    "Starlette's cookies": lambda text: StarletteCookies(text, until=END),
    "Flask's cookies": lambda text: FlaskCookies([GOOD, text], until=END),
    "Django's cookies": lambda text: DjangoCookies(text, until=END),
    "Nexios' cookies": lambda text: NexiosCookies(text, until=END),
}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_shown_of_an_object_is_no_secret(place: str) -> None:
    """Wherever a secret is taken, such a text is an error and no weak secret that adapters take with a warning."""
    for text in SHOWN:
        with pytest.raises(ConfigurationError, match=r"makes of an object.*get_secret_value") as caught:
            PLACES[place](text)
        assert not isinstance(caught.value, WeakSecret)


def test_several_secrets_in_one_text() -> None:
    """White space joins secrets in the environment alone: elsewhere the text would be one secret, and it is said."""
    other = GOOD[::-1]
    for between, order in itertools.product((" ", "\n", ";", "|", ", "), ((GOOD, other), (other, GOOD))):
        with pytest.raises(ConfigurationError, match=r"several.*secret\.split\(\)"):
            SessionManager("cookie:", secret=between.join(order))
    assert len(Keyring.from_env(environ={"LIMPET_SECRET": f"{GOOD} {other}"})) == 2
    assert len(Keyring([Key(f"{GOOD} {other}"), f"{GOOD}\n"])) == 2


def _nexios(secret: str) -> Any:
    app = nexios.NexiosApp(config=nexios.MakeConfig())
    app.add_middleware(nexios.SessionMiddleware(secret_key=secret))
    return app.session_manager
