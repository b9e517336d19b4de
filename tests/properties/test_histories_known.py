"""Short histories that anybody would run into, each in several orders: what went wrong once stays mended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pytest

from limpet.stores.memory import MemoryStore
from limpet.testing.histories import Act, Plan, Rules, examine
from tests.properties.acts import Known, beside, by, operator
from tests.properties.known_endings import ENDINGS
from tests.properties.known_kept_elsewhere import KEPT_ELSEWHERE

ORDERS: Final = 40


KNOWN: Final[Mapping[str, Known]] = {
    # what belongs to the application stays as it is
    "a constant that two requests put into one session": Known(
        (by(0, "login:ann"), by(0, "constant"), beside(0, "recent"), by(1, "constant"))
    ),
    "one object under two keys": Known((by(0, "set"), by(0, "twin"), beside(0, "single"))),
    # what a handler holds is what is saved
    "an object held over a lock": Known((by(0, "hold"), by(0, "hold", "exclusive", "push"), beside(0, "count"))),
    "an object held over a refresh": Known((by(0, "hold"), by(0, "hold", "refresh", "push"), beside(0, "count"))),
    "an object held over a save": Known((by(0, "hold"), by(0, "push", "save", "push"), beside(0, "count"))),
    "two tasks of one request": Known((by(0, "set"), by(0, "both"), beside(0, "count", "append"))),
    "two tasks that begin a session": Known((by(0, "both"),)),
    # what ended stays ended
    "two logouts of one session": Known((by(0, "login:ann"), by(0, "append", "logout"), beside(0, "logout"))),
    "two logouts of an old session": Known((by(0, "append", "logout"), beside(0, "logout")), Rules(imports=True)),
    "two logouts beside a renewal": Known(
        (by(0, "login:ann"), operator("tick"), by(0, "read"), beside(0, "logout"), beside(0, "logout", worker=0)),
        Rules(renews=True),
        width=3,
    ),
    "a lock in a session that is logged out": Known((by(0, "login:ann"), by(0, "exclusive"), beside(0, "logout"))),
    "a save in a session that is logged out": Known(
        (by(0, "login:ann"), by(0, "set", "save", "set"), beside(0, "logout"))
    ),
    "a refresh in a session that is logged out": Known(
        (by(0, "login:ann"), by(0, "refresh", "set"), beside(0, "logout"))
    ),
    "a request beside a login": Known((by(0, "append"), by(0, "login:ann"), beside(0, "append"))),
    "a request with the id before a login": Known((by(0, "append"), by(0, "login:ann"), by(0, "append", stale=1))),
    "a request with the id before a new id": Known((by(0, "login:ann"), by(0, "regenerate"), by(0, "append", stale=1))),
    "a logout beside a new id": Known((by(0, "login:ann"), by(0, "regenerate"), beside(0, "logout"))),
    "the last key removed": Known((by(0, "set"), by(0, "empty"))),
    "the last key removed, and a new id, beside a write": Known(
        (by(0, "nest"), by(0, "append"), beside(0, "empty", "regenerate"))
    ),
    "numbers that are saved under a new id, which is taken back": Known(
        (by(0, "nest"), by(0, "regenerate", "both", ends="answers 500"), beside(0, "both"))
    ),
    # what fails changes nothing
    "login, save, then an error": Known((by(0, "set"), by(0, "login:ann", "save", ends="raises"), by(0, "append"))),
    "a new id, save, then an error": Known((by(0, "login:ann"), by(0, "regenerate", "save", ends="raises"))),
    "a refused login as another": Known(
        (by(0, "login:ann"), by(1, "login:bob", "set"), by(1, "login:ann")), Rules(max_sessions=1, refuses=True)
    ),
    # one browser is one browser
    "a double click on log in": Known(
        (by(0, "set"), by(0, "login:ann"), beside(0, "login:ann")), Rules(max_sessions=1, refuses=True)
    ),
    "a form sent again": Known(
        (by(0, "set"), by(0, "login:ann"), by(0, "login:ann", stale=1)), Rules(max_sessions=1, refuses=True)
    ),
    "a renewal by a request that saves and fails": Known(
        (by(0, "set"), operator("tick"), by(0, "exclusive", ends="raises")), Rules(renews=True)
    ),
    "a login after a revocation that failed": Known(
        (
            by(0, "set"),
            Act("revoke_all:ann", alone=True, faults={2: "fails twice"}),
            by(0, "login:ann"),
            Act("revoke_all:ann", alone=True, faults={3: "fails twice"}),
            by(0, "login:ann"),
            Act("revoke_all:ann", alone=True, faults={4: "loses both replies"}),
            by(0, "login:ann"),
        )
    ),
    "a login after a revocation that was cut short": Known(
        (
            by(0, "set"),
            Act("revoke_all:ann", alone=True, faults={3: "cut after"}),
            by(0, "login:ann"),
            Act("revoke_all:ann", alone=True, faults={4: "cut before"}),
            by(0, "login:ann"),
        )
    ),
    "a double click beside another device": Known(
        (by(1, "login:ann"), by(0, "set"), by(0, "login:ann"), beside(0, "login:ann")), Rules(max_sessions=2)
    ),
    "two cookies and a login": Known((by(0, "login:ann"), by(1, "login:bob"), by(0, "login:ann", also=1))),
    "two cookies and a logout": Known((by(0, "login:ann"), by(1, "login:bob"), by(0, "logout", also=1))),
    # what a request loses with its session, its process or its time
    "a request that fails, and dies when it has carried back what it saved": Known(
        (
            by(0, "nest"),
            Act(steps=("single", "regenerate", "save"), ends="answers 500", alone=True, faults={3: "cut after"}),
        )
    ),
    "what a lost session had handed out": Known(
        (by(0, "nest"), by(0, "restart"), by(0, "hold", "save", "push", "login:bob", stale=1))
    ),
    "a login that is saved, and then one for which there is no room": Known(
        (by(1, "login:bob"), by(0, "login:ann", "save", "login:bob"), by(2, "login:ann")),
        Rules(max_sessions=1, refuses=True),
    ),
    "an old session that two requests move, one of them a login, when all but the other one end": Known(
        (by(0), Act(steps=("both", "login:ann")), Act("spare:ann")), Rules(imports=True)
    ),
    "a login that is saved, and expires before its response": Known(
        (by(0, "nest"), by(0, "tagged:ann", "exclusive"), Act(steps=("long",)), Act(steps=("long",)))
    ),
    "a login that is saved, and revoked before its response": Known(
        (by(0, "nest"), operator("spare:ann"), Act(steps=("login:ann", "save", "live"))),
        Rules(max_sessions=2, touches=True),
    ),
    "a login that is saved, and then one as another, which is void": Known(
        (by(0), by(0, "login:bob", "save", "tagged:ann"), Act(steps=("tagged:ann",))), Rules(max_sessions=1)
    ),
    "a login after a write into a cookie session that was logged out meanwhile": Known(
        (by(0, "nest"), by(0, "logout"), Act(steps=("exclusive", "constant", "login:ann", "recent"))),
        Rules(mode="denylist"),
    ),
    "two who end all sessions but one, and are slow": Known(
        (by(0, "login:ann"), operator("spare:ann"), Act("wait"), Act("spare:ann")), Rules(queues=False)
    ),
    "a login after one that was saved and has expired": Known(
        (operator("expiry"), Act(steps=("restart", "login:ann", "save", "tagged:ann")))
    ),
    "a session that begins after one with a deadline of its own was emptied": Known(
        (by(0, "nest"), by(0, "expire"), by(0, "empty", "both"), operator("tick"), by(0)), Rules(renews=True)
    ),
    "a cookie session that begins after one with a deadline of its own was emptied": Known(
        (by(0, "nest"), by(0, "expire"), by(0, "empty", "both"), operator("wait"), by(0)),
        Rules(mode="denylist"),
    ),
    "logins of two users from one browser, one with an id that the other has left": Known(
        (
            by(0, "login:ann"),
            by(1, "nest"),
            by(1, "login:bob", "tagged:ann", worker=1),
            Act(actor=1, worker=1, steps=("login:ann",)),
            Act(actor=1, steps=("login:bob",)),
            Act(actor=1, steps=("tagged:ann",), stale=1),
        ),
        Rules(max_sessions=2),
    ),
    "two logins at once with an id that has expired": Known(
        (
            by(1, "nest"),
            by(0, "long"),
            by(0, "long"),
            by(1, "tagged:ann"),
            Act(actor=1, steps=("tagged:ann",)),
        ),
        Rules(max_sessions=1, refuses=True),
    ),
    "a login after a session that the request began was ended": Known(
        (by(0, "set", "save", "exclusive", "tagged:ann"), Act("everyone")), first=10081741
    ),
    "a login that takes hours, beside another and a write with the same id": Known(
        (
            by(0, "login:ann"),
            Act(steps=("login:bob",)),
            by(0, "login:bob"),
            Act(steps=("long",)),
            Act(steps=("login:bob",)),
            Act(steps=("single",)),
        ),
        width=3,
        first=6,
    ),
    "a login beside a new id of a session that is logged out meanwhile, before a login as another": Known(
        (
            by(0, "login:ann"),
            by(0, "regenerate", "both", "login:bob"),
            Act(steps=("restart",), ends="answers 500"),
            Act(steps=("tagged:ann",)),
        ),
        Rules(max_sessions=1, refuses=True),
        width=2,
        first=9012060,
    ),
    "a login after one that was revoked before it was saved": Known(
        (by(0, "login:bob"), by(0, "login:ann", "save", "login:bob"), Act("spare:ann")),
        Rules(max_sessions=1, refuses=True),
    ),
    "a session that is saved twice, with another id, and fails": Known(
        (by(0, "login:ann", "save", "regenerate", "save", ends="answers 500"),)
    ),
    "a login in which its session reaches a deadline": Known(
        (
            by(0, "login:bob"),
            by(0, "append", "expire", "recent"),
            Act(steps=("append",)),
            Act(steps=("login:bob", "long", "recent")),
        )
    ),
    "a login that takes hours, beside another, and a sweep": Known(
        (by(0, "nest"), by(0, "login:ann"), Act(steps=("tagged:ann",)), Act("half"), Act("sweep")),
        Rules(max_sessions=1),
    ),
    "a login beside one that is refused after hours": Known(
        (by(0, "login:bob"), *(Act(steps=(*long, "login:bob")) for long in ((), ("long",), ())), Act("sweep")),
        Rules(max_sessions=1, refuses=True, queues=False),
        width=3,
    ),
    "a logout beside one that took long and failed": Known(
        (
            by(0, "login:ann"),
            by(0, "logout", ends="raises"),
            Act("tick"),
            Act(steps=("logout",)),
            by(0, "single"),
        ),
        Rules(renews=True),
    ),
    "a login with a renewed id after its grace": Known(
        (by(0, "login:ann"), operator("tick"), by(0), by(0), operator("tick"), by(0, "login:ann", stale=1)),
        Rules(max_sessions=1, refuses=True, renews=True),
    ),
    "a save of unknown fate, and a renewal": Known(
        (by(0, "nest"), Act(steps=("both",)), Act(steps=("both",), faults={3: "loses both replies"}), Act("tick")),
        Rules(renews=True, queues=False),
    ),
    "a save under an id that does not go out, beside a login": Known(
        (by(0, "nest"), by(0, "login:ann"), Act(steps=("regenerate", "exclusive"), ends="raises"))
    ),
    "a use that the store fails to note": Known(
        (by(0, "nest"), Act(steps=("long",)), Act(steps=("long", "recent"), alone=True, faults={1: "fails twice"}))
    ),
    "a session that is used after it was read, and before it is judged": Known(
        (by(0, "login:bob"), Act(steps=("long",)), by(0), Act(), Act(actor=1, steps=("long",))), width=3
    ),
    "a use that is noted late": Known(
        (by(0, "login:bob"), by(0), Act(actor=2, steps=("long",)), by(0), Act(), Act(actor=1, steps=("long",))),
        width=3,
    ),
    "a note that the store did not take, and a look after it": Known(
        (
            by(1, "nest"),
            by(1, "regenerate"),
            Act(actor=1, steps=("live",), alone=True, faults={3: "fails twice"}),
        ),
        Rules(touches=True),
    ),
    "a login after what was written to a session that had been ended as soon as it was saved": Known(
        (by(0, "both", "append", "tagged:ann"), Act("everyone"))
    ),
    "a logout beside another one, and a new session that is emptied again": Known(
        (by(0, "restart"), by(0, "logout"), Act(steps=("logout", "exclusive", "empty")))
    ),
    "one of two cookies that is being renewed": Known(
        (
            by(0, "nest"),
            by(1, "nest"),
            operator("revoke", actor=1),
            by(0, "long", "both"),
            Act(steps=("tagged:ann",), also=1),
        ),
        Rules(renews=True),
    ),
    "a use that is under way when the session is idle": Known(
        (by(0, "nest"), Act("half"), by(0, "push"), Act(), Act("half")), width=3
    ),
    "a save of unknown fate under a new id that does not go out, beside saves": Known(
        (
            by(1, "nest"),
            Act(actor=1, steps=("regenerate", "both"), alone=True, faults={2: "loses both replies"}),
            Act(actor=1, steps=("both",)),
        ),
    ),
    "a login after an empty session, beside a login": Known(
        (by(0, "both"), by(0, "login:ann"), Act(steps=("empty", "both", "login:ann"))),
        Rules(max_sessions=1, refuses=True),
        first=8,
    ),
    "a request with an id that was renewed long ago, beside a logout": Known(
        (
            by(0, "login:ann"),
            operator("tick"),
            by(0, "append"),
            by(0, "append"),
            operator("tick"),
            by(0, "logout"),
            beside(0, "append", stale=1),
        ),
        Rules(renews=True),
    ),
    "a process that dies while time passes": Known(
        (
            *(by(browser, f"login:{name}", "expire") for browser, name in enumerate(("ann", "bob"))),
            replace(by(0, "append"), faults={0: "cut after"}),
            Act("wait"),
        )
    ),
    # clocks of two hosts
    "a revocation by a host that is behind": Known(
        (by(0, "login:ann"), operator("revoke_all:ann", worker=1)), Rules(skew=(20_000, 0))
    ),
    "a login after a revocation by a host that is ahead": Known(
        (operator("revoke_all:ann", worker=1), by(0, "login:ann")), Rules(skew=(0, 300_000))
    ),
    "a login in the millisecond of a revocation": Known((operator("revoke_all:ann", worker=1), by(0, "login:ann"))),
    "a login after everybody was ended": Known(
        (operator("everyone", worker=1), by(0, "login:ann")), Rules(skew=(0, 300_000))
    ),
    "a login after the revocation of a tag": Known(
        (operator("revoke_tag", worker=1), by(0, "tagged:ann")), Rules(skew=(0, 300_000))
    ),
    "the newer of two logins": Known(
        (by(0, "login:ann", worker=1), by(1, "login:ann", worker=0)), Rules(max_sessions=1, skew=(0, 20_000))
    ),
    "a login before the clock steps back": Known(
        (by(0, "login:ann"), operator("tick"), operator("tick"), operator("revoke_all:ann")), Rules(steps=True)
    ),
    "a login by a host that is ahead, and takes another session for expired": Known(
        (by(0, "login:ann", "expire", worker=1), operator("tick"), by(1, "login:ann", worker=1)),
        Rules(max_sessions=1, renews=True, skew=(0, 20_000)),
    ),
    "a login by a host that is ahead, beside one that shortens the session's life": Known(
        (by(0, "nest"), by(0, "tagged:ann", "expire"), Act(worker=1, steps=("expire",)), Act("tick")),
        Rules(renews=True, steps=True),
        width=3,
    ),
    "one lock, two clocks": Known(
        (by(0, "set"), by(0, "exclusive"), beside(0, "exclusive")), Rules(skew=(0, 300_000), queues=False)
    ),
    "an index that forgets": Known(
        (by(0, "login:ann"), by(1, "login:ann"), operator("revoke_all:ann")), Rules(forgets=True)
    ),
    "a handler that takes long": Known((by(0, "login:ann"), operator("half"), by(0, "long", "append"))),
    "a handler that reads, and takes long": Known((by(0, "login:ann"), operator("half"), by(0, "read", "long"))),
    **ENDINGS,
    **KEPT_ELSEWHERE,
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_went_wrong_once(name: str) -> None:
    """Nothing of what sessions promise is broken, in any order that was tried."""
    known = KNOWN[name]
    for order in range(known.first, known.first + ORDERS):
        found = examine(Plan(known.rules, known.acts, width=known.width or 2, seed=order), MemoryStore())
        assert not found.problems, f"{name}, order {order}:\n{found}"


def test_what_is_tried_is_what_is_written() -> None:
    """The acts of a known history are all run: none is left out, whatever the order."""
    for known in KNOWN.values():
        found = examine(Plan(known.rules, tuple(replace(act) for act in known.acts), width=2), MemoryStore())
        assert found.history is not None
        revoked = sum("revoke" in act.steps for act in known.acts)  # each is an act of its own, if it finds its session
        assert 0 <= len([visit for visit in found.history.visits if not visit.settled]) - len(known.acts) <= revoked
