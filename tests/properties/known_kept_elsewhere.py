"""Short histories of sessions that are kept in cookies, or that another library kept before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from limpet.testing.histories import Act, Rules
from tests.properties.acts import Known, beside, by, operator

__all__ = ["KEPT_ELSEWHERE"]

KEPT_ELSEWHERE: Final[Mapping[str, Known]] = {
    # sessions in cookies
    "a copy of a cookie whose life was shortened": Known(
        (by(0, "login:ann"), by(0, "expire"), by(0, "logout"), operator("wait"), operator("sweep")),
        Rules(mode="denylist"),
    ),
    "a login in a cookie, whose store is gone after it has ended the old one": Known(
        (by(0, "set"), replace(by(0, "both", "login:bob", "exclusive"), faults={4: "is gone after"})),
        Rules(mode="denylist"),
    ),
    "a login in a cookie that is saved by a handler that raises": Known(
        (by(0, "nest"), by(0, "login:ann", "save", ends="raises")), Rules(mode="denylist")
    ),
    "a login that ends all cookies, and is saved by a handler that raises": Known(
        (by(0, "nest"), by(0, "login:bob", "guard", ends="raises")), Rules(mode="epoch")
    ),
    "a login in a cookie that is saved, and a logout, beside a new id of the session before": Known(
        (by(0, "nest"), by(0, "tagged:ann", "exclusive", "logout"), Act(steps=("regenerate",))), Rules(mode="denylist")
    ),
    "a new id beside a logout, in cookies": Known(
        (by(0, "login:ann"), by(0, "regenerate"), beside(0, "logout")), Rules(mode="denylist")
    ),
    "a cookie login after a revocation": Known(
        (operator("revoke_all:ann", worker=1), by(0, "login:ann")), Rules(mode="epoch", skew=(0, 20_000))
    ),
    "an expired cookie beside another one of its subject": Known(
        (
            by(0, "login:ann"),
            operator("expiry"),
            by(1, "login:ann"),
            by(1, "read", also=0),
            operator("revoke_all:ann"),
        ),
        Rules(mode="epoch"),
    ),
    "a cookie that is saved by a request that logs in as others and fails, beside a logout": Known(
        (by(0, "login:bob"), by(0, "exclusive", "login:ann", "login:bob", ends="answers 500"), Act(steps=("logout",))),
        Rules(mode="epoch"),
    ),
    "a logout in a cookie that is saved by a request that logs in as others and fails": Known(
        (
            by(0, "nest"),
            by(1, "login:ann"),
            by(0, "login:bob", "exclusive", "tagged:ann", ends="answers 500"),
            by(0, "restart"),
        ),
        Rules(mode="epoch"),
    ),
    "a copy of a cookie whose life was shortened, and which is logged out when that is over": Known(
        (by(0, "nest"), by(0, "expire"), Act(steps=("login:ann", "long", "both", "restart")), Act("revoke_all:ann")),
        Rules(mode="epoch"),
    ),
    "two cookies of a subject, one of them over, beside a login as another": Known(
        (
            by(0, "login:ann"),
            by(1, "login:ann"),
            by(0, "long"),
            by(0, "long"),
            Act(actor=1, also=0),
            by(0, "login:bob"),
        ),
        Rules(mode="epoch"),
    ),
    # sessions of another library
    "what was saved of an old session that another request moved, until its deadline": Known(
        (by(0, "login:ann", "nest"), Act(worker=1, steps=("long",)), Act(steps=("expire", "exclusive", "save"))),
        Rules(imports=True, refuses=True, queues=False, touches=True),
        width=3,
    ),
    "an old session that is saved by a request that fails": Known(
        (by(0, "set"), Act(steps=("both", "login:ann"), ends="raises"), by(0, "count")), Rules(imports=True)
    ),
    "an old session that is saved by a request whose store then fails": Known(
        (by(0, "set"), Act(steps=("append", "save", "twin"), faults={5: "fails twice"})), Rules(imports=True)
    ),
    "what is saved under a new id by a request that fails, and whose store then fails": Known(
        (by(0, "nest"), Act(steps=("regenerate", "append", "save"), ends="answers 500", faults={3: "fails twice"}))
    ),
    "an old session after a revocation": Known((operator("revoke_all:ann"), by(0, "set")), Rules(imports=True)),
    "an old session that is moved twice": Known((by(0, "set"), by(0, "logout"), by(0, "set")), Rules(imports=True)),
    "a copy of an old cookie after a login": Known(
        (by(0, "login:bob", "set"), Act(actor=1, steps=("read",), old=True, alone=True)), Rules(imports=True)
    ),
    "a copy of an old cookie after a logout": Known(
        (by(0, "set"), by(0, "logout"), Act(actor=1, steps=("read",), old=True, alone=True)), Rules(imports=True)
    ),
    "a logout of an old session that was moved, and renewed": Known(
        (by(0), operator("tick"), by(0), by(0, "logout")), Rules(renews=True, imports=True)
    ),
    "an old session that two requests move": Known((by(0, "set"), beside(0, "append")), Rules(imports=True)),
    "a login beside a request with the same old cookie": Known(
        (by(0, "read"), beside(0, "login:ann")), Rules(imports=True)
    ),
    "a login again beside another device": Known(
        (by(0, "login:ann"), by(1, "login:ann"), by(1, "login:ann")), Rules(max_sessions=2)
    ),
    "a visitor after everybody was ended": Known(
        (by(0, "set"), operator("everyone", worker=1), by(1, "append")), Rules(skew=(0, 20_000))
    ),
    "what was written before a login with a replaced id": Known(
        (by(0, "set"), by(0, "login:ann"), by(0, "append", "login:ann", stale=1))
    ),
    "a renewal by a request that fails": Known(
        (by(0, "set"), operator("tick"), by(0, "both", ends="answers 500"), beside(0, "read")), Rules(renews=True)
    ),
    "a login over the limit beside a new id": Known(
        (by(0, "login:ann"), Act(steps=("tagged:ann",)), Act(steps=("regenerate",))), Rules(max_sessions=1)
    ),
    "an old session that is saved beside a login": Known(
        (by(0), Act(steps=("both",)), Act(steps=("login:ann",))), Rules(imports=True, max_sessions=2)
    ),
    "an old session that is saved beside a login in it that is saved before its response": Known(
        (by(0), Act(steps=("both",)), Act(steps=("login:ann", "save"))), Rules(imports=True)
    ),
    "a logout of what another login has put out": Known(
        (by(0), Act(steps=("login:ann",)), Act(steps=("login:ann", "save", "logout"))), Rules(max_sessions=1)
    ),
    "a logout, a save, and a logout again": Known((by(0, "nest"), by(0, "logout", "save", "logout"))),
    "what was saved before two logins of others, which fail": Known(
        (
            by(0, "login:bob"),
            by(0, "regenerate", "append", "save", "login:ann", "login:bob", ends="answers 500"),
            by(0, "read"),
        )
    ),
    "two logins with an id that the limit had ended": Known(
        (
            *(by(browser, "login:ann") for browser in (0, 1, 2)),
            by(0, "login:ann"),
            by(0, "login:ann", stale=1),
            by(2, "append"),
        ),
        Rules(max_sessions=2),
    ),
    "an old session that two requests move, and one after the other logs in": Known(
        (
            by(0),
            Act(actor=1, steps=("nest",)),
            Act(steps=("login:bob",)),
            by(0, "logout", "both", "login:bob"),
            by(1, "login:ann", also=0),
        ),
        Rules(max_sessions=1, imports=True),
    ),
    "a login that cannot end the session that another request has made of an old one": Known(
        (by(0, "nest"), Act(steps=("login:ann",), faults={4: "hangs"})), Rules(imports=True)
    ),
    "a logout after a login from an old session that another request has moved, which could not be noted": Known(
        (
            by(0, "append"),
            Act(worker=1, steps=("login:ann",), faults={5: "is gone after"}),
            *(by(0, step) for step in ("read", "logout", "append")),
        ),
        Rules(imports=True),
    ),
    "a write to a cookie session that its request began, past its deadline, and a login": Known(
        (by(0, "append", "expire", "save", "long", "append", "save", "append", "login:ann"),), Rules(mode="denylist")
    ),
    "two logins with an old cookie whose session was revoked": Known(
        (by(0), Act("revoke_all:ann"), Act(steps=("both", "tagged:ann")), Act(steps=("login:ann",))),
        Rules(imports=True, max_sessions=1, refuses=True),
    ),
    "an old session over the limit": Known(
        (by(1, "login:ann"), by(0, "set")), Rules(imports=True, max_sessions=1, refuses=True)
    ),
    "what was saved under a new id, whose store fails twice then, beside a request": Known(
        (
            by(0, "nest"),
            by(0, "append"),
            Act(steps=("regenerate", "recent", "save", "both"), faults={4: "fails twice"}),
        )
    ),
    "what was saved under a new id, which is taken back, and its store fails twice then": Known(
        (by(0, "nest"), replace(by(0, "regenerate", "append", "save", ends="answers 500"), faults={2: "fails twice"}))
    ),
    "two requests that move an old session, one under a new id, which gives up after a conflict": Known(
        (
            Act(steps=("nest",)),
            Act(worker=1, steps=("set", "regenerate")),
            Act("wait"),
            Act(steps=("append",)),
            Act(steps=("count",)),
            Act("wait"),
        ),
        Rules(imports=True),
        width=4,
    ),
    "a new id whose process dies, and a login that goes on from there": Known(
        (by(0, "nest"), by(0, "login:bob"), Act(worker=1, steps=("nest", "regenerate"), faults={2: "cut after"}))
    ),
    "what is saved beside a login, and a revocation": Known(
        (by(0, "login:ann"), Act(steps=("append", "task:save:tagged:ann")), Act("revoke")), first=40
    ),
}
