"""Logins, limits and old sessions where one browser sends several requests at once: what went wrong once is mended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from limpet.stores.memory import MemoryStore
from limpet.testing.histories import Act, Plan, Rules, examine
from tests.properties.acts import Known, beside, by, operator

ORDERS: Final = 40
ONE: Final = Rules(max_sessions=1)
FULL: Final = Rules(max_sessions=1, refuses=True)
OLD: Final = Rules(imports=True)
OLD_AND_ONE: Final = Rules(imports=True, max_sessions=1)

KNOWN: Final[Mapping[str, Known]] = {
    # a limit counts browsers
    "a login beside a new id of another device": Known(
        (by(0, "login:ann"), by(1, "login:ann"), beside(0, "regenerate")), Rules(max_sessions=2)
    ),
    "two logins at once of two devices": Known(
        (by(0, "login:ann"), by(1, "login:ann"), beside(0, "login:ann")), Rules(max_sessions=2)
    ),
    "a login again in one request": Known((by(0, "login:ann"), by(0, "login:ann", "exclusive", "login:ann")), FULL),
    "a logout and a login beside a login": Known(
        (by(0, "set"), by(0, "restart", "tagged:ann"), beside(0, "login:ann")), ONE
    ),
    "logins of two people from one id": Known(
        (by(0, "set"), by(0, "login:ann"), beside(0, "login:bob"), beside(0, "tagged:ann")), ONE
    ),
    "a login from an id beside one from what it is renewed to": Known(
        (
            by(1, "nest"),
            by(0, "login:ann"),
            by(1),
            Act("tick"),
            Act(actor=1, steps=("tagged:ann",)),
            Act(actor=1, steps=("tagged:ann",)),
        ),
        Rules(max_sessions=2, renews=True),
    ),
    "a login with an id that is changed, beside one with the new id": Known(
        (by(0, "nest"), by(0, "tagged:ann"), Act(steps=("regenerate",)), Act(steps=("login:ann",))), ONE
    ),
    "a login with the id before a logout, beside one with the id after it": Known(
        (
            by(0, "nest"),
            beside(0, "nest", worker=0),
            by(0, "login:ann", stale=1),
            Act(steps=("login:ann", "restart")),
            Act(steps=("login:ann",)),
            Act(steps=("tagged:ann",)),
        ),
        Rules(max_sessions=2),
    ),
    "two people who log in within one request, with an id that was changed beside a login": Known(
        (by(0, "nest"), Act(steps=("tagged:ann",)), Act(steps=("regenerate",)), Act(steps=("login:bob", "tagged:ann"))),
        Rules(max_sessions=1, refuses=True),
    ),
    "a logout and a login in one request, after a login with the id before two logouts": Known(
        (
            by(1, "login:ann"),
            by(0, "nest"),
            by(0, "login:ann", "restart"),
            by(0, "login:ann", stale=1),
            by(0, "restart", "login:ann", stale=1),
        ),
        Rules(max_sessions=2),
    ),
    "a login with the id before a new id, beside one with the new id, after a logout of both": Known(
        (
            by(0, "login:ann"),
            by(0, "regenerate"),
            by(0, "logout"),
            by(0, "login:ann", stale=1),
            by(0, "login:ann", stale=1),
        ),
        FULL,
    ),
    "a login with an id that has ended long ago": Known(
        (by(0, "login:ann"), by(1, "nest"), by(1, "login:ann"), operator("tick"), by(1, "tagged:ann", stale=1)),
        Rules(max_sessions=2, renews=True),
    ),
    "two logins from a session whose id is changed": Known(
        (
            by(0, "login:ann"),
            beside(0),
            by(0, "regenerate", "live"),
            Act(steps=("tagged:ann",)),
            Act(steps=("login:ann",)),
        ),
        ONE,
    ),
    "a logout, a save and a login beside a login": Known(
        (by(0, "nest"), by(0, "login:ann"), Act(steps=("logout", "exclusive", "tagged:ann"))), FULL
    ),
    "a login back to who logged in beside": Known(
        (
            by(0, "login:ann"),
            by(0, "login:bob"),
            Act(steps=("tagged:ann",)),
            by(0, "logout"),
            by(0, "login:bob"),
        ),
        OLD_AND_ONE,
    ),
    "a login back to who logged in beside a login as another": Known(
        (
            by(0, "login:ann"),
            Act(steps=("login:ann",)),
            by(0, "login:ann", "login:bob"),
            Act(steps=("login:ann",)),
            by(0, "login:ann"),
        ),
        Rules(max_sessions=2),
    ),
    "a login as another and back, beside a login with the id before": Known(
        (by(0, "nest"), by(0, "login:ann"), Act(steps=("login:ann",)), Act(steps=("login:bob", "login:ann"))),
        FULL,
        width=2,
    ),
    "a login that is saved and logged out beside another": Known(
        (by(0, "login:ann"), Act(steps=("login:ann", "both", "logout"))), FULL
    ),
    "a login that takes long beside others of its browser": Known(
        (
            by(0, "login:ann"),
            Act(steps=("login:ann",)),
            by(0, "login:ann"),
            Act(steps=("long", "login:ann")),
            Act(steps=("login:ann",)),
        ),
        Rules(max_sessions=2),
        width=2,
    ),
    "a renewal beside a logout and a login": Known(
        (by(0, "login:ann"), by(0), by(0, "long"), Act(steps=("restart",)), Act(actor=1, steps=("login:ann",))),
        Rules(max_sessions=1, refuses=True, renews=True, queues=False),
        width=2,
    ),
    "an old session that is saved beside a revocation that spares what another request made of it": Known(
        (by(0), Act(), Act(steps=("both", "refresh")), Act("spare:ann")), OLD
    ),
    "an old session whose life is shortened, saved beside a request that takes long": Known(
        (by(0), Act(steps=("expire", "both")), Act(steps=("long",))), OLD
    ),
    "an old session that is moved, and logged out, beside a login as another from it": Known(
        (by(0, "login:bob"), Act(), Act(steps=("restart",)), by(0, "login:bob", stale=2)),
        Rules(imports=True, max_sessions=1, refuses=True),
        width=2,
    ),
    "a login with an old token long after it was taken": Known(
        (by(0), by(1, "login:ann"), operator("half"), Act(steps=("login:ann",), old=True, alone=True)),
        Rules(imports=True, max_sessions=2, refuses=True),
    ),
    "a minute that passes while a login looks where its ids led": Known(
        (
            operator("tick"),
            Act(steps=("count",)),
            Act(steps=("tagged:ann",)),
            Act(steps=("logout", "login:bob")),
            Act(steps=("login:ann",)),
            Act("tick"),
        ),
        Rules(max_sessions=1, refuses=True, renews=True),
        width=2,
    ),
    "a login back long after a renewal and two logins from the new id": Known(
        (
            by(0, "nest"),
            operator("tick"),
            by(0),
            by(0, "tagged:ann"),
            Act(steps=("login:bob",)),
            by(0, "login:ann"),
            Act("tick"),
        ),
        Rules(max_sessions=1, renews=True),
    ),
    "a login that takes long, beside one from what another login made of its id": Known(
        (
            by(0, "nest"),
            by(0, "login:bob"),
            by(0, "login:ann"),
            Act(worker=1, steps=("login:ann",)),
            Act(worker=1, steps=("long", "login:ann")),
            Act(steps=("tagged:ann",)),
        ),
        ONE,
        width=2,
        first=490,
    ),
    "a login that loses the store while it ends an earlier one": Known(
        (by(0, "nest"), by(0, "login:ann"), Act(steps=("login:ann",), faults={5: "loses both replies"})), Rules()
    ),
    "a login that loses the store when it has ended an earlier one": Known(
        (by(0, "nest"), by(0, "login:ann"), Act(steps=("login:ann",), faults={6: "fails twice"})), Rules()
    ),
    "a login beside one that everybody's revocation makes void": Known(
        (by(0), by(0, "login:bob"), Act("everyone"), Act(steps=("login:bob",)), Act(steps=("long",))),
        Rules(max_sessions=1, refuses=True, queues=False),
    ),
    "an old session that is revoked, written to and logged in again in one request": Known(
        (by(0, "both", "exclusive", "login:ann"), Act("revoke_all:ann")), OLD, width=2
    ),
    "two logins from an old session that another request moves": Known(
        (Act(steps=("login:bob",)), Act(steps=("read",)), Act(steps=("login:bob",))), OLD_AND_ONE
    ),
    "a login that holds its lock for longer than it may": Known(
        (by(0, "login:bob"), Act(steps=("login:bob",)), Act("tick")),
        Rules(max_sessions=1, refuses=True, renews=True, queues=False),
    ),
    "a new id beside a logout and a login": Known(
        (by(0, "login:bob"), by(0, "regenerate"), beside(0, "restart", "login:bob")), FULL
    ),
    "two logins beside the end of their session": Known(
        (by(0, "set"), by(0, "login:ann"), Act("revoke"), beside(0, "login:ann")), ONE
    ),
    # what fails, and what belongs to somebody else
    "a new id, saved, then a login that fails": Known(
        (by(0, "set"), by(0, "regenerate", "append", "save", "login:bob", ends="raises"))
    ),
    "a login that is saved and fails, beside another": Known(
        (by(0, "set"), by(0, "login:ann"), Act(steps=("login:ann", "save"), ends="raises"))
    ),
    "a login as another under a lock": Known(
        (by(0, "login:bob"), by(0, "append"), beside(0, "login:ann", "exclusive"))
    ),
    "a logout after a login that was revoked": Known(
        (by(0, "set"), by(0, "login:ann", "save", "append", "save", "logout"), Act("spare:ann"))
    ),
    "a renewal beside the end of all others": Known(
        (by(0, "login:ann"), operator("spare:ann"), Act("tick"), Act(steps=("nest",))), Rules(renews=True)
    ),
    "two renewals beside the end of all others": Known(
        (by(0, "login:ann"), operator("tick"), by(0), operator("spare:ann"), Act(steps=("long",)), Act(steps=("set",))),
        Rules(renews=True, queues=False),
    ),
    "all others are ended twice at once": Known((by(0, "login:ann"), Act("spare:ann"), Act("spare:ann"))),
    "a list that is removed while two requests add to it": Known(
        (
            by(0, "login:ann", "nest"),
            Act(),
            by(0, "nest"),
            Act(steps=("nest",)),
            Act(steps=("empty",)),
        ),
        Rules(queues=False),
    ),
    "a lock before and after a login": Known(
        (by(0, "set"), by(0, "login:ann", "save", "exclusive"), beside(0, "exclusive"))
    ),
    "an object that two tabs grow": Known((by(0, "nest"), by(0, "push"), beside(0, "push", "exclusive", "push"))),
    "an emptied session in its cookie": Known((by(0, "nest"), by(0, "empty", "save", "set")), Rules(mode="denylist")),
    # sessions of another library
    "an old session beside a new id": Known((by(0), beside(0, "regenerate")), OLD),
    "an old session beside what is saved under a new id": Known((by(0, "count"), beside(0, "both", "regenerate")), OLD),
    "an old session beside what is saved": Known((by(0, "count"), beside(0, "both")), OLD),
    "an old session beside a login that was saved": Known((by(0, "login:ann"), beside(0, "save", "exclusive")), OLD),
    "an old session beside a login as another": Known((by(0, "append"), beside(0, "save", "login:bob")), OLD),
    "an old session beside a request that renews it": Known(
        (by(0), beside(0, "long")), Rules(imports=True, renews=True)
    ),
    "an old session beside two logins in one request": Known((by(0, "nest"), beside(0, "login:bob", "login:ann")), OLD),
    "an old session beside the end of everyone": Known((by(0), Act("everyone")), OLD),
    "a logout beside a login as another": Known((by(0, "login:bob"), beside(0, "logout")), OLD),
    "a login after a logout": Known((by(0, "logout"), by(0, "login:bob")), OLD),
    "an old session beside a login at the limit": Known((by(0), beside(1, "login:ann")), OLD_AND_ONE),
    "an old session beside a login where there is no room": Known(
        (by(0), beside(1, "login:ann")), Rules(imports=True, max_sessions=1, refuses=True)
    ),
    "three requests with an old session": Known((by(0, "login:ann"), beside(0), beside(0, "login:ann")), OLD_AND_ONE),
    "a double click on log in with an old session": Known(
        (by(0, "login:bob"), beside(0, "login:bob")), Rules(imports=True, max_sessions=1, refuses=True)
    ),
    "an old session after a login for which it had no room": Known(
        (by(1, "login:ann"), by(0, "login:bob"), operator("tick"), Act(actor=2, steps=("read",), old=True, alone=True)),
        OLD_AND_ONE,
    ),
    "an old session that is saved beside a new id": Known(
        (by(0), Act(steps=("save", "exclusive")), Act(), Act(), Act(), Act(steps=("regenerate",))), OLD
    ),
    "an old session that is saved for a long time": Known(
        (by(0), Act(steps=("nest", "save")), Act(steps=("long",))), OLD
    ),
    "an old session that is renewed and not handed out": Known(
        (by(0, "long", "both", ends="raises"),), Rules(imports=True, renews=True)
    ),
    "an old session that is saved and logged out beside a login, and a login after it": Known(
        (
            by(0, "login:ann"),
            Act(actor=1, steps=("login:ann",)),
            Act(steps=("save", "restart")),
            by(0, "tagged:ann"),
        ),
        Rules(imports=True, max_sessions=2),
    ),
    "an old session long after a login from it": Known(
        (by(0), operator("half"), Act(steps=("login:ann",), old=True, alone=True), by(1, "login:ann")),
        Rules(imports=True, max_sessions=2),
    ),
    "a login beside one that is taken back, as its request fails": Known(
        (by(0, "login:ann"), Act(steps=("login:ann",)), Act(steps=("login:ann", "both"), ends="answers 500")),
        Rules(max_sessions=2, refuses=True),
    ),
    "a login after a logout, by a host whose clock steps": Known(
        (
            by(0, "login:ann"),
            Act(steps=("long", "login:bob")),
            by(0, "login:ann"),
            Act(steps=("login:ann", "restart")),
            by(0, "login:ann", worker=1),
        ),
        Rules(max_sessions=2, steps=True),
        width=2,
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_one_browser_is_one_browser(name: str) -> None:
    """Nothing of what sessions promise is broken, in any order that was tried."""
    known = KNOWN[name]
    for order in range(known.first, known.first + ORDERS):
        found = examine(Plan(known.rules, known.acts, width=known.width or 3, seed=order), MemoryStore())
        assert not found.problems, f"{name}, order {order}:\n{found}"
