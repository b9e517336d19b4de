"""Who ended a session, from where and why: in events, audit lines, the log of every process, and the admin page."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from pathlib import Path

import flask
import pytest

from limpet import Session, SessionManager, events
from limpet._blocking import drive
from limpet.adapters.flask import Limpet
from limpet.audit import JSONAuditLog
from limpet.events import acting
from limpet.stores.sqlite import SQLiteStore
from limpet.testing import FakeClock
from limpet.wsgi import SessionMiddleware
from tests.admin.operator import FIREFOX, Operator
from tests.admin.operator import Site as AdminSite
from tests.security.site import SECRET
from tests.site import Site
from tests.wsgi.client import Browser, application


def two(folder: Path) -> tuple[Site, Site]:
    """Return two processes' managers over one store, as far as the engine can tell."""
    clock = FakeClock()
    made = [SessionManager(SQLiteStore(folder / "s.db"), dev=False, clock=clock) for _ in range(2)]
    for manager in made:
        manager.use_running_loop()
    return Site(made[0]), Site(made[1])


async def heard(site: Site, cookie: str) -> list[events.RevocationSeen]:
    """Return what a process has heard of others once it has served a request."""
    await site.run(lambda session: session.get("x"), cookie)
    await asyncio.sleep(0.1)
    return [event for event in site.heard if isinstance(event, events.RevocationSeen)]


async def test_a_reason_may_be_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The line in the log says that none was given."""
    one, other = two(tmp_path)
    cookie = await other.login("looker")
    with acting("op: zoe"):
        await one.manager.revoke_all("bob")
    with caplog.at_level(logging.WARNING, "limpet"):
        await heard(other, cookie)
    assert "session -: another process has revoked (subject), by op: zoe, because: not said" in caplog.messages


async def test_other_processes_hear_who_did_what(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each kind of revocation is an event and a line in the log of a process that had no part in it, once."""
    one, other = two(tmp_path)
    cookie = await other.login("looker")
    assert await heard(other, cookie) == []
    for name in ("ann", "bob", "eve"):
        await one.login(name, tags={"org": "acme"})
    (ann,) = await one.manager.sessions_of("ann")
    with acting("op: zoe", why="stolen phone"):
        await one.manager.revoke(ann.public_id)
        await one.manager.revoke_all("bob")
        await one.manager.revoke(tag=("org", "acme"))
    with caplog.at_level(logging.WARNING, "limpet"):
        found = await heard(other, cookie)
    assert [(event.what, event.tag, event.subject, event.by, event.why) for event in found] == [
        ("session", ann.public_id[:8], "ann", "op: zoe", "stolen phone"),
        ("subject", None, "bob", "op: zoe", "stolen phone"),
        ("tag", None, None, "op: zoe", "stolen phone"),
    ]
    assert (
        f"session {ann.public_id[:8]}: another process has revoked (session), by op: zoe, because: stolen phone"
        in caplog.messages
    )
    assert len(await heard(other, cookie)) == 3, "told twice"
    assert not [event for event in one.heard if isinstance(event, events.RevocationSeen)], "it did so itself"
    ended = [event for event in one.heard if isinstance(event, events.SessionRevoked)]
    assert {(event.by, event.why) for event in ended} == {("op: zoe", "stolen phone")}
    with acting("op: zoe"):
        await one.manager.revoke_everyone()
    assert (await heard(other, cookie))[-1].what == "everyone"
    assert await other.whose(cookie) is None


async def test_who_hears_of_it_is_not_who_did_it(tmp_path: Path) -> None:
    """The line of another process names no device: it would be that of a visitor who had no part in it."""
    one, other = (Site(SQLiteStore(tmp_path / "s.db"), devices=True) for _ in range(2))
    cookie = (await other.ask(lambda session: session.login("looker"))).token
    await one.login("ann")
    with acting("op: zoe"):
        await one.manager.revoke_all("ann")
    await other.ask(token=cookie, headers={"user-agent": FIREFOX})
    await asyncio.sleep(0.1)
    (found,) = [event for event in other.heard if isinstance(event, events.RevocationSeen)]
    assert (found.subject, found.by, found.device) == ("ann", "op: zoe", None)


def test_a_thread_forgets_whose_device_it_has_answered() -> None:
    """What it does after that is not done from there; here of a request that the application never saw."""
    site = Site(devices=True, bound=True, secret=SECRET)
    visitor = Browser(SessionMiddleware(application(lambda session: None), site.manager))
    assert visitor.get("/device-bound-session/refresh", REQUEST_METHOD="POST", HTTP_USER_AGENT=FIREFOX).status == 400
    site.manager.engine.emit(events.SessionRevoked)
    assert site.heard[-1].device is None


def test_a_thread_forgets_whose_request_flask_has_answered() -> None:
    """As after every other one: nothing that the thread does next is done from there."""
    app = flask.Flask("shop")
    Limpet(app, "memory:", devices=True)
    app.get("/")(lambda: flask.session.get("x", "nothing"))
    app.test_client().get("/", base_url="https://shop.test").close()
    assert events.CLIENT.get() is None


def test_a_thread_forgets_whose_device_flask_has_answered() -> None:
    """No view has seen that request, and nobody closes its session."""
    app = flask.Flask("shop")
    app.secret_key = SECRET
    Limpet(app, "memory:", devices=True, bound=True)
    answer = app.test_client().post("/device-bound-session/refresh", base_url="https://shop.test")
    assert answer.status_code == 400
    answer.close()
    assert events.CLIENT.get() is None


def test_a_process_without_an_event_loop(tmp_path: Path) -> None:
    """A blocking application hears of it too, while it serves the request that reads the journal."""
    clock = FakeClock()
    one, other = (Site(SessionManager(SQLiteStore(tmp_path / "s.db"), dev=False, clock=clock)) for _ in range(2))
    cookie = drive(other.login("looker"))
    drive(one.login("ann"))
    with acting("op: zoe"):
        assert drive(one.manager.revoke_all("ann")) == 1
    assert drive(other.whose(cookie)) == "looker"
    (event,) = [event for event in other.heard if isinstance(event, events.RevocationSeen)]
    assert (event.by, event.subject) == ("op: zoe", "ann")
    assert drive(one.manager.revoke_everyone()) == 1
    for site in (one, other):
        drive(site.manager.shutdown())


async def test_nobody_acts(tmp_path: Path) -> None:
    """A revocation without a name is told to nobody, and costs other processes no call beside the journal."""
    one, other = two(tmp_path)
    cookie = await other.login("looker")
    await one.login("ann")
    await one.manager.revoke_all("ann")
    assert await heard(other, cookie) == []
    assert all(event.by is None for event in one.heard)


async def test_audit_lines(tmp_path: Path) -> None:
    """A line has the device and address whose request it was, and who acts and why where that was said."""
    site = Site(SQLiteStore(tmp_path / "s.db"), devices=True)
    stream = io.StringIO()
    site.manager.listen(JSONAuditLog(stream))

    async def end_all(session: Session) -> None:
        with acting("ann", why="password changed"):
            await site.manager.revoke_all("ann")

    for handler in (lambda session: session.login("ann"), end_all):
        await site.ask(handler, headers={"user-agent": FIREFOX})
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["SessionCreated", "SessionLoggedIn", "SessionRevoked"]
    assert {line["device"] for line in lines} == {"Firefox 141 on Linux"}
    assert (lines[2]["by"], lines[2]["why"]) == ("ann", "password changed")
    assert "by" not in lines[1]


async def test_the_admin_page() -> None:
    """The operator's name and reason are in the event, and the page shows them, escaped."""
    site = AdminSite()
    found: list[events.Event] = []
    site.manager.listen(found.append)
    operator = Operator(site)
    await site.visitor("ann")
    await operator.http.get("/login", params={"as": "root"})
    (ann,) = await site.ids("ann")
    await operator.look(f"/sessions/id/{ann}/end")
    await operator.confirm(why="<b>lost</b> laptop")
    (event,) = [event for event in found if isinstance(event, events.SessionRevoked)]
    assert (event.by, event.why) == ("root (admin page)", "<b>lost</b> laptop")
    await operator.look()
    assert "by <bdi>root (admin page)</bdi>: <bdi>&lt;b&gt;lost&lt;/b&gt; laptop</bdi>" in operator.page


async def test_what_is_said_is_bounded() -> None:
    """However long a name or a reason is, only so much of it is kept; outside the block nobody acts."""
    with acting("n" * 1000, why="w" * 1000):
        by, why = events.ACTOR.get()
    assert (len(by or ""), len(why or "")) == (100, 200)
    assert events.ACTOR.get() == (None, None)
