"""A browser that binds sessions to its device, as the draft says, over any HTTP client; it keeps its key in memory."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from tests.jar import keep

__all__ = ["Browser", "Device", "Reply", "Send", "asgi", "over_http", "wsgi"]

NAVIGATION: Final = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
_RSA: Final = RSAKey.generate_key(2048)


@dataclass
class Reply:
    """What was answered.

    Attributes:
        status: The status.
        headers: Lower-case names and values, in their order.
        text: The body.
    """

    status: int
    headers: list[tuple[str, str]]
    text: str

    def all(self, name: str) -> list[str]:
        """Return the values of a header."""
        return [value for each, value in self.headers if each == name]

    def one(self, name: str) -> str:
        """Return the only value of a header."""
        (value,) = self.all(name)
        return value

    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.text)


Send = Callable[[str, str, Iterable[tuple[str, str]]], Awaitable[Reply]]


def asgi(app: Any) -> Send:
    """Return what sends requests to an ASGI application."""

    async def send(method: str, path: str, headers: Iterable[tuple[str, str]]) -> Reply:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="https://shop.test") as client:
            return _reply(await client.request(method, path, headers=list(headers)))

    return send


def wsgi(app: Any) -> Send:
    """Return what sends requests to a WSGI application."""

    async def send(method: str, path: str, headers: Iterable[tuple[str, str]]) -> Reply:
        def ask() -> Reply:
            with httpx.Client(transport=httpx.WSGITransport(app), base_url="https://shop.test") as client:
                return _reply(client.request(method, path, headers=list(headers)))

        return await asyncio.to_thread(ask)

    return send


def over_http(url: str) -> Send:
    """Return what sends requests to a server."""

    async def send(method: str, path: str, headers: Iterable[tuple[str, str]]) -> Reply:
        async with httpx.AsyncClient(base_url=url) as client:
            return _reply(await client.request(method, path, headers=list(headers)))

    return send


def _reply(response: httpx.Response) -> Reply:
    headers = [(name.lower(), value) for name, value in response.headers.multi_items()]
    return Reply(response.status_code, headers, response.text)


class Device:
    """Holds a key, and signs with it.

    Args:
        alg: ``"ES256"`` or ``"RS256"``.
    """

    def __init__(self, alg: str = "ES256") -> None:
        self.alg = alg
        self.key: ECKey | RSAKey = ECKey.generate_key("P-256") if alg == "ES256" else _RSA

    @property
    def public(self) -> dict[str, Any]:
        """The public key, as a JWK."""
        shown = self.key.as_dict(private=False)
        return {name: value for name, value in shown.items() if name in ("kty", "crv", "x", "y", "n", "e")}

    def prove(self, challenge: str, *, registers: bool, header: Mapping[str, Any] | None = None) -> str:
        """Return a proof; ``header`` replaces what its header says, and None takes a field away."""
        said: dict[str, Any] = {"alg": self.alg, "typ": "dbsc+jwt"}
        if registers:
            said["jwk"] = self.public
        said = {name: value for name, value in {**said, **(header or {})}.items() if value is not None}
        registry = jws.JWSRegistry(algorithms=[said["alg"]])
        registry.max_header_length = 4096
        return jws.serialize_compact(said, json.dumps({"jti": challenge}), self.key, registry=registry)


@dataclass
class Browser:
    """A browser with its cookies and one device.

    Attributes:
        send: Sends a request.
        device: Where its keys are.
        quotes: It sends strings in quotes, as the draft says; Chromium does not.
        cookies: By name.
        offer: What the last response asked it to register with: path and challenge.
        identifier: Of the bound session; None: it has none.
        challenge: The next proof's.
        told: The instructions that it was given last.
    """

    send: Send
    device: Device = field(default_factory=Device)
    quotes: bool = True
    cookies: dict[str, str] = field(default_factory=dict[str, str])
    offer: tuple[str, str] | None = None
    identifier: str | None = None
    challenge: str | None = None
    told: dict[str, Any] = field(default_factory=dict[str, Any])

    async def get(self, path: str, method: str = "GET", **headers: str) -> Reply:
        """Ask for a page, without a proof that was not asked for."""
        sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
        if self.cookies:
            sent.append(("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        reply = await self.send(method, path, sent)
        keep(self.cookies, reply.all("set-cookie"))
        for line in reply.all("secure-session-registration"):
            self.heed(line)
        for line in reply.all("secure-session-challenge"):
            found = re.fullmatch(r'"([^"]+)";id="([^"]+)"', line)
            assert found is not None, line
            if found[2] == self.identifier or self.identifier is None:
                self.challenge = found[1]
        return reply

    def heed(self, line: str) -> None:
        """Note with what a response asks to register."""
        found = re.fullmatch(r'\(([A-Z0-9 ]+)\);path="([^"]+)";challenge="([^"]+)"', line)
        assert found is not None, line
        assert self.device.alg in found[1].split()
        self.offer = found[2], found[3]

    def quoted(self, text: str) -> str:
        """Return a string as this browser writes it into a header."""
        return f'"{text}"' if self.quotes else text

    async def register(self, proof: str | None = None) -> Reply:
        """Bind the session, as the last response has asked."""
        assert self.offer is not None, "no response has asked for it"
        path, challenge = self.offer
        proof = proof or self.device.prove(challenge, registers=True)
        reply = await self.get(path, "POST", secure_session_response=self.quoted(proof))
        if reply.status == 200:
            self.told = reply.json()
            self.identifier = self.told["session_identifier"]
            _, given = self.challenge_in(reply)
            self.challenge = given
        return reply

    def challenge_in(self, reply: Reply) -> tuple[str, str]:
        """Return the session and the challenge that a response names."""
        found = re.fullmatch(r'"([^"]+)";id="([^"]+)"', reply.one("secure-session-challenge"))
        assert found is not None
        return found[2], found[1]

    async def refresh(self, proof: str | None = None, *, tries: int = 2) -> Reply:
        """Prove the device; asked for another proof at once (403 with a challenge), give that."""
        assert self.identifier is not None
        reply = Reply(0, [], "")
        for _ in range(tries):
            headers = {"sec_secure_session_id": self.quoted(self.identifier)}
            if proof is None and self.challenge is not None:
                proof = self.device.prove(self.challenge, registers=False)
            if proof is not None:
                headers["secure_session_response"] = self.quoted(proof)
            reply = await self.get(self.told["refresh_url"], "POST", **headers)
            if reply.status != 403:
                break
            proof = None
        if reply.status == 200 and reply.json().get("continue", True):
            self.told = reply.json()
        return reply

    async def log_in(self, who: str = "ann") -> Browser:
        """Log in, bind the session and prove the device, and return this browser."""
        assert (await self.get(f"/login/{who}")).status == 200
        assert (await self.register()).status == 200
        assert (await self.refresh()).status == 200, "it has no cookie yet, and so proves its device at once"
        return self

    async def whose(self) -> Any:
        """Return whose session the application takes this browser's for; None: nobody's."""
        return (await self.get("/me")).json()

    def thief(self) -> Browser:
        """Return another browser, which has copied the cookies and has a device of its own."""
        return Browser(self.send, Device(), self.quotes, dict(self.cookies))
