"""Breakages of the engine: what is to be done, what a handler holds, what is written."""

from __future__ import annotations

from typing import Final

from tests.mutants.breakage import Breakage, known
from tests.mutants.ids import COOKIES, IDS, REVOCATIONS
from tests.mutants.tasks import TASKS

__all__ = ["ENGINE"]

SEC: Final = "security/test_"


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
        "_core/mapping.py",
        "SessionMapping.__contains__",
        "self._read()",
        "self._state",
        f"{SEC}s26_caches.py::test_every_way_to_look_counts",
    ),
    Breakage(
        "a nested change is not noticed",
        "_core/mapping.py",
        "SessionMapping.__getitem__",
        "if type(value) not in FROZEN:\n    __MORE__",
        "",
        f"{SEC}s31_nested_changes.py",
    ),
    Breakage(
        "the repr shows the data",
        "_core/mapping.py",
        "SessionMapping.__repr__",
        "f\"<Session {state.read.key[:8] if state.read and state.read.key else 'new'}>\"",
        'f"<Session {state.data}>"',
        f"{SEC}s30_secrets_stay_secret.py",
    ),
    Breakage(
        "who comes with an id that was ended cannot log in",
        "_core/session.py",
        "Session.login",
        "state.flags &= ~(OVER | CROSS_SITE | UNPROVEN)",
        "state.flags &= ~(CROSS_SITE | UNPROVEN)",
        known("a form sent again"),
    ),
    Breakage(
        "the store is keyed by the id itself",
        "_wire/ids.py",
        "Ids.key_of",
        "sha256(self._key_prefix + raw).hexdigest()",
        "raw.hex()",
        f"{SEC}s27_ids_at_rest.py::test_a_dump_holds_no_id[memory-plain]",
    ),
    Breakage(
        "ids are not signed where there is a secret",
        "_wire/ids.py",
        "Ids.verify",
        "self._sealer is None",
        "True",
        f"{SEC}s07_store_flood.py",
    ),
    Breakage(
        "two valid cookies: the first one wins",
        "_core/reading.py",
        "find",
        "len(live) == 1",
        "live",
        f"{SEC}s19_duplicates.py",
    ),
    Breakage(
        "two tasks of one request save at once",
        "_core/engine.py",
        "Engine.commit",
        "if waited:\n    await self._wait(state, mine)",
        "if waited:\n    self._working[id(state)] = mine",
        known("two tasks of one request"),
    ),
    Breakage(
        "a task that waits for its turn is woken by nobody",
        "_core/engine.py",
        "Engine._leave",
        "signal.set()",
        "pass",
        known("two tasks of one request"),
    ),
    Breakage(
        "a change of id that was left open is not finished",
        "_core/reading.py",
        "find",
        "if isinstance(found, Found) and found.contents.predecessors:\n    __MORE__",
        "",
        "laws/test_predecessors.py",
    ),
    Breakage(
        "an id that has ended goes out again where nothing was written",
        "_core/commit.py",
        "_reissue",
        "written or await __LOOK__",
        "True",
        "laws/test_ended_sessions.py::test_an_id_that_has_ended_does_not_go_out_again",
    ),
    Breakage(
        "a write by version is followed by a look",
        "_core/commit.py",
        "_reissue",
        "written or __LOOK__",
        "__LOOK__",
        "core/test_commit.py",
    ),
    Breakage(
        "a use counts from the end of its request only",
        "_core/reading.py",
        "_keep_for_this_request",
        "idle is None or __X__ or not read.raw",
        "True",
        known("a handler that takes long"),
    ),
)
"""Of what a handler holds, of ids, and of the turns of one request."""

WRITES: Final = (
    Breakage(
        "a logout deletes the cookie alone",
        "_core/commit.py",
        "_end",
        'grave = await ending.bury(now, engine, target, "logout", None)',
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
        "if version is not None and isinstance(met, Record) and not insist:\n    __MORE__",
        "",
        "races/test_writers.py::test_f15_what_cannot_be_told_is_an_error",
    ),
    Breakage(
        "a write into a session that has ended is lost in silence",
        "_core/conflict.py",
        "ended_meanwhile",
        "engine.emit(events.WriteAfterEnd, key, subject=subject)",
        "",
        "core/test_events.py::test_write_after_end",
    ),
    Breakage(
        "a login takes over the deadline of the session before it",
        "_core/conflict.py",
        "merge_in",
        "fact in LOGIN_FACTS and attempt.flags & LOGIN",
        "False",
        "races/test_facts.py::test_a_login_takes_no_deadline_along",
    ),
    Breakage(
        "a login takes over the level of another one",
        "_core/conflict.py",
        "merge_in",
        "fact in LOGIN_FACTS and attempt.flags & LOGIN",
        'fact == "ends" and attempt.flags & LOGIN',
        "races/test_levels.py::test_two_logins_are_never_mixed",
    ),
    Breakage(
        "a login that a key stands for has the level of the login before it",
        "_core/attempt.py",
        "Attempt.prepare",
        "draft.level, draft.methods = None, ()",
        "pass",
        "races/test_levels.py::test_nothing_but_the_login_itself_is_of_its_level",
    ),
    Breakage(
        "a login that meets a write loses its subject",
        "_core/conflict.py",
        "merge_in",
        "if not attempt.flags & LOGIN and base_payload is None:\n    __X__",
        "__X__",
        "core/test_commit.py::test_a_login_that_was_saved_keeps_its_subject_beside_a_write",
    ),
    Breakage(
        "a merge changes objects of the application",
        "_core/settle.py",
        "_Settler.placed",
        "same_type and id(held) in self._owned and __X__",
        "same_type and __X__",
        known("a constant that two requests put into one session"),
    ),
)
"""Of what is written, and of requests that meet."""

ENGINE: Final = (*DECISIONS, *HANDLERS, *WRITES, *TASKS, *IDS, *REVOCATIONS, *COOKIES)
"""All of them; every one must be noticed."""
