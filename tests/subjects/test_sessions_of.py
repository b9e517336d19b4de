"""Whose sessions: list them, end one, end all, end everybody's."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from limpet import LimpetError, Session, SessionEnded, SessionManager, SessionPolicy, events
from limpet._core.session import state_of
from limpet._wire.record import pack, unpack
from limpet.devices import DevicePolicy, summary
from limpet.keyring import generate_secret
from limpet.stores import MemoryStore, WrappingStore
from limpet.testing import FakeClock
from tests.site import STORES, Site, opened, steps

DAY = 86_400
FIREFOX = "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"


@pytest.fixture(params=STORES)
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A site over each store."""
    async with opened(request.param, tmp_path) as site:
        yield site


def clock_of(site: Site) -> FakeClock:
    """Return the clock that a test turns."""
    clock = site.manager.clock
    assert isinstance(clock, FakeClock)
    return clock


async def test_list_of_a_subject(site: Site) -> None:
    """A subject's live sessions are listed, the last used first, with the facts of each and nobody else's."""
    first = await site.login("ann", tags={"device": "phone"})
    clock_of(site).advance(60)
    second = await site.login("ann", remember=True)
    created = datetime.fromtimestamp(site.manager.clock() / 1000, UTC)
    await site.login("bob")
    clock_of(site).advance(5)
    current = site.begin(first)
    await site.manager.load(current)
    infos = await site.manager.sessions_of("ann", current=current)
    assert [info.current for info in infos] == [True, False]  # the one that asks is used now
    assert infos[1].remember
    assert infos[0].tags == {"device": "phone"}
    assert infos[0].public_id == current.public_id
    assert infos[1].created_at == created
    assert (infos[0].last_seen - infos[1].last_seen).total_seconds() == 5
    others = await site.manager.sessions_of("ann")
    assert [info.remember for info in others] == [True, False]
    assert (others[0].last_seen - others[1].last_seen).total_seconds() == 60
    assert {info.subject for info in infos} == {"ann"}
    assert second not in repr(infos)


async def test_expired_sessions_are_not_listed(site: Site) -> None:
    """A session past its deadline is in no list, though the store still has its record."""
    await site.login("ann")
    clock_of(site).advance(DAY)
    assert await site.manager.sessions_of("ann") == []


async def test_revoke_one(site: Site) -> None:
    """Revoking one session by its public id ends that one for the next request, and the others stay."""
    first, second = await site.login("ann"), await site.login("ann")
    ended = site.begin(first)
    await site.manager.load(ended)
    site.names()
    assert ended.public_id is not None
    assert await site.manager.revoke(ended.public_id) == 1
    assert site.names() == ["SessionRevoked"]
    assert await site.whose(first) is None
    assert await site.whose(second) == "ann"
    assert await site.manager.revoke(ended.public_id) == 0


@pytest.mark.parametrize("public_id", ["", "nonsense", "../../etc/passwd", "0" * 64, "A" * 64, "é" * 64])
async def test_revoke_what_is_none(site: Site, public_id: str) -> None:
    """A public id that names no session ends none and harms nothing."""
    cookie = await site.login("ann")
    assert await site.manager.revoke(public_id) == 0
    assert await site.whose(cookie) == "ann"


async def test_revoke_all_but_this(site: Site) -> None:
    """Five logins, all revoked but the current one: four are dead and one lives."""
    cookies = [await site.login("ann") for _ in range(5)]
    other = await site.login("bob")
    current = site.begin(cookies[2])
    await site.manager.load(current)
    assert await site.manager.revoke_all("ann", except_=current) == 4
    assert [await site.whose(cookie) for cookie in cookies] == [None, None, "ann", None, None]
    assert await site.whose(other) == "bob"
    assert await site.manager.revoke_all("ann", except_=current.public_id) == 0
    assert await site.whose(cookies[2]) == "ann"


async def test_login_after_revoke_all(site: Site) -> None:
    """Who logs in after all sessions were revoked is in, be it in the same millisecond."""
    await site.login("ann")
    await site.manager.revoke_all("ann")
    cookie = await site.login("ann")
    assert await site.whose(cookie) == "ann"


async def test_change_of_password(site: Site) -> None:
    """A handler that logs in anew and revokes all but its own session keeps its own."""
    old = await site.login("ann")

    async def change_password(session: Session) -> None:
        session.login("ann")
        await site.manager.revoke_all("ann", except_=session)

    new = await site.run(change_password)
    assert await site.whose(old) is None
    assert await site.whose(new or "") == "ann"


async def test_login_noted_before_revoke_all(site: Site) -> None:
    """A login that was noted before all sessions were revoked, and saved after, hands out nothing."""
    session = site.begin()
    session.login("ann")
    session["secret"] = "of the old password"
    clock_of(site).advance(5)
    await site.manager.revoke_all("ann")
    await site.manager.commit(session)
    assert site.manager.header(session) is None
    assert session.subject is None
    assert await site.manager.sessions_of("ann") == []
    assert "SessionRevoked" in site.names()


class NoScans(WrappingStore):
    """A store that finds sessions by subject, and cannot walk through all."""

    scan: Any = None


async def test_revoke_everyone_in_a_store_that_cannot_be_walked_through(caplog: pytest.LogCaptureFixture) -> None:
    """Everybody's session ends at once all the same; the records stay until they expire, which the log says."""
    behind = MemoryStore()
    manager = SessionManager(NoScans(behind))
    session = manager.begin([])
    session.login("ann")
    await manager.commit(session)
    key = session.public_id
    assert key is not None
    assert await manager.revoke_everyone() == 0
    assert await manager.sessions_of("ann") == []
    with pytest.raises(SessionEnded):
        async with manager.open(key):
            pass
    assert await behind.load(key) is not None
    assert "NoScans cannot walk through its records" in caplog.text


async def test_revoke_everyone(site: Site) -> None:
    """Everybody's session ends, the anonymous ones too, and a login under way; a later login is in."""
    cookies = [await site.login(name) for name in ("ann", "bob")]
    anonymous = await site.run(lambda session: session.update(cart=[1]))
    waiting = site.begin()
    waiting.login("eve")
    assert await site.manager.revoke_everyone() == 3
    await site.manager.commit(waiting)
    assert site.manager.header(waiting) is None
    assert [await site.whose(cookie) for cookie in cookies] == [None, None]
    gone = site.begin(anonymous)
    await site.manager.load(gone)
    assert "cart" not in gone
    assert await site.whose(await site.login("ann")) == "ann"


async def test_keys_that_stand_for_a_login_are_revoked_too(site: Site) -> None:
    """An application that logs in by a key of ``rotate_on`` is covered when everybody's sessions are revoked."""
    session = site.begin()
    session["user_id"] = 7
    await site.manager.commit(session)
    cookie = (site.manager.header(session) or (b"", b""))[1].decode().split(";")[0].partition("=")[2]
    assert await site.manager.revoke_everyone() == 1
    again = site.begin(cookie)
    await site.manager.load(again)
    assert "user_id" not in again


async def test_revoke_by_tag(site: Site) -> None:
    """Sessions are found by a tag of their login across subjects, and others of these subjects stay."""
    tagged = [await site.login(name, tags={"oidc_sid": "s1"}) for name in ("ann", "bob")]
    others = [await site.login("ann", tags={"oidc_sid": "s2"}), await site.login("ann"), await site.login("eve")]
    assert await site.manager.revoke(tag=("oidc_sid", "s1")) == 2
    assert [await site.whose(cookie) for cookie in tagged] == [None, None]
    assert [await site.whose(cookie) for cookie in others] == ["ann", "ann", "eve"]
    assert await site.manager.revoke(tag=("oidc_sid", "unknown")) == 0


async def test_tagged_session_is_found_under_its_new_id(site: Site) -> None:
    """A tag leads to the session after its id has changed."""
    cookie = await site.login("ann", tags={"oidc_sid": "s1"})
    moved = await site.run(lambda session: session.regenerate(), cookie)
    assert moved != cookie
    assert await site.manager.revoke(tag=("oidc_sid", "s1")) == 1
    assert await site.whose(moved or "") is None


async def test_tagged_login_under_way(site: Site) -> None:
    """A login with a tag that was noted before the tag was revoked does not survive."""
    session = site.begin()
    session.login("ann", tags={"oidc_sid": "s1"})
    assert await site.manager.revoke(tag=("oidc_sid", "s1")) == 0
    await site.manager.commit(session)
    assert await site.manager.sessions_of("ann") == []


async def test_revoke_asks_for_one_thing(site: Site) -> None:
    """Revoking nothing, or two things at once, is refused."""
    with pytest.raises(TypeError, match="public id, or tag"):
        await site.manager.revoke()
    with pytest.raises(TypeError, match="public id, or tag"):
        await site.manager.revoke("0" * 64, tag=("a", "b"))


async def test_renewed_session_is_revoked_by_its_former_public_id(tmp_path: Path) -> None:
    """A public id from a list still ends the session when its id was renewed meanwhile."""
    async with opened("memory", tmp_path, renewal_interval=60) as site:
        cookie = await site.login("ann")
        [before] = await site.manager.sessions_of("ann")
        clock_of(site).advance(61)
        renewed = await site.run(lambda session: session.get("x"), cookie)
        assert renewed != cookie
        assert await site.manager.revoke(before.public_id) == 1
        assert await site.whose(renewed or "") is None
        assert await site.whose(cookie) is None


async def test_renewal_keeps_the_spared_session(tmp_path: Path) -> None:
    """The session that stays is known by its new id when it was renewed after it was loaded."""
    async with opened("memory", tmp_path, renewal_interval=60) as site:
        cookie = await site.login("ann")
        mine = site.begin(cookie)
        await site.manager.load(mine)
        clock_of(site).advance(61)
        renewed = await site.run(lambda session: session.get("x"), cookie)
        assert await site.manager.revoke_all("ann", except_=mine) == 0
        assert await site.whose(renewed or "") == "ann"


async def test_a_list_does_not_count_a_renewal_twice(site: Site) -> None:
    """A renewal that was interrupted shows one session and not two: the one whose id the browser has."""
    await site.login("ann")
    [(key, record)] = await site.manager.store.find("ann")  # type: ignore[union-attr]
    contents = unpack(record.payload, site.manager.engine.serializer)
    contents.previous = key
    payload = pack(contents, site.manager.engine.serializer)
    await site.manager.engine.storage.server.create(
        "f" * 64, record._replace(payload=payload), now=site.manager.clock()
    )
    assert [info.public_id for info in await site.manager.sessions_of("ann")] == [key]


async def test_export_and_erase(site: Site) -> None:
    """All that is kept of a subject can be handed out, and deleted so that a scan finds no trace of the name."""
    await site.run(
        steps(lambda session: session.login("ann", tags={"sid": "s1"}), lambda session: session.update(cart=["tea"]))
    )
    await site.login("bob", tags={"sid": "s1"})
    [exported] = await site.manager.export("ann")
    assert exported["data"] == {"cart": ["tea"]}
    assert exported["tags"] == {"sid": "s1"}
    assert await site.manager.erase("ann") == 1
    assert await site.manager.export("ann") == []
    page, _ = await site.manager.store.scan(None, 100)  # type: ignore[union-attr]
    assert b"ann" not in b"".join(record.payload for _, record in page)
    assert await site.manager.revoke(tag=("sid", "s1")) == 1  # bob's is still found


async def test_devices(tmp_path: Path) -> None:
    """Where the application asks for it, a list says the browser in a few words and a truncated address."""
    async with opened("memory", tmp_path, devices=True) as site:
        session = site.begin()
        state_of(session).context = {"headers": [(b"user-agent", FIREFOX.encode())], "client": ("203.0.113.77", 4711)}
        session.login("ann")
        await site.manager.commit(session)
        [info] = await site.manager.sessions_of("ann")
        assert (info.device, info.address) == ("Firefox 141 on Ubuntu", "203.0.113.0/24")
        assert info.user_agent == FIREFOX


@pytest.mark.parametrize(
    ("policy", "address", "known"),
    [
        (DevicePolicy(), "203.0.113.77", "203.0.113.0/24"),
        (DevicePolicy(), "2001:db8:1:2::3", "2001:db8:1::/48"),
        (DevicePolicy(), "::ffff:203.0.113.77", "203.0.113.0/24"),
        (DevicePolicy(ipv4_bits=32), "203.0.113.77", "203.0.113.77"),
        (DevicePolicy(ipv4_bits=0), "203.0.113.77", None),
        (DevicePolicy(), "testclient", None),
    ],
)
def test_addresses_are_truncated(policy: DevicePolicy, address: str, known: str | None) -> None:
    """Of an address only as many bits are kept as the policy says."""
    assert policy.describe({"headers": [], "client": (address, 1)}).get("address") == known


@pytest.mark.parametrize("wrong", [{"ipv4_bits": 33}, {"ipv6_bits": -1}, {"ipv4_bits": True}])
def test_impossible_truncation_is_refused(wrong: dict[str, Any]) -> None:
    """More bits than an address has are refused at construction."""
    with pytest.raises(ValueError, match="bits"):
        DevicePolicy(**wrong)


@pytest.mark.parametrize(
    ("agent", "words"),
    [(FIREFOX, "Mozilla/5.0"), ("shop-app/7.2 (iPhone)", "shop-app/7.2"), (" ", "unknown"), ("", "unknown")],
)
def test_devices_without_the_parser(agent: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the optional parser is not installed, the first product of a user agent stands for it."""
    monkeypatch.setitem(sys.modules, "ua_parser", None)
    assert summary.__wrapped__(agent) == words


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox 141 on Ubuntu"),
        ("shop-app/7.2 (iPhone)", "Mobile Safari UI/WKWebView on iOS"),
        ("x", "x"),
        ("curl/8.1", "curl 8"),
    ],
)
def test_devices_with_the_parser(agent: str, words: str) -> None:
    """A user agent is put into a few words; one that nobody knows stands for itself."""
    assert summary(agent) == words


async def test_cookie_sessions_are_refused_in_words() -> None:
    """What only the client holds cannot be listed or ended by the server, and the error says what to use."""
    manager = SessionManager("cookie:", secret=generate_secret(), dev=False)
    with pytest.raises(LimpetError, match="use a store such as"):
        await manager.sessions_of("ann")
    with pytest.raises(ValueError, match="max_sessions needs a store"):
        SessionManager("cookie:", secret=generate_secret(), policy=SessionPolicy(max_sessions=3))


async def test_a_mark_is_no_session(site: Site) -> None:
    """The records that revocation leaves can be neither opened nor ended as sessions, and stay."""
    await site.manager.revoke_all("ann")
    page, _ = await site.manager.store.scan(None, 100)  # type: ignore[union-attr]
    assert len(page) == 2  # the subject's, and the journal
    assert [await site.manager.revoke(key) for key, _ in page] == [0, 0]
    assert await site.manager.revoke_everyone() == 0
    assert None not in [await site.manager.store.load(key) for key, _ in page]  # type: ignore[union-attr]
    assert events.CorruptRecord not in [type(event) for event in site.heard]
