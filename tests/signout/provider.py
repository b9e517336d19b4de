"""An identity provider that signs whatever a test wants, and an application of two frameworks that it signs out of."""

from __future__ import annotations

import asyncio
import json
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final

import flask
import httpx2
from fastapi import FastAPI
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from limpet import SessionManager
from limpet.adapters.fastapi import SessionDep, SessionMiddleware
from limpet.adapters.flask import Limpet
from limpet.signout import Issuer, SignOut
from limpet.testing import client

__all__ = [
    "AUDIENCE",
    "CAEP",
    "EC",
    "ISSUER",
    "LOGOUT",
    "NOW",
    "OKP",
    "OTHER",
    "RISC",
    "RSA",
    "Site",
    "encoded",
    "event_claims",
    "event_token",
    "issuer",
    "jwks",
    "logout_claims",
    "logout_token",
    "sign",
]

ISSUER: Final = "https://id.example.com"
AUDIENCE: Final = "shop"
LOGOUT: Final = "http://schemas.openid.net/event/backchannel-logout"
CAEP: Final = "https://schemas.openid.net/secevent/caep/event-type/"
RISC: Final = "https://schemas.openid.net/secevent/risc/event-type/"
NOW: Final = 1_900_000_000
RSA: Final = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
EC: Final = ECKey.generate_key("P-256", {"kid": "ec"})
OKP: Final = OKPKey.generate_key("Ed25519", {"kid": "okp"})
OTHER: Final = RSAKey.generate_key(2048, {"kid": "rsa"})
"""A key of somebody else, who calls it as the provider calls its own."""

Claims = dict[str, Any]


def jwks(*keys: Key) -> Mapping[str, Any]:
    """Return a key set with the public halves."""
    return {"keys": [dict(key.as_dict(private=False)) for key in keys or (RSA, EC, OKP)]}


def issuer(name: str = ISSUER, audience: Any = AUDIENCE, keys: Any = None, **more: Any) -> Issuer:
    """Return the provider as the application knows it; by default it may do everything."""
    accepts = more.pop("accepts", ("back-channel", "front-channel", "events", "revocation"))
    return Issuer(name, audience, jwks() if keys is None else keys, accepts=accepts, **more)


def logout_claims(**changed: Any) -> Claims:
    """Return what a logout token says; None leaves a claim out."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": NOW,
        "exp": NOW + 120,
        "jti": str(uuid.uuid4()),
        "events": {LOGOUT: {}},
        "sid": "08a5",
        **changed,
    }
    return {name: value for name, value in claims.items() if value is not None}


def event_claims(event: str, payload: Any = None, **changed: Any) -> Claims:
    """Return what a security event token says."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": NOW,
        "jti": str(uuid.uuid4()),
        "sub_id": {"format": "iss_sub", "iss": ISSUER, "sub": "ann"},
        "events": {event: {} if payload is None else payload},
        **changed,
    }
    return {name: value for name, value in claims.items() if value is not None}


def sign(claims: Mapping[str, Any], typ: str | None, key: Key = RSA, alg: str = "RS256", **header: Any) -> str:
    """Return a token as the provider signs it, or as it never would."""
    head = {
        name: value for name, value in {"alg": alg, "kid": key.kid, "typ": typ, **header}.items() if value is not None
    }
    text = f"{encoded(head)}.{encoded(claims)}"
    return f"{text}.{encoded(JWSRegistry.algorithms[alg].sign(text.encode(), key))}"


def logout_token(key: Key = RSA, alg: str = "RS256", typ: str | None = "logout+jwt", **changed: Any) -> str:
    """Return a logout token."""
    return sign(logout_claims(**changed), typ, key, alg)


def event_token(event: str, payload: Any = None, typ: str | None = "secevent+jwt", **changed: Any) -> str:
    """Return a security event token."""
    return sign(event_claims(event, payload, **changed), typ)


def encoded(part: Any) -> str:
    """Return a part of a token."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _fastapi(manager: SessionManager, signout: SignOut) -> Any:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager=manager)

    @app.post("/login/{name}")
    async def login(name: str, session: SessionDep, sid: str = "08a5") -> None:
        session.login(name, tags={"oidc_sid": sid})

    @app.get("/who")
    async def who(session: SessionDep) -> str:
        return session.subject or ""

    app.mount("/signout", signout.asgi)
    return app


def _flask(manager: SessionManager, signout: SignOut) -> Any:
    app = flask.Flask(__name__)
    Limpet(app, manager)

    @app.post("/login/<name>")
    def login(name: str) -> str:
        sid = flask.request.args.get("sid", "08a5")
        flask.session.login(name, tags={"oidc_sid": sid})  # type: ignore[attr-defined]
        return "null"

    @app.get("/who")
    def who() -> Any:
        return flask.jsonify(flask.session.subject or "")  # type: ignore[attr-defined]

    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/signout": signout.wsgi})  # type: ignore[method-assign]
    return app


_SERVERS: Final[Mapping[str, Callable[[SessionManager, SignOut], Any]]] = {"asgi": _fastapi, "wsgi": _flask}


class Site:
    """The application, its browsers, and what the provider sends it.

    Args:
        kind: ``"asgi"`` or ``"wsgi"``.
        manager: Whose sessions.
        issuers: Who may end them.
    """

    def __init__(self, kind: str, manager: SessionManager, *issuers: Issuer) -> None:
        self.kind = kind
        self.manager = manager
        self.signout = SignOut(manager, *(issuers or (issuer(),)))
        self.app = _SERVERS[kind](manager, self.signout)

    def client(self) -> Any:
        """Return a client with no cookies."""
        if self.kind == "asgi":
            return client(self.app)
        return httpx2.Client(transport=httpx2.WSGITransport(app=self.app), base_url="https://testserver")

    def login(self, name: str = "ann", sid: str = "08a5") -> Any:
        """Return a browser that has logged in."""
        browser = self.client()
        assert browser.post(f"/login/{name}?sid={sid}").status_code == 200
        assert self.who(browser) == name
        return browser

    def who(self, browser: Any) -> str:
        """Return whose session a browser has; "": nobody's."""
        found: str = browser.get("/who").json()
        return found

    def logout(self, token: str, **more: Any) -> Any:
        """Post a logout token."""
        return self.client().post("/signout/back-channel", data={"logout_token": token}, **more)

    def push(self, token: str, media: str = "application/secevent+jwt", **headers: str) -> Any:
        """Push a security event token."""
        return self.client().post("/signout/events", content=token, headers={"content-type": media, **headers})

    def polled(self, answer: Any) -> Any:
        """Hand over what a poll has brought, with or without an event loop."""
        if self.kind == "asgi":
            return asyncio.run(self.signout.polled(answer))
        return self.signout.blocking.polled(answer)

    def revoke(self, identifier: Any, authorization: str | None, media: str = "application/json") -> Any:
        """Ask for a global revocation."""
        headers = {"content-type": media, **({} if authorization is None else {"authorization": authorization})}
        content = identifier if isinstance(identifier, bytes) else json.dumps({"sub_id": identifier}).encode()
        return self.client().post("/signout/revocation", content=content, headers=headers)
