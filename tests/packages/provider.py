"""An OpenID provider as an ASGI application: every visitor is Ann, and says yes."""

from __future__ import annotations

import time
from typing import Any

import httpx2
from authlib.integrations.starlette_client import OAuth
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

__all__ = ["ISSUER", "SECRET", "oauth_over", "provider"]

SECRET = "a secret of a test that is long enough to be one, 0123456789"
ISSUER = "https://provider"


def provider(issuer: str = ISSUER) -> Starlette:
    """Return a provider that gives out codes, and for each an access token and a signed id token.

    Args:
        issuer: Its name, which is the address at which it is found.
    """
    key = RSAKey.generate_key(2048, parameters={"kid": "only"})
    codes: dict[str, str] = {}

    async def metadata(request: Request) -> Response:
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
        return JSONResponse(
            {"issuer": issuer}
            | {name: f"{issuer}/{name}" for name in names}
            | {"id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"]}
        )

    async def authorize(request: Request) -> Response:
        asked = request.query_params
        code = f"code-{len(codes)}"
        codes[code] = asked.get("nonce", "")
        back = URL(asked["redirect_uri"]).include_query_params(code=code, state=asked["state"])
        return RedirectResponse(back)

    async def token(request: Request) -> Response:
        form = await request.form()
        now = int(time.time())
        claims = {
            "iss": issuer,
            "aud": "client",
            "sub": "ann",
            "name": "Ann",
            "preferred_username": "ann",
            "profile": "",
            "picture": "",
            "nonce": codes.pop(str(form["code"])),
            "iat": now,
            "exp": now + 3600,
        }
        signed = jwt.encode({"alg": "RS256", "kid": "only"}, claims, key)
        return JSONResponse({"access_token": "for-ann", "token_type": "Bearer", "expires_in": 3600, "id_token": signed})

    async def keys(request: Request) -> Response:
        return JSONResponse(KeySet([key]).as_dict(private=False))

    async def userinfo(request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer for-ann"
        return JSONResponse({"sub": "ann", "name": "Ann"})

    return Starlette(
        routes=[
            Route("/.well-known/openid-configuration", metadata),
            Route("/authorization_endpoint", authorize),
            Route("/token_endpoint", token, methods=["POST"]),
            Route("/jwks_uri", keys),
            Route("/userinfo_endpoint", userinfo),
        ]
    )


def oauth_over(application: Starlette) -> Any:
    """Return Authlib's client of a provider, which it speaks with over ASGI."""
    oauth = OAuth()
    oauth.register(
        "provider",
        client_id="client",
        client_secret="secret",
        server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid profile",
            "code_challenge_method": "S256",
            "transport": httpx2.ASGITransport(application),
        },
    )
    return oauth.create_client("provider")
