"""Breakages of sessions that are bound to a device."""

from __future__ import annotations

from typing import Final

from tests.mutants.breakage import Breakage

__all__ = ["BOUND"]

LIFE: Final = "bound/test_lifecycle.py"
ATTACKS: Final = "bound/test_attacks.py"
PROOFS: Final = "bound/test_proofs.py"

BOUND: Final = (
    Breakage(
        "a session without its proof is served",
        "_core/reading.py",
        "find",
        "not engine.binder.admits(found, state.headers)",
        "False",
        f"{LIFE}::test_the_session_cookie_alone_opens_nothing",
    ),
    Breakage(
        "a socket outlives the proof with which it was opened",
        "_core/reading.py",
        "is_live",
        "engine.binder.lacks(found, state.headers) is not None",
        "False",
        "bound/test_sockets.py::test_a_copied_socket_ends_with_its_proof_though_the_owner_goes_on",
    ),
    Breakage(
        "a session whose device has given no proof yet is listed as bound",
        "_wire/facts.py",
        "proven",
        'bound is None or "at" not in bound',
        'bound is None or "key" not in bound',
        "bound/test_shown.py::test_in_lists_of_devices_and_in_what_is_kept_of_somebody",
    ),
    Breakage(
        "the proof of the session before stays in the browser",
        "bound/guard.py",
        "Guard.headers",
        "self._has_stray(state, bound, now)",
        "False",
        f"{LIFE}::test_a_late_answer_to_a_proof_of_the_session_before_is_put_aside",
    ),
    Breakage(
        "what a request without a proof writes begins a session",
        "_core/plan.py",
        "decide",
        "flags & (CROSS_SITE | UNPROVEN)",
        "flags & CROSS_SITE",
        f"{LIFE}::test_the_session_cookie_alone_opens_nothing",
    ),
    Breakage(
        "a logout takes a proof",
        "_core/mapping.py",
        "SessionMapping.clear",
        "AMBIGUOUS | READ_ONLY | UNPROVEN",
        "AMBIGUOUS | READ_ONLY",
        f"{LIFE}::test_a_logout_needs_no_proof",
    ),
    Breakage(
        "a login without a proof leaves the session alive that it came with",
        "_core/reading.py",
        "find",
        "[found]",
        "[]",
        f"{LIFE}::test_a_login_without_a_proof_begins_a_session_and_ends_the_other",
    ),
    Breakage(
        "a login that was under way takes the binding away",
        "_core/conflict.py",
        "_FROM_OTHERS",
        '"bound"',
        '"renewed"',
        "bound/test_races.py::test_a_login_that_was_under_way_while_it_was_bound",
    ),
    Breakage(
        "a challenge is good for several proofs",
        "bound/endpoints.py",
        "Endpoints._refresh",
        'challenge.proofs != bound["proofs"]',
        "False",
        f"{ATTACKS}::test_a_proof_is_good_once",
    ),
    Breakage(
        "a challenge is good for every session",
        "bound/endpoints.py",
        "Endpoints._refresh",
        "challenge.identifier != identifier",
        "False",
        f"{ATTACKS}::test_a_proof_for_another_session",
    ),
    Breakage(
        "a challenge for a proof registers another key",
        "bound/tokens.py",
        "Tokens.__init__",
        '"device-registration"',
        '"device-challenge"',
        "bound/test_registering.py::test_a_challenge_for_a_proof_registers_no_key",
    ),
    Breakage(
        "a challenge does not run out",
        "bound/endpoints.py",
        "Endpoints._read",
        "now - challenge.at >= lasts",
        "False",
        f"{ATTACKS}::test_a_proof_that_was_signed_in_advance_runs_out",
    ),
    Breakage(
        "a second device registers",
        "bound/endpoints.py",
        "Endpoints._register",
        '"at" in bound',
        "False",
        f"{ATTACKS}::test_nobody_registers_a_second_device",
    ),
    Breakage(
        "a browser keeps the proof of the session before, and gives none for the new one",
        "bound/endpoints.py",
        "Endpoints._instructions",
        "made(200, told, self.challenge(bound, now), cookie)",
        'made(200, told, self.challenge(bound, now), *([cookie] if "at" in bound else []))',
        f"{LIFE}::test_a_session_that_is_registered_takes_the_place_of_one_before",
    ),
    Breakage(
        "the proof of one session counts for another",
        "bound/tokens.py",
        "Tokens.until",
        "data[:-_TIME] != whose",
        "False",
        f"{ATTACKS}::test_the_proof_of_one_session_beside_the_cookie_of_another",
    ),
    Breakage(
        "the browser says when a proof ends",
        "bound/guard.py",
        "Guard._wrong",
        "until is not None and now < until",
        "until is not None",
        f"{LIFE}::test_a_login_is_bound_and_a_copied_cookie_opens_nothing",
    ),
    Breakage(
        "who says that a proof was skipped is let in",
        "bound/guard.py",
        "Guard._wrong",
        "policy.skipped_ms and __X__",
        "True",
        f"{ATTACKS}::test_what_the_browser_says_it_has_skipped_opens_nothing",
    ),
    Breakage(
        "a page is loaded again for ever",
        "bound/guard.py",
        "Guard._resumes",
        "find(visit.headers, self._again_name)",
        "False",
        f"{ATTACKS}::test_a_page_is_loaded_again_once",
    ),
    Breakage(
        "a registration locks out a browser that cannot follow",
        "bound/guard.py",
        "Guard._counts",
        '"at" in bound',
        '"key" in bound',
        f"{LIFE}::test_a_browser_that_registers_and_cannot_follow_goes_on",
    ),
    Breakage(
        "a proof brings the key that it is verified with",
        "bound/proofs.py",
        "renewed",
        '"jwk" in header',
        "False",
        f"{PROOFS}::test_a_renewal_that_proves_nothing",
    ),
    Breakage(
        "any token is a proof",
        "bound/proofs.py",
        "_header",
        'header.get("typ") != _TYPE',
        "False",
        f"{PROOFS}::test_a_registration_that_proves_nothing",
    ),
)
