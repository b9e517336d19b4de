"""A real OpenID provider (npm ``oidc-provider``) logs a user out of two applications, over HTTP."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import flask
import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from joserfc import jwt
from joserfc.jwk import KeySet
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from limpet import SessionManager
from limpet.adapters.fastapi import SessionDep, SessionMiddleware
from limpet.adapters.flask import Limpet
from limpet.signout import Issuer, SignOut
from tests.security.web import served
from tests.servers.process import ServerProcess, free_port, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

VERSION: Final = "9.13.3"


@pytest.fixture(scope="session")
def package() -> Path:
    """Return a folder with the provider, installed once for all runs on this machine."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        # the provider is written in JavaScript; sign-out is also tested with messages that are made here
        pytest.skip("needs node and npm: apt-get install -y nodejs npm")
    folder = Path(tempfile.gettempdir()) / f"limpet-oidc-provider-{VERSION}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            command = [npm, "install", "--no-audit", "--no-fund", f"oidc-provider@{VERSION}"]
            (folder / "package.json").write_text('{"private": true, "type": "module"}')
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
            if done.returncode != 0:
                # as without npm: there is no network
                pytest.skip(f"npm could not install oidc-provider: {done.stderr.strip()[-300:]}")
            (folder / "installed").touch()
    shutil.copy(Path(__file__).with_name("oidc_provider.mjs"), folder)
    return folder


class Relying:
    """One application's side of OpenID Connect.

    Args:
        name: Its client id.
        port: Where it is served.
        provider: The issuer.
        by_session: The provider is asked to say which session ends; else whose.
    """

    def __init__(self, name: str, port: int, provider: str, *, by_session: bool) -> None:
        self.name, self.url, self.provider = name, f"http://127.0.0.1:{port}", provider
        self.by_session = by_session
        self.tokens: list[str] = []

    def registration(self) -> dict[str, Any]:
        return {
            "client_id": self.name,
            "client_secret": f"the secret of {self.name}",
            "redirect_uris": [f"{self.url}/callback"],
            "response_types": ["code"],
            "grant_types": ["authorization_code"],
            "backchannel_logout_uri": f"{self.url}/signout/back-channel",
            "backchannel_logout_session_required": self.by_session,
        }

    def authorization_url(self) -> str:
        asked = {
            "client_id": self.name,
            "response_type": "code",
            "scope": "openid",
            "redirect_uri": f"{self.url}/callback",
        }
        return f"{self.provider}/auth?{urlencode(asked)}"

    def exchange(self, code: str) -> dict[str, Any]:
        """Return the claims of the ID token that a code is worth."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": f"{self.url}/callback"}
        secret = (self.name, f"the secret of {self.name}".replace(" ", "+"))
        answer = httpx2.post(f"{self.provider}/token", data=form, auth=secret)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["id_token"]
        self.tokens.append(token)
        return dict(jwt.decode(token, KeySet.import_key_set(self.keys()), algorithms=["RS256"]).claims)  # type: ignore[arg-type]

    def keys(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.provider}/jwks", timeout=10) as answer:  # noqa: S310 - of the test's own
            found: dict[str, Any] = json.load(answer)
        return found

    def signout(self, manager: SessionManager) -> SignOut:
        tag = "oidc_sid" if self.by_session else None
        return SignOut(manager, Issuer(self.provider, self.name, self.keys, sid_tag=tag))


def fastapi_shop(relying: Relying, manager: SessionManager) -> FastAPI:
    """Return an ASGI application that the user signs in to."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager=manager)

    @app.get("/login")
    async def login() -> RedirectResponse:
        return RedirectResponse(relying.authorization_url())

    @app.get("/callback")
    def callback(code: str, session: SessionDep) -> str:
        claims = relying.exchange(code)
        session.login(claims["sub"], tags={"oidc_sid": claims["sid"]})
        return session.subject or ""

    @app.get("/who")
    async def who(session: SessionDep) -> str:
        return session.subject or ""

    app.mount("/signout", relying.signout(manager).asgi)
    return app


def flask_blog(relying: Relying, manager: SessionManager) -> flask.Flask:
    """Return a WSGI application that the user signs in to."""
    app = flask.Flask(__name__)
    Limpet(app, manager)

    @app.get("/login")
    def login() -> Any:
        return flask.redirect(relying.authorization_url())

    @app.get("/callback")
    def callback() -> Any:
        flask.session.login(relying.exchange(flask.request.args["code"])["sub"])  # type: ignore[attr-defined]
        return flask.jsonify(flask.session.subject)  # type: ignore[attr-defined]

    @app.get("/who")
    def who() -> Any:
        return flask.jsonify(flask.session.subject or "")  # type: ignore[attr-defined]

    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/signout": relying.signout(manager).wsgi})  # type: ignore[method-assign]
    return app


@contextmanager
def served_by_werkzeug(app: flask.Flask, port: int) -> Iterator[None]:
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(10)


class User:
    """A person with a browser, who has cookies of every site and fills in the provider's forms."""

    def __init__(self) -> None:
        self.browser = httpx2.Client(follow_redirects=True, timeout=20)

    def __enter__(self) -> User:
        return self

    def __exit__(self, *raised: object) -> None:
        self.browser.close()

    def sign_in(self, site: Relying, name: str) -> None:
        """Log in at a site by way of the provider, which asks for a name once."""
        page = self.browser.get(f"{site.url}/login")
        for _ in range(5):
            if str(page.url).startswith(site.url):
                break
            page = self._fill_in(page, {"login": name, "password": "anything"})
        assert page.json() == name, page.text

    def sign_out(self, site: Relying, token: str) -> None:
        """Log out at the provider, which asks whether that is meant."""
        page = self.browser.get(f"{site.provider}/session/end?{urlencode({'id_token_hint': token})}")
        done = self._fill_in(page, {"logout": "yes"})
        assert done.status_code == 200, done.text

    def is_at(self, site: Relying) -> str:
        found: str = self.browser.get(f"{site.url}/who").json()
        return found

    def _fill_in(self, page: httpx2.Response, values: dict[str, str]) -> httpx2.Response:
        assert page.status_code == 200, page.text
        [action] = re.findall(r'<form[^>]*action="([^"]+)"', page.text)[:1]
        hidden = re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page.text)
        return self.browser.post(str(page.url.join(action)), data={**dict(hidden), **values})


def test_one_logout_at_the_provider_ends_two_applications(package: Path, tmp_path: Path) -> None:
    """One by its session, on ASGI, and one by its subject, on WSGI; other people stay, and a second login works."""
    port = free_port()
    provider = f"http://127.0.0.1:{port}"
    shop = Relying("shop", free_port(), provider, by_session=True)
    blog = Relying("blog", free_port(), provider, by_session=False)
    configuration = tmp_path / "clients.json"
    configuration.write_text(json.dumps({"port": port, "clients": [shop.registration(), blog.registration()]}))
    node = ServerProcess(["node", "oidc_provider.mjs", str(configuration)], package)
    node.log = tmp_path / "log"
    managers = {
        name: SessionManager(f"sqlite:///{tmp_path / name}.db", dev=True, label=name, secret=token_urlsafe(32))
        for name in ("shop", "blog")
    }
    with ExitStack() as stack:
        stack.callback(node.kill)
        node.start()
        wait_until(lambda: "listening" in node.log.read_text(), "the start of the provider", 30)
        stack.enter_context(served(fastapi_shop(shop, managers["shop"]), port=urlsplit(shop.url).port))
        stack.enter_context(served_by_werkzeug(flask_blog(blog, managers["blog"]), urlsplit(blog.url).port or 0))
        ann, bob = stack.enter_context(User()), stack.enter_context(User())
        for site in (shop, blog):
            ann.sign_in(site, "ann")
            bob.sign_in(site, "bob")
        assert [ann.is_at(site) for site in (shop, blog)] == ["ann", "ann"]
        ann.sign_out(shop, shop.tokens[0])
        wait_until(lambda: [ann.is_at(site) for site in (shop, blog)] == ["", ""], "both logouts", 20)
        assert [bob.is_at(site) for site in (shop, blog)] == ["bob", "bob"]
        assert "backchannel.error" not in node.log.read_text(), node.log.read_text()
        ann.sign_in(shop, "ann")
        assert ann.is_at(shop) == "ann"
