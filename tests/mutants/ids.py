"""Breakages of the engine: ids that change, revocations, cookies."""

from __future__ import annotations

from typing import Final

from tests.mutants.breakage import Breakage, known

__all__ = ["COOKIES", "IDS", "REVOCATIONS"]

SEC: Final = "security/test_"


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
        known("a form sent again"),
    ),
    Breakage(
        "two logins from one id leave two sessions",
        "_core/logins.py",
        "take_place",
        "there is not None and same and __X__",
        "False",
        known("a form sent again"),
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
        known("a form sent again"),
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
        'async with locks.Lock(engine, "limit", subject, life=__A__, wait=__B__):\n    __MORE__',
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
        known("an index that forgets"),
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
        known("a login in the millisecond of a revocation"),
    ),
    Breakage(
        "a revocation that failed ends later logins",
        "_core/positions.py",
        "_number",
        "at if at <= in_force else __X__",
        "at",
        known("a login after a revocation that failed"),
    ),
    Breakage(
        "a visitor begins with a journal that was read a while ago",
        "_core/logins.py",
        "insert",
        "await _set_seen(attempt, now=True)",
        "await _set_seen(attempt)",
        known("a visitor after everybody was ended"),
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
        known("an old session after a revocation"),
    ),
    Breakage(
        "an old session is taken over more than once",
        "_core/importing.py",
        "close",
        "old is None or old.source is None or not old.noted or __A__ or __B__",
        "True",
        known("a copy of an old cookie after a logout"),
    ),
    Breakage(
        "a record from the day after tomorrow is believed",
        "_core/storage.py",
        "Storage.judge",
        "record.accessed - now > FUTURE",
        "False",
        "faults/test_f11_clock_jumps.py::test_f11_a_record_of_the_day_after_tomorrow",
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
        "len(header[1]) > engine.cookie_limit",
        "len(header[1]) > 10 * engine.cookie_limit",
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
