"""Breakages of the engine."""

from __future__ import annotations

from typing import Final

from tests.mutants.breakage import Breakage

__all__ = ["ENGINE"]

SEC: Final = "security/test_"


def _known(history: str) -> str:
    """Return the test of one short history."""
    return f"properties/test_histories_known.py::test_what_went_wrong_once[{history}]"


DECISIONS: Final = (
    Breakage(
        "a session is alive at its deadline",
        "_core/plan.py",
        "is_over",
        "now >= deadline(contents, accessed, rules.policy)",
        "now > deadline(contents, accessed, rules.policy)",
        f"{SEC}s09_expiry.py",
    ),
    Breakage(
        "the quick judgement takes a session at its idle deadline",
        "_core/plan.py",
        "is_over",
        "now - accessed < rules.safe_idle",
        "now - accessed <= rules.safe_idle",
        f"{SEC}s09_expiry.py",
    ),
    Breakage(
        "the quick judgement takes a session at its absolute deadline",
        "_core/plan.py",
        "is_over",
        "now - contents.created < rules.safe_age",
        "now - contents.created <= rules.safe_age",
        f"{SEC}s10_absolute_timeout.py",
    ),
    Breakage(
        "the quick judgement does not look at a deadline of the session's own",
        "_core/plan.py",
        "is_over",
        "__A__ and __B__ and contents.ends is None",
        "__A__ and __B__",
        "core/test_lifecycle.py::test_expire_in",
    ),
    Breakage(
        "activity moves the absolute deadline",
        "_core/plan.py",
        "reach",
        "contents.created + span",
        "contents.created + 2 * span",
        f"{SEC}s10_absolute_timeout.py",
    ),
    Breakage(
        "the old id is kept at login",
        "_core/plan.py",
        "decide",
        "flags & (LOGIN | REGENERATE | DISPLACED)",
        "flags & REGENERATE",
        f"{SEC}s02_login_changes_the_id.py",
    ),
    Breakage(
        "a key that stands for a login changes no id",
        "_core/plan.py",
        "decide",
        "rotation_of(rules.rotate_on, base(state), draft.data) if __X__ else None",
        "None",
        "core/test_identity.py::test_rotate_on",
    ),
    Breakage(
        "an empty session is stored",
        "_core/plan.py",
        "decide",
        "not worth or draft is None or not payload",
        "draft is None or not payload",
        f"{SEC}s07_store_flood.py",
    ),
    Breakage(
        "a request that fails is not logged out",
        "_core/plan.py",
        "decide",
        "Plan(True, Step.NOTHING) if flags & ENDED else NO_PLAN",
        "NO_PLAN",
        "core/test_lifecycle.py::test_f19_an_error_drops_everything_but_a_logout",
    ),
    Breakage(
        "the quick look before a commit does not see a change inside of a container",
        "_core/plan.py",
        "is_quiet",
        "ACCESSED | FORWARDED | PASSIVE",
        "ACCESSED | FORWARDED | PASSIVE | EXPOSED",
        f"{SEC}s31_nested_changes.py",
    ),
    Breakage(
        "a request that renews begins the grace of its own id",
        "_core/plan.py",
        "decide",
        "draft.previous if __X__ else None",
        "draft.previous",
        "races/test_ids.py::test_the_grace_does_not_begin_with_the_response_that_renews",
    ),
)
"""Of what is to be done, and when a session is over."""

HANDLERS: Final = (
    Breakage(
        "`in` does not count as a use",
        "_core/session.py",
        "Session.__contains__",
        "self._read()",
        "self._state",
        f"{SEC}s26_caches.py::test_every_way_to_look_counts",
    ),
    Breakage(
        "a nested change is not noticed",
        "_core/session.py",
        "Session.__getitem__",
        "if type(value) not in FROZEN:\n    __MORE__",
        "",
        f"{SEC}s31_nested_changes.py",
    ),
    Breakage(
        "the repr shows the data",
        "_core/session.py",
        "Session.__repr__",
        "f\"<Session {state.read.key[:8] if state.read and state.read.key else 'new'}>\"",
        'f"<Session {state.data}>"',
        f"{SEC}s30_secrets_stay_secret.py",
    ),
    Breakage(
        "who comes with an id that was ended cannot log in",
        "_core/session.py",
        "Session.login",
        "state.flags &= ~(OVER | CROSS_SITE)",
        "state.flags &= ~CROSS_SITE",
        "core/test_identity.py::test_s01_a_client_never_chooses_its_id",
    ),
    Breakage(
        "the store is keyed by the id itself",
        "_core/engine.py",
        "Engine.key_of",
        "sha256(self._key_prefix + raw).hexdigest()",
        "raw.hex()",
        f"{SEC}s27_ids_at_rest.py::test_a_dump_holds_no_id[memory-plain]",
    ),
    Breakage(
        "ids are not signed where there is a secret",
        "_core/engine.py",
        "Engine.verify",
        "self.id_sealer is None",
        "True",
        f"{SEC}s07_store_flood.py",
    ),
    Breakage(
        "two valid cookies: the first one wins",
        "_core/engine.py",
        "Engine._load",
        "len(live) == 1",
        "live",
        f"{SEC}s19_duplicates.py",
    ),
    Breakage(
        "two tasks of one request save at once",
        "_core/engine.py",
        "Engine._enter",
        "while state.working:\n    __MORE__",
        "",
        _known("two tasks of one request"),
    ),
    Breakage(
        "a task that waits for its turn without an event loop waits for ever",
        "_inline.py",
        "YieldingSignal.set",
        "self._is_set = True",
        "self._is_set = False",
        _known("two tasks of one request"),
    ),
    Breakage(
        "a use counts from the end of its request only",
        "_core/engine.py",
        "Engine._keep_for_this_request",
        "idle is None or __X__ or not read.raw",
        "True",
        _known("a handler that takes long"),
    ),
)
"""Of what a handler holds, of ids, and of the turns of one request."""

WRITES: Final = (
    Breakage(
        "a logout deletes the cookie alone",
        "_core/commit.py",
        "_end",
        'grave = await rotation.bury(now, engine, target, "logout", None)',
        "grave = None",
        f"{SEC}s04_logout.py",
    ),
    Breakage(
        "a session whose last key is removed ends with what others put into it",
        "_core/commit.py",
        "_empty",
        "met is None",
        "True",
        "races/test_facts.py::test_a_deletion_is_a_change_like_any_other",
    ),
    Breakage(
        "what a failed save was about is forgotten",
        "_core/commit.py",
        "_carry_out",
        "state.flags |= taken",
        "",
        "core/test_commit.py::test_a_change_of_id_that_fails_can_be_tried_again",
    ),
    Breakage(
        "a save that was given up is taken for another request's",
        "_core/conflict.py",
        "meet",
        "if state.tried:\n    __MORE__",
        "",
        "races/test_cancelled.py::test_a_save_that_a_handler_gave_up_counts_once",
    ),
    Breakage(
        "a write whose reply was lost is taken for another request's",
        "_core/storage.py",
        "_met",
        "None if version is not None and outcome.version == version else outcome",
        "outcome",
        "races/test_writers.py::test_f15_a_lost_reply_counts_once",
    ),
    Breakage(
        "a write that may have landed is made once more",
        "_core/storage.py",
        "Storage._twice",
        "if version is not None and isinstance(met, Record):\n    __MORE__",
        "",
        "races/test_writers.py::test_f15_what_cannot_be_told_is_an_error",
    ),
    Breakage(
        "a write into a session that has ended is lost in silence",
        "_core/conflict.py",
        "lost",
        "engine.emit(events.WriteAfterEnd, key, subject=subject)",
        "",
        "core/test_events.py::test_write_after_end",
    ),
    Breakage(
        "a login takes over the deadline of the session before it",
        "_core/conflict.py",
        "merge_in",
        'fact == "ends" and attempt.flags & LOGIN',
        "False",
        "races/test_facts.py::test_a_login_takes_no_deadline_along",
    ),
    Breakage(
        "a login that meets a write loses its subject",
        "_core/conflict.py",
        "merge_in",
        "if not attempt.flags & LOGIN:\n    __X__",
        "__X__",
        "races/test_facts.py::test_what_a_login_notes_is_kept_beside_a_write",
    ),
    Breakage(
        "a merge changes objects of the application",
        "_core/conflict.py",
        "_Settler.placed",
        "same_type and id(held) in self._owned and __X__",
        "same_type and __X__",
        _known("a constant that two requests put into one session"),
    ),
)
"""Of what is written, and of requests that meet."""

IDS: Final = (
    Breakage(
        "the old id lives on after a change of id",
        "_core/rotation.py",
        "_end_old",
        "met = await engine.storage.replace(key, grave, version)",
        "met = None",
        f"{SEC}s03_rotation.py::test_the_old_id_is_dead_at_once",
    ),
    Breakage(
        "a change of id that failed leaves its record",
        "_core/rotation.py",
        "_Standing.restore",
        "await attempt.drop_made()",
        "",
        "core/test_commit.py::test_a_change_of_id_that_fails_leaves_one_record",
    ),
    Breakage(
        "a logout does not follow a renewal",
        "_core/rotation.py",
        "bury",
        "if forward.is_forward(met.payload):\n    __MORE__",
        "",
        "races/test_ending.py::test_logout_during_renewal_ends_both_ids",
    ),
    Breakage(
        "an id that was renewed is served for ever",
        "_core/storage.py",
        "Storage._follow",
        "target.grace_ends and now >= target.grace_ends and not met",
        "False",
        "races/test_ids.py::test_use_after_the_grace_is_reported_as_reuse",
    ),
    Breakage(
        "the grace ends under a request that has begun",
        "_core/storage.py",
        "Storage._follow",
        "__A__ and __B__ and not met",
        "__A__ and __B__",
        "races/test_ids.py::test_a_request_from_before_the_renewal_may_finish_after_the_grace",
    ),
    Breakage(
        "a tombstone names no successor",
        "_core/marks.py",
        "tombstone",
        'facts["next"] = successor',
        "pass",
        _known("a form sent again"),
    ),
    Breakage(
        "two logins from one id leave two sessions",
        "_core/logins.py",
        "take_place",
        "there is not None and same and __X__",
        "False",
        _known("a form sent again"),
    ),
    Breakage(
        "a login ends somebody else's from the same id",
        "_core/logins.py",
        "take_place",
        "there is not None and there.subject is not None and there.subject == state.subject",
        "there is not None",
        "races/test_ids.py::test_two_logins_at_once_both_stand",
    ),
    Breakage(
        "a form that is sent again counts as another browser",
        "_core/logins.py",
        "_places_of_this_browser",
        "state.gone is not None and state.gone.successor is not None",
        "False",
        _known("a form sent again"),
    ),
    Breakage(
        "one session more than allowed",
        "_core/logins.py",
        "_oldest_out",
        "newest[limit:]",
        "newest[limit + 1 :]",
        "subjects/test_limits.py::test_the_oldest_gives_way",
    ),
    Breakage(
        "logins at once are counted without a lock",
        "_core/logins.py",
        "insert",
        'async with locks.hold(engine, "limit", subject, life=__A__, wait=__B__):\n    __MORE__',
        "__MORE__",
        "subjects/test_races.py::test_refuse_under_fifty_logins_at_once",
    ),
    Breakage(
        "an old id of which it could not be told whether it is dead is left alone",
        "_core/rotation.py",
        "_end_old",
        "engine.unfinished.setdefault(__MORE_A__).append(left)",
        "",
        "core/test_commit.py::test_a_store_that_fails_during_a_change_of_id_costs_nothing",
    ),
)
"""Of changes of id, renewals and limits."""

REVOCATIONS: Final = (
    Breakage(
        "a revocation ends only what an index finds",
        "_core/storage.py",
        "Storage.judge",
        "self.has_marks and contents.seen != self.positions.seq and not __X__",
        "False",
        _known("an index that forgets"),
    ),
    Breakage(
        "a login under way outlives a revocation",
        "_core/positions.py",
        "Positions.admit",
        "at > state.position and not __X__",
        "False",
        "subjects/test_sessions_of.py::test_login_noted_before_revoke_all",
    ),
    Breakage(
        "the end of everyone is not looked for",
        "_core/positions.py",
        "Positions.holds",
        'self._facts.get("everyone", 0) > seen',
        "False",
        "subjects/test_races.py::test_new_ids_do_not_survive_revoke_everyone",
    ),
    Breakage(
        "a login and a revocation of one host go by the wall clock",
        "_core/positions.py",
        "Positions._is_before",
        'self._host and stamp.get("host") == self._host',
        "False",
        "subjects/test_sessions_of.py::test_login_after_revoke_all",
    ),
    Breakage(
        "a revocation that failed ends later logins",
        "_core/positions.py",
        "_number",
        "at if at <= in_force else __X__",
        "at",
        _known("a login after a revocation that failed"),
    ),
    Breakage(
        "a visitor begins with a journal that was read a while ago",
        "_core/logins.py",
        "insert",
        "await _set_seen(attempt, now=True)",
        "await _set_seen(attempt)",
        _known("a visitor after everybody was ended"),
    ),
    Breakage(
        "a logout in the same request refuses the login",
        "_core/positions.py",
        "Positions.admit",
        "own and at == own",
        "False",
        f"{SEC}s33_logins_under_way.py::test_s33_logout_and_login_in_one_request",
    ),
    Breakage(
        "an old session is taken over although it was revoked",
        "_core/importing.py",
        "_is_unrevoked",
        "facts is not None and __X__",
        "False",
        _known("an old session after a revocation"),
    ),
    Breakage(
        "an old token is taken over again after a logout",
        "_core/importing.py",
        "forget",
        "old is None or old.source is None or not engine.is_server_side",
        "True",
        _known("a copy of an old cookie after a logout"),
    ),
    Breakage(
        "a record from the day after tomorrow is believed",
        "_core/storage.py",
        "Storage.judge",
        "record.accessed - now > FUTURE",
        "False",
        _known("a login before the clock steps back"),
    ),
    Breakage(
        "a clock that was wrong by a day logs everybody out",
        "_core/storage.py",
        "FUTURE",
        "90_000_000",
        "60_000",
        "faults/test_f11_clock_jumps.py::test_f11_the_absolute_deadline_does_not_move",
    ),
)
"""Of revocations, of sessions of other libraries, and of clocks."""

COOKIES: Final = (
    Breakage(
        "a cookie that is too large is sent",
        "_core/cookie_session.py",
        "seal",
        "len(header[1]) > COOKIE_LIMIT",
        "len(header[1]) > 10 * COOKIE_LIMIT",
        f"{SEC}s15_cookie_too_large.py",
    ),
    Breakage(
        "a revoked cookie is believed",
        "_core/cookie_session.py",
        "find",
        "found is None or await is_live(__MORE__)",
        "True",
        f"{SEC}s33_cookies_that_end.py",
    ),
    Breakage(
        "a cookie of before the login keeps its lineage",
        "_core/cookie_session.py",
        "_settle",
        "signs_in or draft.lineage is None",
        "draft.lineage is None",
        f"{SEC}s33_cookies_that_end.py",
    ),
    Breakage(
        "a new id leaves older cookies of a session alive",
        "_core/cookie_session.py",
        "_settle",
        "flags & REGENERATE and key is not None and one and not __X__",
        "False",
        f"{SEC}s33_cookies_that_end.py::test_a_change_of_id_leaves_the_older_cookies_dead",
    ),
    Breakage(
        "an old cookie is read after its importer's end date",
        "_core/importing.py",
        "look",
        "now < each.until",
        "now",
        "importers/test_importers.py::test_the_end_date_holds",
    ),
    Breakage(
        "a logout leaves the old library's cookie",
        "_core/importing.py",
        "leftovers",
        "old.dropped",
        "not old",
        "importers/test_importers.py::test_a_logout_holds",
    ),
)
"""Of sessions in cookies, and of the cookies of other libraries."""

ENGINE: Final = (*DECISIONS, *HANDLERS, *WRITES, *IDS, *REVOCATIONS, *COOKIES)
"""All of them; every one must be noticed."""
