"""Session interfaces of Nexios 3.12 as objects: as managers, and by hand, outside of a request."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from limpet import ConfigurationError, SessionEnded, StoreUnavailable, UnstorableValue
from limpet.adapters.nexios import (
    BaseSessionInterface,
    FileSessionManager,
    NexiosApp,
    Session,
    SessionConfig,
    SessionMiddleware,
    SignedSessionManager,
)
from limpet.adapters.nexios.session import session_objects
from tests.contract.nexios_visits import SECRET, counting, replay, visitor
from tests.kept import kept_in

OTHER = "Zk3v-8Qw1LrT5yXcB7nMp2aSd9fGh4jKe6uIo0_RtYE"


def with_middleware(*given: Any, **options: Any) -> NexiosApp:
    """Return a counting application with this middleware."""
    app = NexiosApp()
    app.add_middleware(SessionMiddleware(*given, **options))
    return counting(app)


def test_a_file_manager_is_an_object(tmp_path: Path) -> None:
    """``manager=FileSessionManager(SessionConfig(...))``: its folder, the middleware's cookie; with and without key."""
    for number, options in enumerate(({"secret_key": SECRET}, {})):
        folder = tmp_path / str(number)
        manager = FileSessionManager(SessionConfig(session_file_storage_path=str(folder), session_file_name="cart_"))
        app = with_middleware(SessionConfig(session_cookie_name="file_session"), manager, **options)
        one, other = visitor(app), visitor(app)
        assert [one.get("/").text, one.get("/").text, other.get("/").text] == ["1", "2", "1"]
        assert "file_session" in one.cookies
        assert len(list(folder.glob("cart_*.json"))) == 2
        one.get("/end")
        assert len(kept_in(f"file:{folder}?prefix=cart_")) == 1


def test_a_file_managers_own_config_is_used(tmp_path: Path) -> None:
    """Where nothing else is said, the cookie is as the manager's settings say."""
    config = SessionConfig(session_file_storage_path=str(tmp_path), session_cookie_name="mine", cookie_path="/")
    app = with_middleware(manager=FileSessionManager(config), secret_key=SECRET)
    assert visitor(app).get("/").headers["set-cookie"].startswith("mine=")


def test_a_signed_manager_brings_its_key() -> None:
    """``manager=SignedSessionManager(secret_key=...)`` needs no other key, and its key is the one that counts."""
    app = with_middleware(SessionConfig(session_cookie_name="s"), SignedSessionManager(secret_key=SECRET))
    browser = visitor(app)
    assert [browser.get("/").text, browser.get("/").text] == ["1", "2"]
    cookie = browser.cookies["s"]
    same = with_middleware(SessionConfig(session_cookie_name="s"), secret_key=SECRET)
    assert replay(same, cookie, name="s").json() == 2
    with_both = with_middleware(
        SessionConfig(session_cookie_name="s"), SignedSessionManager(secret_key=SECRET), secret_key=OTHER
    )
    assert replay(with_both, cookie, name="s").json() == 2


async def test_a_file_manager_reads_what_a_request_saved(tmp_path: Path) -> None:
    """Outside of a request, a session is loaded, changed, saved and forgotten by its key."""
    manager = FileSessionManager(SessionConfig(session_file_storage_path=str(tmp_path), session_expiration_time=60))
    app = with_middleware(manager=manager, secret_key=SECRET)

    @app.get("/key")
    async def key(req: Any, res: Any) -> Any:
        return res.text(req.session.get_session_key())

    browser = visitor(app)
    browser.get("/")
    name = browser.get("/key").text
    session = manager.create_session(name)
    assert [isinstance(session, kind) for kind in (Session, session_objects.Session)] == [True, True]
    assert (session.session_key, session.modified, session.accessed, session.deleted) == (name, False, False, False)
    await session.load()
    assert (dict(session), session.modified) == ({"visits": 1}, False)
    session["visits"] = 10
    assert session.should_set_cookie
    assert await session.save() == name
    assert not session.modified
    assert browser.get("/").text == "11"
    await session.load()
    session.clear()
    assert (session.deleted, session.is_empty()) == (True, True)
    await session.save()
    assert list(tmp_path.glob("*.json")) == []
    assert browser.get("/peek").json() is None


async def test_the_folder_is_made_with_the_first_session(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The store makes it, and logs that it was missing; an object that is only made makes no folder."""
    manager = FileSessionManager(SessionConfig(session_file_storage_path=str(tmp_path / "a" / "b")))
    assert not (tmp_path / "a").exists()
    with caplog.at_level(logging.INFO, "limpet"):
        await manager.create_session().save()
    assert Path(manager.storage_path).stat().st_mode & 0o777 == 0o700
    assert [each.getMessage() for each in caplog.records] == [
        f"the folder {manager.storage_path} did not exist, and was made for the sessions"
    ]


async def test_a_file_manager_makes_sessions_of_its_own(tmp_path: Path) -> None:
    """A new session gets a key when it is saved; keys of any text work, and none of them is a path."""
    manager = FileSessionManager(SessionConfig(session_file_storage_path=str(tmp_path / "a" / "b")))
    session = manager.create_session()
    assert session.session_key is None
    session.set("n", [1, {"a": datetime(2030, 1, 1, tzinfo=UTC)}])
    name = await session.save()
    again = manager.create_session(name)
    await again.load()
    assert again["n"] == [1, {"a": datetime(2030, 1, 1, tzinfo=UTC)}]
    for text in ("../../escape", "/etc/passwd", "x" * 500, "käse"):
        odd = session_objects.Session(manager, text)
        odd["text"] = text
        assert await odd.save() == text
        back = session_objects.Session(manager, text)
        await back.load()
        assert back["text"] == text
        assert Path(manager._get_file_path(text)).parent == tmp_path / "a" / "b"
    assert {path.parent for path in tmp_path.rglob("*.json")} == {tmp_path / "a" / "b"}
    damaged = Path(manager._get_file_path("damaged"))
    damaged.write_text("no JSON")
    lost = manager.create_session("damaged")
    await lost.load()
    assert lost.is_empty()
    lost["found"] = 1
    await lost.save()
    await lost.load()
    assert lost["found"] == 1
    session["thing"] = object()
    with pytest.raises(UnstorableValue, match="thing"):
        await session.save()


async def test_what_stands_beside_the_data_stays(tmp_path: Path) -> None:
    """Saving a session by hand keeps whose it is, so that it is still found and revoked."""
    manager = FileSessionManager(SessionConfig(session_file_storage_path=str(tmp_path)))
    app = with_middleware(manager=manager, secret_key=SECRET)

    @app.get("/login")
    async def login(req: Any, res: Any) -> Any:
        req.session.login("ann")
        return res.text("hello")

    browser = visitor(app)
    browser.get("/login")
    (listed,) = await app.session_manager.sessions_of("ann")
    session = manager.create_session(listed.public_id)
    await session.load()
    session["note"] = 1
    await session.save()
    assert len(await app.session_manager.sessions_of("ann")) == 1
    with browser.session() as seen:
        assert (seen.subject, seen["note"]) == ("ann", 1)


async def test_a_session_that_was_ended_is_not_brought_back(tmp_path: Path) -> None:
    """A worker that loaded a session before its logout cannot save it afterwards, and may forget it."""
    manager = FileSessionManager(SessionConfig(session_file_storage_path=str(tmp_path)))
    app = with_middleware(manager=manager, secret_key=SECRET)
    browser = visitor(app)
    browser.get("/")
    cookie = browser.cookies["session_id"]
    with browser.session() as seen:
        key = seen.public_id
    session = manager.create_session(key)
    await session.load()
    session["note"] = 1
    browser.get("/end")
    with pytest.raises(SessionEnded, match="create_session"):
        await session.save()
    session.clear()
    await session.save()
    assert replay(app, cookie).json() is None
    late = manager.create_session(key)
    late["note"] = 1
    with pytest.raises(SessionEnded):
        await late.save()
    manager.clock = lambda: int((datetime.now(UTC) + timedelta(seconds=61)).timestamp() * 1000)
    await late.save()  # by then nobody has that id any more, and the key is as good as any
    await late.load()
    assert late["note"] == 1


async def test_a_lifetime_of_ones_own(tmp_path: Path) -> None:
    """A session that stands alone ends when it was told to, and is gone for the store then."""
    manager = FileSessionManager(SessionConfig(session_file_storage_path=str(tmp_path), session_expiration_time=60))
    session = manager.create_session("a")
    assert 59 <= session.get_expiry_age() <= 60
    assert not session.has_expired()
    session.set_expiry(timedelta(seconds=20))
    assert 19 <= session.get_expiry_age() <= 20
    session["n"] = 1
    await session.save()
    again = manager.create_session("a")
    await again.load()
    assert again["n"] == 1
    manager.clock = lambda: int((datetime.now(UTC) + timedelta(seconds=21)).timestamp() * 1000)
    await again.load()
    assert again.is_empty()
    session.set_expiration_time(datetime.now(UTC) - timedelta(seconds=1))
    assert session.has_expired()
    with pytest.raises(ConfigurationError, match="zone"):
        session.set_expiration_time(datetime(2030, 1, 1))


async def test_a_busy_file_is_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When others write the same session again and again, saving it by hand gives up with `StoreUnavailable`."""
    manager = FileSessionManager(SessionConfig(session_file_storage_path=str(tmp_path)))
    session = manager.create_session("a")
    session["n"] = 1
    await session.save()
    store = manager._store
    current = await store.load(Path(manager._get_file_path("a")).stem)

    async def update(*args: Any, **kwargs: Any) -> Any:
        return current

    monkeypatch.setattr(store, "update", update)
    with pytest.raises(StoreUnavailable, match="all the time"):
        await session.save()


async def test_a_signed_manager_alone() -> None:
    """It seals and opens what a cookie holds, and gives nothing for what was changed, forged or has expired."""
    manager = SignedSessionManager(SessionConfig(session_expiration_time=60), secret_key=SECRET)
    token = manager.sign_session_data({"user": 1})
    assert manager.verify_session_data(token) == {"user": 1}
    for bad in (
        None,
        "",
        "no.token",
        token[:-2] + "AA",
        SignedSessionManager(secret_key=OTHER).sign_session_data({"a": 1}),
    ):
        assert manager.verify_session_data(bad) == {}
    session = manager.create_session()
    session["user"] = 2
    key = await session.save()
    assert session.session_key == key
    assert key not in repr(session)
    back = manager.create_session(key)
    await back.load()
    assert dict(back) == {"user": 2}
    back.clear()
    emptied = await back.save()
    assert emptied == ""
    manager.clock = lambda: int((datetime.now(UTC) + timedelta(seconds=61)).timestamp() * 1000)
    assert manager.verify_session_data(token) == {}


def test_a_signed_manager_reads_the_middlewares_cookie() -> None:
    """The cookie of a request, read elsewhere: the values in it, if name and key are the same."""
    app = with_middleware(secret_key=SECRET)
    browser = visitor(app)
    browser.get("/")
    cookie = browser.cookies["session_id"]
    assert SignedSessionManager(secret_key=SECRET).verify_session_data(cookie) == {"visits": 1}
    named = SignedSessionManager(SessionConfig(session_cookie_name="other"), secret_key=SECRET)
    assert named.verify_session_data(cookie) == {}


class Kept(BaseSessionInterface):
    """A backend as 3.12 has them: one object, sessions as arguments."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.rows: dict[str, str] = {}

    async def load(self, session: Any) -> None:  # type: ignore[override]
        session._session_cache = json.loads(self.rows.get(session.get_session_key(), "{}"))

    async def save(self, session: Any) -> str:  # type: ignore[override]
        key = str(session.get_session_key())
        if session.deleted:
            self.rows.pop(key, None)
            return ""
        self.rows[key] = json.dumps(session._session_cache)
        session.session_key = key
        return key


def test_a_backend_object_of_ones_own() -> None:
    """``manager=Kept()`` keeps visitors apart, ends sessions, and takes the cookie's settings that it was made with."""
    backend = Kept(SessionConfig(session_cookie_name="kept"))
    app = with_middleware(manager=backend)
    one, other = visitor(app), visitor(app)
    assert [one.get("/").text, one.get("/").text, other.get("/").text] == ["1", "2", "1"]
    assert "kept" in one.cookies
    assert sorted(json.loads(row)["visits"] for row in backend.rows.values()) == [1, 2]
    one.get("/end")
    assert one.get("/peek").json() is None
    assert len(backend.rows) == 1


async def test_a_backend_object_alone() -> None:
    """The same object, by hand: what one session saves another loads, and its settings can be asked."""
    backend = Kept()
    first = backend.create_session()
    first.update({"a": 1, "b": [2]})
    assert (set(first), len(first), "a" in first, first.get("c", 3)) == ({"a", "b"}, 2, True, 3)
    key = await first.save()
    second = session_objects.Session(backend, key)
    await second.load()
    del second["a"]
    assert (dict(second.get_all()), second.modified, second.deleted) == ({"b": [2]}, True, False)
    assert second.interface is backend
    assert [
        backend.get_cookie_name(),
        backend.get_cookie_domain(),
        backend.get_cookie_path(),
        backend.get_cookie_httponly(),
        backend.get_cookie_secure(),
        backend.get_cookie_samesite(),
        backend.get_cookie_partitioned(),
    ] == ["session_id", None, "/", True, False, "lax", False]


def test_an_object_for_one_session_is_refused_as_a_manager() -> None:
    """A backend whose ``load`` takes no session belongs to one session: the class is meant, and the error says so."""

    class One(BaseSessionInterface):
        async def load(self) -> None: ...

        async def save(self) -> None: ...

    app = with_middleware(manager=One("key"), secret_key=SECRET)
    with pytest.raises(ConfigurationError, match="manager=One"):
        app.session_manager  # noqa: B018 - reading it is the test
