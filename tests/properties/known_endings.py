"""Short histories in which sessions end as few do: by a request that reads nothing, by a job, by who uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from limpet.testing.histories import Act, Rules
from tests.properties.acts import Known, beside, by, operator

__all__ = ["ENDINGS", "lazily"]


def lazily(act: Act) -> Act:
    """A request whose session is read when a step needs it."""
    return replace(act, lazy=True)


ENDINGS: Final[Mapping[str, Known]] = {
    "two logouts that read nothing": Known(
        (by(0, "login:ann"), lazily(by(0, "logout")), lazily(beside(0, "logout")), beside(0, "append")), width=3
    ),
    "a logout that reads nothing, and a login": Known(
        (by(0, "login:ann"), by(1, "login:ann"), lazily(by(0, "logout", "login:ann")), beside(0, "login:ann")),
        Rules(max_sessions=2, refuses=True),
    ),
    "a logout that reads nothing, beside a new id": Known(
        (by(0, "login:ann"), by(0, "regenerate"), lazily(beside(0, "logout")))
    ),
    "a logout that reads nothing, with two cookies": Known(
        (by(0, "login:ann"), by(1, "login:bob"), lazily(by(0, "restart", also=1)))
    ),
    "a logout that reads nothing, with an id that was renewed": Known(
        (by(0, "login:ann"), operator("tick"), by(0), lazily(by(0, "logout", stale=1))), Rules(renews=True)
    ),
    "a logout that reads nothing, of an old session": Known(
        (lazily(by(0, "logout")), lazily(beside(0, "restart")), Act(actor=1, steps=("read",), old=True, alone=True)),
        Rules(imports=True),
    ),
    "a logout that reads nothing, of a session that has expired": Known(
        (by(0, "nest"), by(0, "long", "long"), lazily(by(0, "logout")))
    ),
    "a logout by a job, beside a new id": Known(
        (by(0, "login:ann"), by(0, "regenerate"), Act("open", steps=("logout",)), beside(0, "logout")), width=3
    ),
    "a logout beside one that began anew, saved, and logs out": Known(
        (by(0, "nest"), by(0, "restart", "exclusive", "logout"), Act(steps=("logout",)))
    ),
    "a new id whose store is gone before the old one has ended": Known(
        (
            by(0, "nest"),
            Act(steps=("regenerate", "append"), alone=True, faults={2: "is gone"}),
            by(0, "append", stale=1),
            by(0),
        )
    ),
    "a cookie with a new id whose store is gone when the old one is to end": Known(
        (by(0, "nest"), Act(steps=("regenerate",), alone=True, faults={3: "hangs"}), by(0, "append", stale=1)),
        Rules(mode="denylist"),
    ),
    "a request that fails after a login, and dies when it has carried back what it saved before": Known(
        (
            by(0, "nest"),
            Act(
                steps=("regenerate", "both", "login:ann", "login:bob"),
                ends="raises",
                alone=True,
                faults={5: "cut after"},
            ),
        )
    ),
    "a logout by a job, while another request finishes the change of id": Known(
        (
            by(0, "nest"),
            Act(steps=("regenerate",), alone=True, faults={2: "is gone"}),
            Act("open", steps=("logout",), alone=True),
            Act(),
            operator("revoke"),
        )
    ),
    "a job with a new id whose store was gone before the old one had ended, beside a save": Known(
        (
            by(0, "login:ann", "nest"),
            by(0, "nest", "refresh"),
            Act(steps=("append", "login:ann"), faults={3: "hangs after"}),
            Act("open", steps=("append",), alone=True),
        ),
        width=3,
    ),
    "a logout while a task saves a login that a revocation makes void": Known(
        (by(0, "nest"), operator("revoke_tag"), Act(steps=("tagged:ann", "task:save:logout"))), first=40
    ),
    "two logouts of what each has made of an old session": Known(
        (by(0, "append", "save", "logout"), Act(steps=("append", "save", "logout"))), Rules(imports=True)
    ),
    "a logout while a task saves what was begun anew": Known(
        (by(1, "nest"), operator("spare:ann"), by(1, "restart", "task:save:logout"))
    ),
    "a new id that was saved for an old session, beside a login": Known(
        (by(0, "login:ann"), Act(steps=("task:save:regenerate",))), Rules(imports=True)
    ),
    "a lock that is held while the id changes and comes back": Known(
        (by(0, "nest"), Act(steps=("guard",)), Act(steps=("regenerate",)), Act(steps=("guard",))), width=3
    ),
    "a deadline of its own, over a new id and beside a write": Known(
        (by(0, "login:ann"), by(0, "expire"), Act(steps=("append",)), Act("wait"), by(0))
    ),
    "a save under a new id, and hours in which others write before it is to go out": Known(
        (
            by(1, "nest"),
            by(1, "regenerate", "guard"),
            Act(actor=1, steps=("long",)),
        ),
        Rules(renews=True),
        width=3,
    ),
    "a deadline of its own, and a copy of the cookie of before": Known(
        (by(0, "nest"), by(0, "long"), by(0, "expire"), operator("wait"), by(0, stale=2, also=0)), Rules(mode="none")
    ),
    "a deadline of its own, and a login": Known((by(0, "expire"), by(0, "login:ann"), operator("wait"), by(0))),
    "a request that revokes its session, and writes": Known(
        (by(0, "login:ann"), by(0, "revoke", "append"), beside(0, "revoke", "logout"))
    ),
    "a request that revokes its session unread, and logs in": Known(
        (by(0, "login:ann"), lazily(by(0, "revoke", "logout", "login:ann")), lazily(beside(0, "revoke", "append")))
    ),
    "what begins after a logout, and moves twice, beside a lock of the old session": Known(
        (by(0), Act(steps=("logout", "login:ann", "save", "regenerate")), Act(steps=("exclusive",))),
        Rules(max_sessions=2, imports=True),
        width=3,
    ),
    "an old session that one request moves, beside a login of its user": Known(
        (Act(steps=("append",)), Act(steps=("save", "login:ann"))), Rules(imports=True)
    ),
    "the last key removed beside a new id whose store hangs": Known(
        (by(0, "nest"), by(0, "empty"), Act(steps=("regenerate",), faults={2: "hangs"}))
    ),
    "a logout with an old id that could not be ended, after a save under it": Known(
        (
            by(0, "nest"),
            by(0, "expire", "guard"),
            Act(steps=("login:ann",), faults={3: "is gone"}),
            by(0, "logout"),
        )
    ),
    "a revocation and a logout beside a change of id that could not be finished": Known(
        (by(0, "nest"), lazily(by(0, "revoke", "logout")), Act(steps=("regenerate",), faults={2: "hangs"}))
    ),
    "a login whose store is gone, and another one that is over the limit": Known(
        (by(0, "nest"), replace(by(0, "login:ann"), faults={4: "is gone after"}), by(1, "login:ann")),
        Rules(max_sessions=1),
    ),
    "two logouts after a change of id that could not be finished": Known(
        (
            by(0, "nest"),
            Act(steps=("regenerate",), alone=True, faults={2: "is gone"}),
            lazily(by(0, "logout")),
            lazily(Act(steps=("logout",))),
        )
    ),
    "logins as two people at once, in tasks that save, beside one that begins anew": Known(
        (
            by(1, "login:bob"),
            Act(steps=("single",)),
            by(1, "login:ann", "task:save:login:bob"),
            replace(by(1, "login:bob", "task:save:restart"), also=0, alone=False),
            by(0, "task:save:login:bob"),
        )
    ),
    "two logins with an old cookie, of which one logs out first": Known(
        (Act(steps=("logout", "login:bob"), old=True, alone=True), Act(steps=("login:bob",), old=True)),
        Rules(imports=True),
        width=3,
    ),
    "two logins of one browser, of which one follows a new id that was saved": Known(
        (by(0, "login:ann", "nest"), by(0, "regenerate", "save", "login:ann"), Act(steps=("login:ann",))),
        Rules(max_sessions=1),
        width=3,
    ),
    "a login that cannot end the id that another request renews": Known(
        (
            by(0, "login:ann"),
            operator("tick"),
            Act(steps=("set",)),
            Act(steps=("login:ann",), faults={3: "is gone"}, worker=1),
        ),
        Rules(renews=True),
    ),
    "a login over the limit that gives way, and its store is gone then": Known(
        (by(1, "login:ann"), replace(by(0, "login:ann"), faults={7: "is gone after"}), Act(steps=("login:ann",))),
        Rules(max_sessions=1),
    ),
    "a write that was read before a revocation ended it, and whose reply is lost": Known(
        (by(0, "login:ann"), Act(), Act(steps=("set",), faults={1: "loses the reply"}), Act("revoke")), width=3
    ),
    "a login that was renewed, and its id of before": Known(
        (by(0, "login:ann"), by(0, "login:bob"), operator("wait"), by(0), by(0), operator("tick")),
        Rules(renews=True, imports=True),
    ),
    "a new id that the store keeps without a word, and a logout": Known(
        (
            by(0, "login:bob"),
            replace(by(0, "regenerate"), faults={2: "hangs after"}),
            lazily(by(0, "logout")),
            by(0, "login:bob"),
        ),
        Rules(max_sessions=1, refuses=True),
    ),
    "the last key removed, and a new session that is logged out": Known(
        (by(0, "nest"), by(0, "empty", "both", "logout"))
    ),
    "a logout that reads nothing, of a login whose old id is left, beside a request": Known(
        (
            by(0, "login:ann", "nest"),
            by(0, "nest"),
            Act(steps=("login:ann",), faults={3: "hangs"}),
            lazily(by(0, "logout")),
            Act(steps=("both",)),
        )
    ),
    "a new id that the store takes without a word, beside a logout and a login as another": Known(
        (
            by(0, "login:ann", "nest"),
            lazily(by(0, "logout", "login:bob")),
            Act(steps=("regenerate",), faults={2: "hangs after"}),
        )
    ),
    "a new id that is saved, and a login that is saved after it, which fails": Known(
        (
            by(0, "login:ann", "nest"),
            by(0, "regenerate", "both", "save", "login:ann", "both", "save", ends="raises"),
            by(0, "regenerate", "append", "save", "login:bob", "save", ends="answers 500"),
            beside(0, "append"),
        )
    ),
    "a logout that reads nothing, beside a new id by a host whose clock is behind": Known(
        (by(0, "login:ann"), by(0, "regenerate", worker=1), Act(steps=("restart",), lazy=True)),
        Rules(skew=(0, -300_000)),
    ),
    "a new id that is saved, and a logout that fails": Known(
        (by(0, "nest"), replace(by(0, "regenerate", "both", "logout"), faults={5: "fails twice"}))
    ),
    "a logout that reads nothing, of what is over by the clock of its host alone": Known(
        (by(0, "nest", "expire", worker=1), operator("tick"), lazily(by(0, "logout", worker=1)), by(0)),
        Rules(renews=True, skew=(0, 300_000)),
    ),
    "a logout of what is over by the clock of its host alone": Known(
        (by(0, "nest", "expire", worker=1), operator("tick"), by(0, "logout", worker=1), by(0)),
        Rules(renews=True, skew=(0, 300_000)),
    ),
    "a logout after a save, of what is over by the clock of its host alone": Known(
        (by(0, "expire", "twin", worker=1), operator("tick"), by(0, "both", "logout", worker=1)),
        Rules(renews=True, skew=(0, 300_000)),
    ),
    "two logins at once with an id that has expired, over the limit": Known(
        (
            by(1, "login:ann"),
            by(0, "nest", "expire"),
            operator("wait"),
            by(0, "tagged:ann"),
            Act(steps=("tagged:ann",)),
        ),
        Rules(max_sessions=2),
    ),
    "a write after a look that met the end, and a login": Known(
        (by(0, "nest"), by(0, "refresh", "set", "login:ann"), beside(0, "logout"))
    ),
    "a write after a look that met the end, which the handler takes back, and a login": Known(
        (by(0, "nest"), by(0, "refresh", "set", "empty", "login:ann"), beside(0, "logout"))
    ),
    "a write after two tasks that met the end, and a login": Known(
        (by(0, "login:bob"), by(0, "both", "set", "login:ann"), beside(0, "login:ann"))
    ),
    "a logout that reads nothing and a login, beside a login with the id before": Known(
        (
            by(0, "nest"),
            by(0, "tagged:ann"),
            Act(worker=1, steps=("regenerate",)),
            lazily(Act(steps=("logout", "login:ann"))),
        ),
        Rules(max_sessions=1, refuses=True),
    ),
    "a login that takes more than a minute, beside a new id, when the marks of ids that ended are swept": Known(
        (by(0, "login:bob"), by(0, "login:ann", "long"), Act(steps=("regenerate",)), Act("sweep"))
    ),
}
