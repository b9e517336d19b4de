"""S33: a cookie session that was copied goes on after the logout, or after the password was changed."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from limpet import ConfigurationError, LimpetError, SessionPolicy, StoreUnavailable
from limpet._wire import marks
from limpet._wire.journal import JOURNAL
from limpet.asgi import SessionMiddleware
from limpet.events import SessionReused, WriteAfterEnd
from limpet.stores import CookieStore, MemoryStore, SQLiteStore, open_store
from tests.counts import count
from tests.security.site import ANONYMOUS, NAME, SECRET, Watched, WatchedSite
from tests.site import nothing, send

MODES = pytest.mark.parametrize("mode", ["denylist", "epoch"])
GONE = StoreUnavailable("the store is away")


def ending(mode: Any, kept: Any = None, cache: float = 0.0, **settings: Any) -> WatchedSite:
    """Return an application with cookie sessions that can be ended, and its notes in ``kept``."""
    kept = kept or Watched()
    store = CookieStore(revocation=mode, revocation_store=kept, revocation_cache=cache)
    return WatchedSite(store=store, secret=SECRET, **settings)


def notes(site: WatchedSite) -> Watched:
    """Return the store of the notes."""
    kept = site.manager.kept
    assert isinstance(kept, Watched)
    return kept


@MODES
async def test_no_older_cookie_outlives_the_logout(mode: str) -> None:
    """Every cookie since the login, copied: anonymous after the logout, and the next login works."""
    site = ending(mode)
    copies = [(await site.ask("/login")).given]
    for path in ("/write", "/rotate", "/write"):
        copies.append((await site.ask(path, copies[-1])).given)
    assert (await site.ask("/read", copies[-1])).text == "2"
    answer = await site.ask("/logout", copies[-1])
    assert "Max-Age=0" in answer.cookies[0]
    for copy in copies:
        assert (await site.ask("/dump", copy)).text == ANONYMOUS
    assert site.said(SessionReused) == len(copies)
    again = (await site.ask("/login")).given
    assert (await site.ask("/write", again)).text == "1"


@MODES
async def test_an_anonymous_session_ends_too(mode: str) -> None:
    """Without a login there is a lineage, and `clear` ends it."""
    site = ending(mode)
    token = (await site.ask("/write")).given
    await site.ask("/logout", token)
    assert (await site.ask("/dump", token)).text == ANONYMOUS


@MODES
async def test_the_cookie_before_the_login_is_dead_after_it(mode: str) -> None:
    """As on the server: who planted the anonymous cookie has nothing of the login, nor of what was before."""
    site = ending(mode)
    before = (await site.ask("/write")).given
    after = (await site.ask("/login", before)).given
    assert (await site.ask("/dump", before)).text == ANONYMOUS
    assert (await site.ask("/read", after)).text == "1"


async def test_a_change_of_id_leaves_the_older_cookies_dead() -> None:
    """After `regenerate` a copy of any cookie before it is nobody's, with an event; the session goes on."""
    site = ending("denylist")
    copies = [(await site.ask("/login")).given]
    copies.append((await site.ask("/write", copies[-1])).given)
    new = (await site.ask("/rotate", copies[-1])).given
    for copy in copies:
        assert (await site.ask("/dump", copy)).text == ANONYMOUS
    assert site.said(SessionReused) == len(copies)
    assert (await site.ask("/read", new)).text == "1"


@MODES
async def test_a_request_under_way_cannot_bring_it_back(mode: str) -> None:
    """It met the session alive, and seals nothing once the logout is through."""
    site = ending(mode)
    token = (await site.ask("/login")).given
    async with site.held(nothing, token, first=lambda session: session.update(late=1)) as answer:
        await site.ask("/logout", token)
    assert (answer.status, answer.cookies) == (200, [])
    assert site.said(WriteAfterEnd) == 1


@MODES
async def test_a_logout_that_reads_nothing_counts(mode: str) -> None:
    """A handler that only calls ``clear`` on a lazy session ends what the cookie says."""
    site = ending(mode)
    token = (await site.ask("/login")).given
    lazy = SessionMiddleware(site.page, site.manager, lazy=True)
    await send(lazy, "/logout", [(b"cookie", f"{NAME}={token}".encode())])
    assert (await site.ask("/dump", token)).text == ANONYMOUS


async def test_epoch_ends_every_session_of_a_subject() -> None:
    """`revoke_all` after a change of the password: void on every worker within one request; others stay."""
    kept = Watched()
    one, other = ending("epoch", kept), ending("epoch", kept)
    other.clock.now = one.clock.now
    one.pages["/bob"] = lambda session: session.login("bob")
    tokens = [(await one.ask("/login")).given for _ in range(count(5, 1_000))]
    bob = (await one.ask("/bob")).given
    one.clock.advance(1)
    other.clock.advance(1)
    await one.manager.revoke_all("ann")
    for token in tokens:
        assert (await other.ask("/dump", token)).text == ANONYMOUS
    other.pages["/who"] = lambda session: session.subject
    assert (await other.ask("/who", bob)).text == '"bob"'
    again = (await one.ask("/login")).given
    assert (await other.ask("/who", again)).text == '"ann"'


async def test_denylist_ends_one_session_by_its_public_id() -> None:
    """`revoke` with what `public_id` said: that session, and no other of the subject."""
    site = ending("denylist", pages={"/id": lambda session: session.public_id, "/who": lambda s: s.subject})
    one, other = [(await site.ask("/login")).given for _ in range(2)]
    public = (await site.ask("/id", one)).text.strip('"')
    assert await site.manager.revoke(public) == 1
    assert (await site.ask("/who", one)).text == "null"
    assert (await site.ask("/who", other)).text == '"ann"'


async def test_what_a_mode_cannot_do_is_said() -> None:
    """A list of sessions, the wrong kind of revocation, and plain cookie sessions: an error in words."""
    for site in (ending("denylist"), ending("epoch"), WatchedSite(store="cookie:", secret=SECRET)):
        with pytest.raises(LimpetError, match="cookie"):
            await site.manager.sessions_of("ann")
        with pytest.raises(LimpetError, match="cookie"):
            await site.manager.revoke_everyone()
    with pytest.raises(LimpetError, match="epoch"):
        await ending("denylist").manager.revoke_all("ann")
    with pytest.raises(LimpetError, match="denylist"):
        await ending("epoch").manager.revoke("0" * 64)


@MODES
async def test_an_outage_never_logs_anybody_in(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notes cannot be read: 503 where the session is used, and a logout that was not noted is not confirmed."""
    site = ending(mode)
    token = (await site.ask("/login")).given

    async def away(*args: object, **more: object) -> None:
        raise GONE

    with monkeypatch.context() as broken:
        for name in ("load", "load_many", "create", "update"):
            broken.setattr(notes(site), name, away)
        for path in ("/read", "/write", "/logout"):
            answer = await site.ask(path, token)
            assert (answer.status, answer.cookies) == (503, [])
        assert (await site.ask("/touch", token)).status == 200
    assert (await site.ask("/write", token)).text == "1"


@MODES
async def test_a_damaged_note_ends_the_session(mode: str) -> None:
    """Trouble in the store is never taken for permission."""
    site = ending(mode)
    token = (await site.ask("/login")).given
    await site.ask("/logout", token)
    for key, record in list(notes(site).rows.items()):
        notes(site).rows[key] = record._replace(payload=record.payload[:-2])
    assert (await site.ask("/dump", token)).text == ANONYMOUS


async def test_a_cache_is_bounded_by_its_seconds() -> None:
    """With ``revocation_cache=5`` another process serves an ended session for at most 5 s; the own one at once not."""
    kept = Watched()
    one, other = (ending("denylist", kept, cache=5.0) for _ in range(2))
    token = (await one.ask("/write")).given
    assert (await other.ask("/read", token)).text == "1"
    reads = kept.calls["load"]
    assert (await other.ask("/read", token)).text == "1"
    assert kept.calls["load"] == reads
    await one.ask("/logout", token)
    assert (await one.ask("/dump", token)).text == ANONYMOUS
    assert (await other.ask("/read", token)).text == "1"
    other.clock.advance(5)
    assert (await other.ask("/dump", token)).text == ANONYMOUS


@MODES
async def test_a_note_lasts_as_long_as_any_cookie(mode: str) -> None:
    """It is kept until the last cookie is dead, whatever policy sealed it: 400 days, and is swept then."""
    kept = MemoryStore()
    site = ending(mode, kept, policy=SessionPolicy(absolute_timeout=1000, idle_timeout=1000, remember=None))
    token = (await site.ask("/login")).given
    await site.ask("/logout", token)
    site.clock.advance(999)
    await site.manager.sweep()
    assert (await site.ask("/dump", token)).text == ANONYMOUS
    site.clock.advance(399 * 86_400)
    assert await site.manager.sweep() == 0
    site.clock.advance(2 * 86_400)
    assert await site.manager.sweep() >= 1
    assert kept._records.keys() <= {JOURNAL}


async def test_the_notes_tell_nothing() -> None:
    """Neither a subject nor a value nor anything of a cookie is in them."""
    site = ending("epoch")
    token = (await site.ask("/login")).given
    await site.ask("/logout", token)
    dump = repr(notes(site).rows)
    assert notes(site).rows
    assert "ann" not in dump
    assert token[8:40] not in dump
    assert all(marks.is_mark(record.payload) and record.subject is None for record in notes(site).rows.values())


async def test_without_revocation_a_login_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    """The default keeps nothing on the server, and says what that means when somebody logs in."""
    caplog.set_level(logging.WARNING)
    site = WatchedSite(store="cookie:", secret=SECRET)
    for _ in range(3):
        await site.ask("/login")
    (record,) = caplog.records
    assert "outlives the logout" in record.getMessage()


async def test_before_it_was_switched_on() -> None:
    """A cookie from before has no lineage, could never be ended, and is not believed."""
    token = (await WatchedSite(store="cookie:", secret=SECRET).ask("/write")).given
    assert (await ending("denylist").ask("/dump", token)).text == ANONYMOUS


def test_the_settings_have_to_go_together(tmp_path: Any) -> None:
    """A mode needs a store on the server, and a store a mode; the URL says the same."""
    refused: tuple[dict[str, Any], ...] = (
        {"revocation": "denylist"},
        {"revocation_store": "memory:"},
        {"revocation": "some", "revocation_store": "memory:"},
        {"revocation": "epoch", "revocation_store": "cookie:"},
        {"revocation": "epoch", "revocation_store": "memory:", "revocation_cache": -1},
    )
    for wrong in refused:
        with pytest.raises(ConfigurationError):
            CookieStore(**wrong)
    store = open_store(f"cookie:signed?revocation=denylist&store=sqlite:///{tmp_path}/ended.db&cache=2.5")
    assert isinstance(store, CookieStore)
    assert isinstance(store.revocation_store, SQLiteStore)
    assert repr(store) == "CookieStore(encrypted=False, revocation='denylist')"
