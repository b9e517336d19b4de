"""What type checkers are to make of the public names. Checked by `make lint`, run by nobody."""

from __future__ import annotations

from collections.abc import MutableMapping
from datetime import datetime, timedelta
from typing import Any, assert_type

from limpet import CookiePolicy, Keyring, Session, SessionManager, SessionPolicy


async def a_session_is_a_mapping_with_a_few_methods(session: Session) -> None:
    mapping: MutableMapping[str, Any] = session
    session["cart"] = {"tea": 2}
    session.setdefault("log", []).append("here")
    assert_type("cart" in session, bool)
    assert_type(len(mapping), int)
    assert_type(session.is_new, bool)
    assert_type(session.modified, bool)
    assert_type(session.accessed, bool)
    assert_type(session.subject, str | None)
    assert_type(session.public_id, str | None)
    assert_type(session.created_at, datetime | None)
    assert_type(session.expires_at, datetime | None)
    assert_type(session.authenticated_at, datetime | None)
    assert_type(session.increment("visits"), int)
    assert_type(session.increment("visits", -2), int)
    assert_type(session.increment("visits", by=5), int)
    session.increment("visits", "1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert_type(session.login("ann", remember=True), None)
    session.login("ann", acr="aal2", amr=("pwd", "otp"))
    assert_type(session.acr, str | None)
    assert_type(session.amr, tuple[str, ...])
    assert_type(session.is_fresh(None, level="aal2"), bool)
    session.regenerate()
    session.logout()
    session.expire_in(60)
    session.expire_in(timedelta(minutes=1))
    session.expire_in(None)
    assert_type(await session.load(), Session)
    await session.save()
    await session.refresh()
    assert_type(await session.is_live(), bool)


def settings_are_keyword_only_and_frozen() -> None:
    policy = SessionPolicy(idle_timeout=timedelta(minutes=30), absolute_timeout=None, rotate_on=("account",))
    cookie = CookiePolicy(same_site="strict", partitioned=False)
    SessionPolicy(3600)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    CookiePolicy(same_site="loose")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    policy.save_on_error = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert_type(SessionPolicy.aal2(), SessionPolicy)
    assert_type(SessionPolicy.strict(), SessionPolicy)
    SessionManager("memory:", policy=policy, cookie=cookie, label="admin")


def a_secret_is_one_or_many_or_a_keyring(ring: Keyring) -> None:
    SessionManager("cookie:", secret="one")
    SessionManager("cookie:", secret=["new", "old"])
    SessionManager("cookie:", secret=ring)
    SessionManager()
    SessionManager(dev=True)
