"""`SignOut`: the endpoint that an application mounts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import parse_qsl

from limpet import events
from limpet._blocking import drive
from limpet._wire import marks
from limpet.errors import ConfigurationError, StoreUnavailable
from limpet.manager import SessionManager
from limpet.signout import _answers as answers
from limpet.signout import _claims as claims
from limpet.signout import _doors as doors
from limpet.signout import _once as once
from limpet.signout import _polled as polls
from limpet.signout import _subjects as subjects
from limpet.signout._answers import Answer, Question
from limpet.signout._envelopes import private_keys
from limpet.signout._issuers import Issuer
from limpet.signout._keys import KeyRing
from limpet.signout._names import is_name
from limpet.signout._refused import KeysUnavailable, Refused
from limpet.signout._subjects import Meant
from limpet.signout._tokens import Token, Trusted, verify

__all__ = ["BlockingSignOut", "SignOut"]

_FORM: Final = "application/x-www-form-urlencoded"
_BACK: Final = "Back-Channel Logout 1.0, section 2.5"
_FRONT: Final = "Front-Channel Logout 1.0, section 2"
_PUSH: Final = "RFC 8935, section 2.1"
_POLL: Final = "RFC 8936, section 2.3"
_GLOBAL: Final = "Global Token Revocation, section 3.2"

log = logging.getLogger("limpet")


class SignOut:
    """Takes messages that end sessions, verifies them, ends what they mean, and answers as their standards say.

    Args:
        manager: Whose sessions.
        issuers: Who may send such messages.

    Attributes:
        blocking: `polled`, as a call that blocks: ``signout.blocking.polled(answer)``.

    Raises:
        ConfigurationError: These sessions cannot be ended from outside, or two issuers could end each other's.
    """

    def __init__(self, manager: SessionManager, *issuers: Issuer) -> None:
        if not issuers:
            raise ConfigurationError("SignOut(manager, Issuer(...)) needs somebody who may end sessions")
        if manager.kept is None or not manager.engine.storage.has_marks:
            raise ConfigurationError(
                "these sessions cannot be ended from outside: use a store on the server that finds them by subject, "
                "such as sqlite:///sessions.db, or cookie sessions with revocation='epoch' and sid_tag=None"
            )
        if not manager.engine.is_server_side and any(issuer.sid_tag is not None for issuer in issuers):
            raise ConfigurationError("sessions in cookies have no tags: give each Issuer sid_tag=None")
        _check_apart(issuers)
        self.blocking: BlockingSignOut = BlockingSignOut(self._polled)
        self._manager = manager
        self._trusted = [
            Trusted(each, KeyRing(each, manager), () if each.decrypt_with is None else private_keys(each.decrypt_with))
            for each in issuers
        ]

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request: an ASGI application, to be mounted."""
        self._manager.use_running_loop()
        await doors.serve(self.answer, scope, receive, send)

    def wsgi(self, environ: Any, start_response: Any) -> Sequence[bytes]:
        """Serve a request: a WSGI application, to be mounted."""
        return doors.respond(drive(self.answer(doors.question_of(environ))), start_response)

    async def answer(self, question: Question) -> Answer:
        """Return the answer to a request, after what it asks for was done."""
        channel = question.path.rstrip("/").rpartition("/")[2]  # however much of the mount a framework leaves in front
        trusted = [each for each in self._trusted if channel in each.issuer.accepts]
        if not trusted:
            return answers.unknown_path()
        if question.method != answers.ALLOWED[channel]:
            return answers.not_allowed(channel)
        try:
            if channel == "back-channel":
                await self._back_channel(question, trusted)
            elif channel == "front-channel":
                await self._front_channel(question, trusted)
            elif channel == "events":
                await self._event(question, trusted)
            else:
                await self._revocation(question, trusted)
        except Refused as why:
            self._manager.engine.emitter.log.warning(
                "signout", "signing out from outside: a message to /%s was refused: %s", channel, str(why)
            )
            return answers.refused(channel, why)
        except KeysUnavailable:
            return answers.unavailable(channel, 10)
        except StoreUnavailable as error:
            return answers.unavailable(channel, error.retry_after)
        return answers.done(channel)

    async def polled(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out the security events that a poll has brought, by the rules of ``/events``.

        The application polls, and authenticates itself: `Issuer.authorization` is for events that are pushed.

        Args:
            answer: What the transmitter has answered, decoded from its JSON: ``{"sets": {jti: token, ...}}``.

        Returns:
            What goes into the body of the next poll: ``ack`` and ``setErrs``, each if there is something to say. An
            event that is in neither could not be carried out, since the store or the keys could not be reached, or a
            function of the application's failed (the log says how): the transmitter sends it again.

        Raises:
            ConfigurationError: No issuer may send events.
            ValueError: This is no answer to a poll.

        Source: RFC 8936, sections 2.2 to 2.6.
        """
        self._manager.use_running_loop()
        return await self._polled(answer)

    async def _polled(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        trusted = [each for each in self._trusted if "events" in each.issuer.accepts]
        if not trusted:
            raise ConfigurationError('nobody may send events: give an Issuer accepts=("events",)')
        taken, refused = list[str](), dict[str, Refused]()
        for jti, token in polls.sets_of(answer).items():
            try:
                if not isinstance(token, str):
                    raise Refused("invalid_request", "it is no text", _POLL)
                await self._take_event(token, trusted, jti)
            except Refused as why:
                self._manager.engine.emitter.log.warning(
                    "signout", "signing out from outside: an event that was polled was refused: %s", str(why)
                )
                refused[jti] = why
            except KeysUnavailable:
                continue
            except StoreUnavailable:
                break
            except Exception:
                # One event on which a function of the application's fails must not keep back those behind it.
                log.exception("signing out from outside: an event that was polled could not be carried out")
            else:
                taken.append(jti)
        return polls.report(taken, refused)

    # -- the four ways in

    async def _back_channel(self, question: Question, trusted: Sequence[Trusted]) -> None:
        fields = _fields(question, _BACK)
        token = await verify(_only(fields, "logout_token", _BACK), trusted, ("logout+jwt",), untyped=True)
        claims.check_logout(token, self._manager.clock())
        use = await self._begin(token)
        if use is None:
            raise Refused("invalid_request", "it was used before", "Back-Channel Logout 1.0, section 2.6")
        await self._end(token.issuer, "back-channel", await subjects.of_logout(token.issuer, token.claims))
        if not await use.finish():
            raise Refused("invalid_request", "it was used before", "Back-Channel Logout 1.0, section 2.6")

    async def _front_channel(self, question: Question, trusted: Sequence[Trusted]) -> None:
        fields = _pairs(question.query, _FRONT)
        issuer, sid = _only(fields, "iss", _FRONT), _only(fields, "sid", _FRONT)
        if not is_name(sid):
            raise Refused("invalid_request", "its sid is no text that a session could have", _FRONT)
        found = next((each.issuer for each in trusted if each.issuer.issuer == issuer), None)
        if found is None or found.sid_tag is None:
            raise Refused("invalid_issuer", "its issuer is none that may do this", _FRONT)
        # Nobody has signed this, and anybody can ask. A login writes down its tag first, so that of one that nothing is
        # written down about there is nothing to end, and nothing is written for it.
        if await self._manager.engine.storage.load(marks.tag_key(found.sid_tag, sid)) is not None:
            await self._end(found, "front-channel", Meant(sid=sid))

    async def _event(self, question: Question, trusted: Sequence[Trusted]) -> None:
        if question.content_type != "application/secevent+jwt":
            raise Refused("invalid_request", "its media type is not application/secevent+jwt", _PUSH)
        trusted = [each for each in trusted if _is_authorized(each.issuer, question)]
        if not trusted:
            raise Refused("authentication_failed", "its Authorization header is not the one agreed on", _PUSH)
        await self._take_event(_token(question.body, _PUSH), trusted)

    async def _take_event(self, text: str, trusted: Sequence[Trusted], jti: str | None = None) -> None:
        """Carry out a security event; ``jti``: under which name a poll has brought it."""
        token = await verify(text, trusted, ("secevent+jwt",))
        said = claims.check_event(token, self._manager.clock())
        if jti not in (None, token.claims["jti"]):
            raise Refused("invalid_request", "its jti is another than the one that it was sent under", _POLL)
        meant = [
            await _meant(token, event, payload) for event, payload in said.items() if subjects.ends(event, payload)
        ]
        if not meant:
            return
        use = await self._begin(token)
        if use is None:
            return  # its sender has missed the answer and sends it again: RFC 8935, section 2
        for one in meant:
            await self._end(token.issuer, ", ".join(event.rpartition("/")[2] for event in said), one)
        await use.finish()

    async def _revocation(self, question: Question, trusted: Sequence[Trusted]) -> None:
        issuer, use = await self._caller(question, trusted)
        if question.content_type != "application/json":
            raise Refused("invalid_request", "its media type is not application/json", _GLOBAL)
        try:
            asked = json.loads(question.body[: doors.MAX_BYTES + 1].decode())
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict) or len(question.body) > doors.MAX_BYTES:
            raise Refused("invalid_request", "its body is no JSON object", _GLOBAL)
        meant = await subjects.of_identifier(issuer, asked.get("sub_id"))
        if not meant.subjects:
            raise Refused("access_denied", "its subject is nobody here", "Global Token Revocation, section 3.4.2")
        await self._end(issuer, "revocation", meant)
        if use is not None:
            await use.finish()

    async def _caller(self, question: Question, trusted: Sequence[Trusted]) -> tuple[Issuer, once.Use | None]:
        """Return who asks for a revocation: by the header that was agreed on, or by a token of its own for this."""
        for each in trusted:
            if each.issuer.authorization is not None and _is_authorized(each.issuer, question):
                return each.issuer, None
        scheme, _, bearer = question.authorization.partition(" ")
        rest = [each for each in trusted if each.issuer.authorization is None]
        if scheme.lower() != "bearer" or not rest:
            raise Refused("authentication_failed", "it is not authenticated", _GLOBAL)
        try:
            token = await verify(bearer.strip(), rest, ("global-token-revocation+jwt",))
            claims.check_bearer(token, self._manager.clock())
        except Refused as why:
            raise Refused("authentication_failed", why.why, why.rule) from why
        use = await self._begin(token)
        if use is None:
            raise Refused("authentication_failed", "its token was used before", "RFC 7523, section 3")
        return token.issuer, use

    # -- steps

    async def _begin(self, token: Token) -> once.Use | None:
        until = claims.used_until(token)
        return await once.begin(self._manager.engine.storage, token.issuer.issuer, token.claims["jti"], until)

    async def _end(self, issuer: Issuer, why: str, meant: Meant) -> None:
        with events.acting(issuer.issuer, why=why):
            if meant.sid is not None and issuer.sid_tag is not None:
                await self._manager.directory.revoke(tag=(issuer.sid_tag, meant.sid))
            for subject in meant.subjects:
                await self._manager.directory.revoke_all(subject)


class BlockingSignOut:
    """What a `SignOut` waits for, as a call that blocks, for code without an event loop."""

    __slots__ = ("_polled",)

    def __init__(self, polled: Callable[[Mapping[str, Any]], Coroutine[Any, Any, dict[str, Any]]]) -> None:
        self._polled = polled

    def polled(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out the security events that a poll has brought; see `SignOut.polled`."""
        return drive(self._polled(answer))


async def _meant(token: Token, event: str, payload: Mapping[str, Any]) -> Meant:
    """Return whom an event means: the top-level ``sub_id``, or in older events a ``subject`` of their own."""
    identifier = token.claims.get("sub_id", payload.get("subject"))
    sid = subjects.session_of(event, identifier) if isinstance(identifier, Mapping) else None
    if sid is not None and token.issuer.sid_tag is not None:
        return Meant(sid=sid)
    return await subjects.of_identifier(token.issuer, identifier)


def _check_apart(issuers: Sequence[Issuer]) -> None:
    names = [issuer.issuer for issuer in issuers]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"two issuers are called the same: {names!r}")
    tags = [issuer.sid_tag for issuer in issuers if issuer.sid_tag is not None]
    if len(set(tags)) < len(tags):
        raise ConfigurationError(
            "a sid is unique within its issuer alone: give each Issuer a sid_tag of its own, and its logins that tag"
        )
    if len(issuers) > 1 and any(issuer.subject is None for issuer in issuers):
        raise ConfigurationError(
            "a sub is unique within its issuer alone: give each of several issuers a subject=..., which returns whose "
            "sessions an identifier means here"
        )


def _is_authorized(issuer: Issuer, question: Question) -> bool:
    if issuer.authorization is None:
        return True
    return compare_digest(issuer.authorization.encode(), question.authorization.encode())


def _fields(question: Question, rule: str) -> list[tuple[str, str]]:
    if question.content_type != _FORM:
        raise Refused("invalid_request", f"its media type is not {_FORM}", rule)
    return _pairs(_token(question.body, rule), rule)


def _pairs(text: str, rule: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        raise Refused("invalid_request", "its parameters cannot be read", rule) from None


def _only(fields: Sequence[tuple[str, str]], name: str, rule: str) -> str:
    found = [value for field, value in fields if field == name]
    if len(found) != 1 or not found[0]:
        raise Refused("invalid_request", f"it does not have one {name}", rule)
    return found[0]


def _token(body: bytes, rule: str) -> str:
    if len(body) > doors.MAX_BYTES or not body.isascii():
        raise Refused("invalid_request", "its body cannot be read", rule)
    return body.decode("ascii").strip()
