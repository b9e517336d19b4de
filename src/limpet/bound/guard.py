"""Who is let in: a session that is bound to a device takes a recent proof, beside its own cookie.

The engine asks whenever it has read a session (`Guard.admits`), for every framework alike. A session without the proof
that it needs is not there for the request: it reads nothing of it, saves nothing and sends no cookie. A login or a
logout ends it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from limpet import events
from limpet._cookies import CookieWriter, values
from limpet._core.session import Session, state_of
from limpet._core.state import OFFERS, OVER, PENDING, UNPROVEN, SessionState
from limpet._serving import path_patterns
from limpet._wire.record import Contents, Found
from limpet.bound import fields
from limpet.bound.endpoints import Endpoints, made
from limpet.bound.policy import BoundPolicy, Login
from limpet.bound.tokens import Tokens, new_identifier
from limpet.bound.visit import Visit
from limpet.errors import Answer, ConfigurationError, StoreUnavailable
from limpet.refusals import OnRefused, Refusal, answer_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from limpet._core.engine import Engine
    from limpet.keyring import Keyring
    from limpet.policy import CookiePolicy
    from limpet.protocols import Header

__all__ = ["Guard", "check_names", "protected"]

_TEXT: Final = (
    "This session is bound to the device that it began on, and the request does not show that it comes from there. "
    "Load the page again, or log in.\n"
)
_AGAIN: Final = (
    "<!doctype html><meta charset=utf-8><meta name=robots content=noindex><meta http-equiv=refresh content=0>"
    "<title>One moment</title><p>One moment. <a href=''>Continue</a>\n"
)
_ONCE: Final = 60  # seconds; within them no page of one browser is loaded again a second time


class Guard:
    """Binds the sessions of one manager to devices; the engine's `limpet._core.binding.Binder`.

    Args:
        engine: Loads and saves.
        policy: How sessions are bound.
        keyring: What challenges and proofs are signed with.
        name: The name of the session's cookie.
        cookie: Its attributes.
        label: Tells several managers of one application apart, which answer on different paths; None: there is one.
        on_refused: Makes the application's own page for a request that is refused.

    Raises:
        ConfigurationError: Such a cookie cannot be bound.
    """

    def __init__(
        self,
        engine: Engine,
        policy: BoundPolicy,
        keyring: Keyring,
        name: str,
        cookie: CookiePolicy,
        label: str | None = None,
        on_refused: OnRefused | None = None,
    ) -> None:
        given = policy.cookie or replace(cookie, name=None)
        self.policy = policy
        self.cookie_name: str = given.name or protected(f"{name}-bound", given)
        self.cookie: CookiePolicy = replace(given, name=self.cookie_name)
        """Of the cookie that holds the last proof."""
        check_names(name, self.cookie_name)
        _check(policy, self.cookie)
        self._name = self.cookie_name.encode("ascii")
        again = _again(self.cookie, cookie.path)
        self._again_name = again.name.encode("ascii")
        self._again = b"set-cookie", again.set("1", _ONCE)
        self._engine = engine
        self._keys = Tokens(keyring, name, lambda: engine.clock())
        self._on_refused = on_refused
        self.notes_use: bool = engine.policy.rolling
        """Whether a record says that its session was used; an adapter may know that it does not."""
        self._refuse = path_patterns(policy.refuse, "refuse")
        path = policy.path if label is None else f"{policy.path}-{label}"
        self.endpoints: Endpoints = Endpoints(engine, policy, self._keys, self.cookie, path)

    # -- what the engine asks

    def begin(self, state: SessionState, draft: Contents) -> bool:
        """Note in the contents that a device may bind the session of a login; tell whether that changed them.

        A session that is bound already stays so: the request has shown that it comes from the device.
        """
        bound = draft.bound
        if bound is not None and "at" in bound:
            return False
        wanted = self.policy.wants(Login(state.subject, draft.remember, draft.tags))
        state.flags = state.flags | OFFERS if wanted else state.flags & ~OFFERS
        draft.bound = {"id": new_identifier(), "since": self._engine.clock()} if wanted else None
        return wanted or bound is not None

    def admits(self, found: Found, headers: Sequence[Header]) -> bool:
        """Tell whether a request may use a session: it is bound to no device, or comes from the right one."""
        reason = self.lacks(found, headers)
        if reason is not None:
            self._engine.emit(events.DeviceUnproven, found.key, subject=found.record.subject, reason=reason)
        return reason is None

    def lacks(self, found: Found, headers: Sequence[Header]) -> str | None:
        """Return what a request lacks to use a session, without telling of it; None: nothing."""
        bound = found.contents.bound
        if bound is None or not self._counts(bound, found):
            return "unbound" if self._is_overdue(found) else None
        return self._wrong(bound, headers)

    def headers(self, state: SessionState, prefix: str) -> list[Header]:
        """Return the headers by which a response asks the browser to bind a session, or to prove its device."""
        now = self._engine.clock()
        if state.flags & UNPROVEN:
            asked = state.rivals[0].contents.bound if state.rivals else None
            if asked is None or "key" not in asked:
                return []
            asks = self.endpoints.challenge(asked, now)
            # Without the cookie of the old proof the browser asks for one.
            return [self.endpoints.forget(), asks] if self._has_one(state.headers) else [asks]
        draft = state.draft
        bound = None if draft is None or state.stored is None or state.flags & OVER else draft.bound
        if bound is None:
            return []
        stray = [self.endpoints.forget()] if self._has_stray(state, bound, now) else []
        if "at" in bound or abs(now - bound["since"]) >= self.policy.offer_ms:
            return stray
        if not (state.flags & OFFERS or _is_page(state.headers)):  # a browser makes a key each time it is asked
            return stray
        text = self._keys.challenge(bound["id"], bound.get("proofs", 0), now, registers=True)
        return [*stray, fields.registration(self.policy.algorithms, prefix + self.endpoints.registration, text)]

    def _has_stray(self, state: SessionState, bound: dict[str, Any], now: int) -> bool:
        """Tell whether the browser has the proof of another session in the place of the one that it is to give.

        The answer to a proof of the session before may arrive after the new one was registered. The browser would take
        that cookie for the new session's until it runs out.
        """
        if "key" not in bound or ("at" in bound and abs(now - bound["at"]) >= self.policy.settle_ms):
            return False
        if not self._has_one(state.headers):
            return False
        return not any(
            self._keys.until(each, bound["id"], bound["thumb"]) is not None
            for each in values(state.headers, self._name)
        )

    def _has_one(self, headers: Sequence[Header]) -> bool:
        """Tell whether a request brings a cookie under the name of the proof's, whoever has set it."""
        return _has(headers, self._name)

    def _counts(self, bound: dict[str, Any], found: Found) -> bool:
        """Tell whether a session needs a proof: its browser has given one, or has not been there since it registered.

        A browser that goes on without a proof could not follow its instructions, and is not locked out.
        """
        if "at" in bound:
            return True
        left_alone = self.notes_use and "key" in bound and found.record.accessed <= bound["last"]
        return left_alone and self._engine.clock() - bound["last"] >= self.policy.proof_ms

    def _is_overdue(self, found: Found) -> bool:
        """Tell whether a login should have been bound by now."""
        policy, contents = self.policy, found.contents
        if not policy.required or contents.authenticated is None:
            return False
        if self._engine.clock() - contents.authenticated < policy.offer_ms + policy.settle_ms:
            return False
        return policy.wants(Login(found.record.subject, contents.remember, contents.tags))

    def _wrong(self, bound: dict[str, Any], headers: Sequence[Header]) -> str | None:
        """Return what is wrong with the proof that a request brings for a bound session; None: nothing.

        One that holds is enough, whatever stands beside it and before it.
        """
        now, policy, reason = self._engine.clock(), self.policy, "missing"
        for value in values(headers, self._name):
            until = self._keys.until(value, bound["id"], bound["thumb"])
            if until is not None and now < until:
                return None
            if reason != "expired":
                reason = "foreign" if until is None else "expired"
        if "at" in bound and abs(now - bound["at"]) < policy.settle_ms:  # a clock that was set back lengthens nothing
            return None
        skipped = fields.skipped_in(headers, bound["id"])
        if skipped is None:
            return reason
        if policy.skipped_ms and now < bound["last"] + policy.proof_ms + policy.skipped_ms:
            return None
        return skipped

    # -- what a middleware asks

    async def answer(self, visit: Visit, session: Session) -> Answer | None:
        """Return the answer to what is not for the application; None: it is."""
        state = state_of(session)
        if visit.path in self.endpoints.paths:
            return await self.endpoints.serve(visit, state.ids)
        if state.ids and self.asks(visit):
            if state.loaded == PENDING:
                with suppress(StoreUnavailable):  # kept, and raised when the handler uses the session
                    await self._engine.load(session)
            return self.verdict(visit, state)
        return None

    def asks(self, visit: Visit) -> bool:
        """Tell whether the answer to a request depends on whether its session was proven."""
        return self._resumes(visit) or self._refuses(visit)

    def verdict(self, visit: Visit, state: SessionState) -> Answer | None:
        """Return the answer to a request whose session was read and lacks its proof; None: the application's.

        A page gets a second try where the browser could not know that a proof was needed: it proves its device for
        requests that pages of the same origin make (draft, "Identify if a request is allowed to refresh"), and while
        it has the cookie of a proof it takes that for good. A cookie says for a minute that there was that second try.
        Without it a browser that cannot prove its device would load the page for ever where a cookie of that name
        stays, such as one that another host of the site has set for all of them.
        """
        if not state.flags & UNPROVEN:
            return None
        more = self.headers(state, visit.prefix)
        if more and self._resumes(visit):
            return made(200, _AGAIN, *more, self._again, kind=b"text/html; charset=utf-8")
        if not self._refuses(visit):
            return None
        usual = made(403, _TEXT, *more)
        refusal = Refusal(status=403, reason="device-unproven", text=_TEXT.strip(), scope=visit.scope or {})
        answer = answer_with(self._on_refused, refusal, usual)
        return answer._replace(headers=(*[pair for pair in answer.headers if pair not in more], *more))

    def _refuses(self, visit: Visit) -> bool:
        return any(pattern.match(visit.path) for pattern in self._refuse)

    def _resumes(self, visit: Visit) -> bool:
        """Tell whether a person opens a page by a link on another origin, or with the cookie of an earlier proof.

        Not if the page was loaded again for that just now.
        """
        if visit.method != "GET" or not _is_page(visit.headers) or _has(visit.headers, self._again_name):
            return False
        elsewhere = (b"cross-site",) if self.policy.include_site else (b"cross-site", b"same-site")
        site = next((value for name, value in visit.headers if name == b"sec-fetch-site"), b"")
        return site in elsewhere or self._has_one(visit.headers)


def _has(headers: Sequence[Header], name: bytes) -> bool:
    """Tell whether a request brings a cookie of this name, whoever has set it, and however many there are."""
    return bool(values(headers, name))


def _is_page(headers: Sequence[Header]) -> bool:
    """Tell whether a browser says that a person opens a page.

    Source: W3C Fetch Metadata Request Headers, sections 2.1 and 2.2.
    """
    said = [value for name, value in headers if name in (b"sec-fetch-dest", b"sec-fetch-mode")]
    return sorted(said) == [b"document", b"navigate"]


def protected(name: str, cookie: CookiePolicy) -> str:
    """Return a name with the strongest prefix that these attributes allow, and that browsers bind.

    With ``__Host-`` no other host of the site can set a cookie of that name. Chromium (156) knows the prefix
    ``__Http-`` for cookies, and refuses to bind one. It protects nothing here: what the cookie holds is signed, so that
    a script that plants one gains nothing.
    """
    for prefix in ("__host-http-", "__http-", "__host-", "__secure-"):
        if name.lower().startswith(prefix):
            name = name[len(prefix) :]
            break
    if not cookie.secure:
        return name
    return f"__Host-{name}" if (cookie.path, cookie.domain) == ("/", None) else f"__Secure-{name}"


def _again(proof: CookiePolicy, path: str) -> CookieWriter:
    """Return what writes the cookie that says that a page was loaded again: for one host, where sessions are used."""
    cookie = replace(proof, name=None, path=path, domain=None)
    return CookieWriter(protected(f"{proof.name}-again", cookie), cookie)


def check_names(session: str, proof: str | None) -> None:
    """Refuse a cookie of the proof's that would overwrite the session's.

    Raises:
        ConfigurationError: It would.
    """
    if proof == session:
        raise ConfigurationError(
            f"the session's cookie is called {session!r}: give BoundPolicy(cookie=...) another name, or none"
        )


def _check(policy: BoundPolicy, cookie: CookiePolicy) -> None:
    if (cookie.name or "").lower().startswith(("__http-", "__host-http-")):
        raise ConfigurationError(
            f"browsers bind no cookie that is called {cookie.name!r}: give BoundPolicy(cookie=...) a name that begins "
            "with __Host- or __Secure-, or none"
        )
    if cookie.partitioned:
        raise ConfigurationError(
            "bound=... and CookiePolicy(partitioned=True) do not go together: browsers bind no partitioned cookie "
            "(Device Bound Session Credentials, 'Create session')"
        )
    if policy.include_site and cookie.domain is None:
        raise ConfigurationError(
            "BoundPolicy(include_site=True) is for a cookie that all subdomains get: set CookiePolicy(domain=...)"
        )
    if policy.allowed_refresh_initiators and cookie.same_site != "none":
        raise ConfigurationError(
            "allowed_refresh_initiators lets pages of other sites make the browser prove its device, and it would "
            "come without the session's cookie: that takes CookiePolicy(same_site='none')"
        )
