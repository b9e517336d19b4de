"""Where a browser registers its key, and shows again that it has it.

Both change the session's own record by its version, whatever other requests save into it meanwhile: a registration
that meets a navigation loses nothing and is not lost, and each challenge is good for one proof.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from limpet import events
from limpet._cookies import CookieWriter
from limpet._wire import tokens
from limpet._wire.marks import Gone
from limpet._wire.record import Found, pack
from limpet.bound import fields, proofs
from limpet.bound.policy import BoundPolicy
from limpet.bound.proofs import Refused
from limpet.bound.tokens import Challenge, Tokens
from limpet.bound.visit import Visit
from limpet.errors import Answer, StoreUnavailable, answer_to
from limpet.policy import CookiePolicy
from limpet.protocols import Header

if TYPE_CHECKING:
    from limpet._core.engine import Engine

__all__ = ["Endpoints", "made"]

WELL_KNOWN: Final = "/.well-known/device-bound-sessions"
_REGISTRATION_LASTS: Final = 300_000  # milliseconds; a browser registers at once, and its key store may be slow
_TEXT: Final = b"text/plain; charset=utf-8"
_POLICY_VIOLATION: Final = 1008  # RFC 6455, section 7.4.1: policy violation


class _Ended(Exception):
    """The session that a proof is for does not exist, or has another binding."""


class Endpoints:
    """Answers what a browser sends for device-bound sessions.

    Args:
        engine: Loads and saves.
        policy: How sessions are bound.
        keys: Makes and reads challenges and cookies.
        cookie: The one that holds the last proof; it has a name.
        path: Below which it answers.
    """

    def __init__(self, engine: Engine, policy: BoundPolicy, keys: Tokens, cookie: CookiePolicy, path: str) -> None:
        self._engine = engine
        self._policy = policy
        self._keys = keys
        assert cookie.name is not None
        self._name = cookie.name
        self._cookie = cookie
        self._writer = CookieWriter(cookie.name, cookie)
        self._attributes = self._writer.set("x", None).decode("ascii").partition("; ")[2]
        self.registration: str = f"{path}/registration"
        self.refresh: str = f"{path}/refresh"
        served = {self.registration, self.refresh, *([WELL_KNOWN] if policy.registering_origins else [])}
        self.paths: frozenset[str] = frozenset(served)
        self.slack_ms: int = min(60_000, policy.proof_ms // 10)
        """So much longer than in the browser a proof counts here: a request may be under way."""

    async def serve(self, visit: Visit, ids: Sequence[str]) -> Answer:
        """Answer a request to one of `paths`.

        Args:
            visit: The request.
            ids: The tokens of sessions that it presented.
        """
        if visit.path == WELL_KNOWN:
            return made(200, {"registering_origins": list(self._policy.registering_origins)})
        if visit.method != "POST":  # draft, section "Send request"
            return made(405, "Only a browser comes here, with POST.\n", (b"allow", b"POST"))
        try:
            if visit.path == self.registration:
                return await self._register(visit, ids)
            return await self._refresh(visit, ids)
        except StoreUnavailable as error:
            answer = answer_to(error)
            assert answer is not None
            return answer

    async def _register(self, visit: Visit, ids: Sequence[str]) -> Answer:
        """Note the key that the browser has just made. It counts from the first proof on that the key is there.

        So a browser that never heard the answer, or cannot follow it, has a session like any other. One that can gets
        no cookie yet, and loses that of a session which it had before, and so gives that proof before its next request.

        Source: draft, sections "Process session registration" and "Server considerations".
        """
        now, text = self._engine.clock(), fields.proof_in(visit.headers)
        try:
            if text is None:
                raise Refused("no-proof")
            proof = proofs.registered(text, self._policy.algorithms)
            lasts = min(self._policy.challenge_ms, _REGISTRATION_LASTS)
            challenge = self._read(proof.challenge, now, lasts, registers=True)

            def bind(bound: dict[str, Any]) -> dict[str, Any]:
                if "at" in bound:
                    raise Refused("bound-already")
                if challenge.proofs != bound.get("proofs", 0):
                    raise Refused("used")
                known = {"key": proof.key, "thumb": proof.thumbprint, "alg": proof.alg}
                return {**bound, **known, "last": now, "proofs": challenge.proofs + 1}

            found, bound = await self._amend(ids, challenge.identifier, bind)
        except _Ended:
            return self._refuse("no-session")
        except Refused as refused:
            return self._refuse(str(refused))
        self._engine.emit(events.DeviceRegistered, found.key, subject=found.record.subject, algorithm=proof.alg)
        return self._instructions(visit, bound, now)

    async def _refresh(self, visit: Visit, ids: Sequence[str]) -> Answer:
        """Take a proof that the key is still there, or ask for one.

        Source: draft, sections "Send request" (what a browser does with each status) and "Server considerations".
        """
        now, identifier = self._engine.clock(), fields.session_id_in(visit.headers)
        if identifier is None:
            return self._refuse("no-session-id", 400)
        text = fields.proof_in(visit.headers)
        there = await self._find(ids, identifier)
        try:
            bound = None if there is None else there.contents.bound
            if there is None or bound is None or "key" not in bound:
                raise _Ended
            if text is None:
                return self._ask(bound, now)
            proof = proofs.renewed(text, bound["key"], bound["alg"])
            try:
                challenge = self._read(proof.challenge, now, self._policy.challenge_ms, registers=False)
                if challenge.identifier != identifier:
                    raise Refused("another-session")

                def renew(bound: dict[str, Any]) -> dict[str, Any]:
                    if challenge.proofs != bound["proofs"]:
                        raise Refused("used")
                    return {"at": now, **bound, "last": now, "proofs": challenge.proofs + 1}

                found, bound = await self._amend(ids, identifier, renew)
            except Refused as refused:  # the key is right, and the challenge is not: the browser may try again
                self._engine.emit(events.DeviceProofRefused, there.key, reason=str(refused))
                again = await self._find(ids, identifier)
                bound = None if again is None else again.contents.bound
                if bound is None or "key" not in bound:
                    raise _Ended from refused
                return self._ask(bound, now)
        except _Ended:  # no cookie is deleted: by now the browser may have one of a session that began since
            return made(200, {"session_identifier": identifier, "continue": False})
        except Refused as refused:
            return self._refuse(str(refused), 400, None if there is None else there.key)
        kind = events.DeviceBound if bound["at"] == now else events.DeviceProven
        self._engine.emit(kind, found.key, subject=found.record.subject)
        return self._instructions(visit, bound, now)

    # -- steps

    def _read(self, text: str, now: int, lasts: int, *, registers: bool) -> Challenge:
        challenge = self._keys.read_challenge(text, registers=registers)
        if challenge is None:
            raise Refused("challenge")
        if now - challenge.at >= lasts:
            raise Refused("stale")
        return challenge

    async def _find(self, ids: Sequence[str], identifier: str) -> Found | None:
        """Return the session of one of these ids that devices know by this name, also under an id that came after."""
        engine = self._engine
        for token in ids:
            raw = engine.ids.verify(token)
            if raw is None:
                continue
            found = await self._follow(await engine.storage.locate(raw, engine.ids.key_of(raw), met_alive=True))
            if found is not None and found.contents.bound is not None and found.contents.bound["id"] == identifier:
                return found
        return None

    async def _follow(self, found: Found | Gone | None) -> Found | None:
        """Go on to the session that took the place of one whose id has just been changed."""
        storage = self._engine.storage
        for _ in range(self._engine.policy.merge_attempts):
            if not isinstance(found, Gone):
                return found
            key = found.successor
            found = None if key is None else await storage.judge_if_any(b"", key, await storage.load(key))
        return None

    async def _amend(
        self, ids: Sequence[str], identifier: str, change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> tuple[Found, dict[str, Any]]:
        """Change what a session's record says of its device, by its version.

        Raises:
            Refused: ``change`` raised it, about what the record says now.
            StoreUnavailable: The store does not answer, or others wrote so often meanwhile.
        """
        engine = self._engine
        found = await self._find(ids, identifier)
        for _ in range(engine.policy.merge_attempts):
            bound = None if found is None else found.contents.bound
            if found is None or bound is None or bound["id"] != identifier:
                raise _Ended
            found.contents.bound = bound = change(bound)
            payload = pack(found.contents, engine.serializer)
            record = found.record._replace(version=tokens.new_version(), payload=payload)
            obstacle = await engine.storage.update(found.key, record, found.record.version)
            if obstacle is None:
                return found, bound
            found = await self._follow(await engine.storage.judge_if_any(found.raw, found.key, obstacle))
        raise StoreUnavailable("the session was written to so often meanwhile that its device could not be noted")

    # -- answers

    def _instructions(self, visit: Visit, bound: dict[str, Any], now: int) -> Answer:
        """Return what a browser is told of a bound session, with the cookie of the proof that it has just given.

        Source: draft, sections 9.6 to 9.9. With the next challenge, so that the next proof takes one round trip and
        one signature: browsers have a quota of them.
        """
        policy, prefix, identifier = self._policy, visit.prefix, bound["id"]
        rules = [{"type": "exclude", "domain": "*", "path": prefix + path} for path in policy.exclude]
        scope: dict[str, Any] = {"include_site": policy.include_site, "scope_specification": rules}
        if policy.include_site:
            scope["origin"] = f"https://{(self._cookie.domain or '').lstrip('.')}"
        told: dict[str, Any] = {
            "session_identifier": identifier,
            "refresh_url": prefix + self.refresh,
            "scope": scope,
            "credentials": [{"type": "cookie", "name": self._name, "attributes": self._attributes}],
        }
        if policy.allowed_refresh_initiators:
            told["allowed_refresh_initiators"] = list(policy.allowed_refresh_initiators)
        cookie = self.forget()
        if "at" in bound:
            until = now + policy.proof_ms + self.slack_ms
            line = self._writer.set(self._keys.cookie(identifier, bound["thumb"], until), policy.proof_ms // 1000)
            cookie = b"set-cookie", line
        return made(200, told, self.challenge(bound, now), cookie)

    def challenge(self, bound: dict[str, Any], now: int) -> Header:
        """Return the header with a challenge for the next proof of a session."""
        text = self._keys.challenge(bound["id"], bound["proofs"], now, registers=False)
        return fields.challenge(text, bound["id"])

    def forget(self) -> Header:
        """Return the header that deletes the cookie of the last proof."""
        return b"set-cookie", self._writer.delete()

    def _ask(self, bound: dict[str, Any], now: int) -> Answer:
        return made(403, "Prove that this is still your device.\n", self.challenge(bound, now))

    def _refuse(self, reason: str, status: int = 403, key: str | None = None) -> Answer:
        self._engine.emit(events.DeviceProofRefused, key, reason=reason)
        return made(status, f"This proves no device ({reason}).\n")


def made(status: int, content: str | dict[str, Any], *more: Header, kind: bytes = _TEXT) -> Answer:
    """Return an answer that no cache keeps: text, or JSON."""
    body = (content if isinstance(content, str) else json.dumps(content)).encode()
    headers = (
        (b"content-type", kind if isinstance(content, str) else b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *more,
    )
    return Answer(status, headers, body, _POLICY_VIOLATION)
