"""Breakages of signing out from outside, of unknown ids, and of clients that are others."""

from __future__ import annotations

from typing import Final

from tests.mutants.breakage import Breakage

__all__ = ["SIGNOUT"]

LOGOUTS: Final = "signout/test_wrong_logouts.py::test_a_wrong_logout_token_is_refused"
EVENTS: Final = "signout/test_wrong_events.py::test_a_wrong_event_is_refused"

SIGNOUT: Final = (
    Breakage(
        "a token of any type ends sessions",
        "signout/_tokens.py",
        "verify",
        'kind not in types and not (kind in (None, "jwt") and untyped and issuer.untyped)',
        "False",
        LOGOUTS,
    ),
    Breakage(
        "a public key passes for one that decrypts",
        "signout/_envelopes.py",
        "private_keys",
        "not isinstance(key, (RSAKey, ECKey, OKPKey)) or not key.is_private",
        "not isinstance(key, (RSAKey, ECKey, OKPKey))",
        "signout/test_encrypted.py::test_keys_that_can_open_nothing",
    ),
    Breakage(
        "one polled event is acknowledged for another",
        "signout/_endpoint.py",
        "SignOut._take_event",
        'jti not in (None, token.claims["jti"])',
        "False",
        "signout/test_polled.py::test_an_event_comes_under_its_own_name",
    ),
    Breakage(
        "what the store could not carry out is acknowledged",
        "signout/_endpoint.py",
        "SignOut._polled",
        "break",
        "taken.append(jti)",
        "signout/test_polled.py::test_what_cannot_be_carried_out_now_comes_again",
    ),
    Breakage(
        "the header of a token says how it is verified",
        "signout/_tokens.py",
        "verify",
        "not isinstance(algorithm, str) or algorithm not in issuer.algorithms",
        "not isinstance(algorithm, str)",
        LOGOUTS,
    ),
    Breakage(
        "a critical header is passed over",
        "signout/_tokens.py",
        "verify",
        '"crit" in header or "b64" in header',
        "False",
        LOGOUTS,
    ),
    Breakage(
        "a logout token may be for others as well",
        "signout/_claims.py",
        "check_logout",
        "not set(audience) <= set(issuer.audiences)",
        "not set(audience) & set(issuer.audiences)",
        LOGOUTS,
    ),
    Breakage(
        "an ID token is a logout token",
        "signout/_claims.py",
        "check_logout",
        '"nonce" in claims',
        "False",
        LOGOUTS,
    ),
    Breakage(
        "a token that never ends is taken",
        "signout/_claims.py",
        "_check_times",
        'expires and claims["exp"] <= seconds - leeway',
        "False",
        LOGOUTS,
    ),
    Breakage(
        "an access token is a security event",
        "signout/_claims.py",
        "check_event",
        "if name in claims:\n    __X__",
        "pass",
        EVENTS,
    ),
    Breakage(
        "two processes use one token",
        "signout/_once.py",
        "Use.finish",
        "await self._storage.update(self._key, done, before.version, urgent=True) is None",
        "await self._storage.update(self._key, done, before.version, urgent=True) is not Ellipsis",
        "signout/test_once.py::test_of_one_token_at_once_one_counts",
    ),
    Breakage(
        "a use that broke off is a use",
        "signout/_once.py",
        "begin",
        'None if facts is None or facts.get("used") else Use(storage, key, obstacle)',
        "None",
        "signout/test_once.py::test_a_use_that_broke_off_can_be_tried_again",
    ),
    Breakage(
        "a sub of another issuer is one's own",
        "signout/_subjects.py",
        "_resolved",
        "(sub,) if named == issuer.issuer else ()",
        "(sub,)",
        "signout/test_right_messages.py::test_what_an_event_ends",
    ),
    Breakage(
        "anybody fills the store by way of the front channel",
        "signout/_endpoint.py",
        "SignOut._front_channel",
        "await self._manager.engine.storage.load(marks.tag_key(found.sid_tag, sid)) is not None",
        "True",
        "signout/test_right_messages.py::test_the_front_channel_writes_nothing_about_what_it_does_not_know",
    ),
    Breakage(
        "keys are fetched for every token that names an unknown one",
        "signout/_keys.py",
        "KeyRing._fetch",
        "self._tried is not None and 0 <= now - self._tried < _PAUSE",
        "False",
        "signout/test_keys.py::test_tokens_with_keys_that_nobody_has_cost_the_provider_little",
    ),
    Breakage(
        "an RSA key of any length is trusted",
        "signout/_keys.py",
        "_read",
        "isinstance(key, RSAKey) and key.raw_value.key_size < LEAST_RSA_BITS",
        "False",
        "signout/test_strange_values.py::test_a_key_that_is_too_short",
    ),
    Breakage(
        "the number of a row is taken for nobody",
        "signout/_subjects.py",
        "_names",
        "len(names) < len(found)",
        "False",
        "signout/test_strange_values.py::test_a_function_that_returns_no_subject",
    ),
    Breakage(
        "a client that has to log in again is fresh",
        "_client_change.py",
        "judge",
        "state.flags |= OTHER_CLIENT",
        "pass",
        "security/test_s38_another_client.py::test_another_agent_has_to_log_in_again",
    ),
    Breakage(
        "a session that another client ended goes on in its request",
        "_client_change.py",
        "judge",
        "end_state(state)",
        "pass",
        "security/test_s38_another_client.py::test_both_end_the_session",
    ),
    Breakage(
        "every guess is an event",
        "_bounded_log.py",
        "Tally.add",
        "self._since is not None and now - self._since < WINDOW * 1_000_000_000",
        "False",
        "security/test_s37_unknown_ids.py::test_s37_guesses_are_told_once_in_a_while",
    ),
)
