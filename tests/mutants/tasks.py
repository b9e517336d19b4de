"""Breakages of the engine: objects that a handler holds, saves that fail, and tasks that save at once."""

from __future__ import annotations

from typing import Final

from tests.mutants.breakage import Breakage, known

__all__ = ["TASKS"]

OWN: Final = "laws/test_own_objects.py::test_"
ENDED: Final = "laws/test_ended_sessions.py::test_"

TASKS: Final = (
    Breakage(
        "a merge changes an object that lies under two keys",
        "_core/settle.py",
        "_Settler.placed",
        "self._references.get(id(held)) == 1",
        "True",
        f"{OWN}one_object_that_a_handler_put_under_two_keys_is_merged_under_one",
    ),
    Breakage(
        "what the application adds to its own object after a merge is lost",
        "_core/settle.py",
        "_Settler.let_go",
        "state.loans.append(__X__)",
        "",
        f"{OWN}what_the_application_adds_to_its_own_object_after_a_merge",
    ),
    Breakage(
        "what is added to an object inside of another after a merge is lost in silence",
        "_core/settle.py",
        "settle_views",
        "if loan.nested:\n    __MORE__",
        "",
        f"{OWN}an_object_inside_of_another_that_cannot_be_followed_after_a_merge_is_an_error",
    ),
    Breakage(
        "what is added to a value that another request took away is lost in silence",
        "_core/settle.py",
        "settle",
        "settler.let_go(value, nested=False)",
        "pass",
        f"{OWN}a_change_of_what_another_tab_took_away_counts",
    ),
    Breakage(
        "what is added inside of what another request took away is lost in silence",
        "_core/settle.py",
        "_Settler._change",
        "self.let_go(each, nested=True)",
        "pass",
        f"{OWN}a_change_inside_of_what_another_tab_took_away_is_an_error",
    ),
    Breakage(
        "an item of a list becomes another item when it moves",
        "_containers.py",
        "beside",
        "places.get(shapes.of(item))",
        "()",
        f"{OWN}an_item_of_a_list_stays_that_item",
    ),
    Breakage(
        "a question after what will be saved is an event",
        "_core/settle.py",
        "_combine",
        "result.overwritten and not asked",
        "result.overwritten",
        f"{OWN}a_change_of_what_another_tab_took_away_counts",
    ),
    Breakage(
        "a request that fails leaves the new id alive that it had saved",
        "_core/rotation.py",
        "abandon",
        "await engine.storage.try_to_drop(created)",
        "",
        "laws/test_predecessors.py::test_a_request_that_fails_after_two_changes_of_id_keeps_the_first_id",
    ),
    Breakage(
        "what was saved under a new id is lost when the request fails",
        "_core/rotation.py",
        "abandon",
        "await conflict.save_back(__X__)",
        "",
        "laws/test_predecessors.py::test_a_request_that_fails_after_two_changes_of_id_keeps_the_first_id",
    ),
    Breakage(
        "a save that is refused forgets what was added to numbers",
        "_core/commit.py",
        "_carry_out",
        "attempt.give_increments_back()",
        "pass",
        "laws/test_refused_and_failed.py::test_an_increment_of_a_save_that_was_refused_counts_once_in_the_next",
    ),
    Breakage(
        "a refresh forgets what was added to numbers",
        "_core/conflict.py",
        "rebase",
        "attempt.give_increments_back()",
        "pass",
        "laws/test_refused_and_failed.py::test_an_increment_before_a_refresh_counts_once",
    ),
    Breakage(
        "a login takes along what was written by a request that had read the ended session",
        "_core/session.py",
        "Session.login",
        "over & OVER and state.met_alive",
        "False",
        f"{ENDED}a_login_takes_along_what_was_written_after_the_end_only_from_who_read_nothing",
    ),
    Breakage(
        "a login takes nothing along from a request that came with an ended id",
        "_core/session.py",
        "Session.login",
        "over & OVER and state.met_alive",
        "over & OVER",
        f"{ENDED}a_login_takes_along_what_was_written_after_the_end_only_from_who_read_nothing",
    ),
    Breakage(
        "a logout leaves what another request moved in meanwhile",
        "_importing.py",
        "forget",
        'return (await ending.end(engine, __X__, "logout", None))[1]',
        "return True",
        "laws/test_moving_in.py::test_a_logout_ends_what_another_request_moved_in_meanwhile",
    ),
    Breakage(
        "a logout that ended nothing takes the cookie of a later login back",
        "_core/commit.py",
        "_end",
        "if this_did:\n    __MORE__",
        "__MORE__",
        "laws/test_ended_sessions.py::test_a_logout_that_ended_nothing_takes_no_cookie_back",
    ),
    Breakage(
        "a logout is not noted for copies of an old cookie",
        "_core/commit.py",
        "_end",
        "await importing.forget(engine, state) or ended",
        "ended",
        "laws/test_moving_in.py::test_a_logout_before_anything_moved_in_holds_for_copies_of_the_old_cookie",
    ),
    Breakage(
        "a save is taken for done that another task has only begun",
        "_core/engine.py",
        "Engine.commit",
        "waited = id(state) in self._working",
        "waited = False",
        "core/test_commit_tasks.py",
    ),
    Breakage(
        "who waits without an event loop for the only turn is never told that it has come",
        "_inline.py",
        "YieldingSignal.set",
        "self._is_set = True",
        "pass",
        "core/test_commit_tasks.py::test_two_saves_at_once_without_an_event_loop",
    ),
    Breakage(
        "increments of a save whose reply was lost do not go back with it",
        "_core/conflict.py",
        "_recognise",
        "_note_saved(state, counted)",
        "",
        known("a save of unknown fate under a new id that does not go out, beside saves"),
    ),
    Breakage(
        "an emptied session forgets where a login after it came from",
        "_core/commit.py",
        "_empty",
        "if engine.policy.max_sessions is not None:\n    __MORE__",
        "",
        f"{ENDED}a_browser_that_begins_anew_beside_its_own_login_is_one_browser",
    ),
    Breakage(
        "a login is counted in place of what its lineage has no room to name",
        "_core/places.py",
        "of_this_browser",
        "lineage_of(*came, *known, longest=_AT_LOGIN)",
        "lineage_of(*came, *known)",
        known("an old session that two requests move, and one after the other logs in"),
    ),
    Breakage(
        "a lock is given back by a task that its program does not wait for",
        "_core/locks.py",
        "_give_up",
        "await runtime.finish(drop)",
        "runtime.spawn(drop)",
        "races/test_cancelled.py::test_a_program_that_ends_gives_its_locks_back",
    ),
)
"""Of what one request does in several steps or tasks."""
