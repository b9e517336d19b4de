"""Nexios, third generation: the file backend, and backends of one's own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from limpet import ConfigurationError
from limpet.adapters.nexios import MakeConfig, NexiosApp, SessionMiddleware
from limpet.adapters.nexios.session import SessionConfig
from limpet.adapters.nexios.session.base import BaseSessionInterface
from limpet.adapters.nexios.session.file import FileSessionInterface
from tests.contract.nexios_visits import SECRET, configured, cookie_lines, counting, replay, turn_clock, visitor
from tests.kept import kept_in


class FakeRedis:
    """What a backend needs of a Redis client: text with a life, gone when the clock says so."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[float, str]] = {}
        self.now = 0.0
        self.broken = False

    def get(self, name: str) -> str | None:
        if self.broken:
            raise ConnectionResetError("gone")
        ends, text = self.rows.get(name, (0.0, ""))
        return text if ends > self.now else None

    def setex(self, name: str, seconds: int, text: str) -> None:
        assert type(seconds) is int
        self.rows[name] = self.now + seconds, text


@pytest.fixture
def backend() -> Any:
    """Return a class of the documented kind: both methods async, no key for a new visitor."""

    class Remote(BaseSessionInterface):
        redis: ClassVar[FakeRedis] = FakeRedis()
        made_with: ClassVar[list[str | None]] = []

        def __init__(self, session_key: str | None = None) -> None:
            super().__init__(session_key)
            self.made_with.append(session_key)

        async def load(self) -> None:
            await asyncio.sleep(0)  # as a driver does, which lets other requests run
            if self.session_key and (text := self.redis.get(f"visit:{self.session_key}")):
                self._data = json.loads(text)

        async def save(self) -> None:
            if not self.session_key:
                self.session_key = self.generate_sid()
            await asyncio.sleep(0)
            self.redis.setex(f"visit:{self.session_key}", self.get_expiry_age(), json.dumps(self._data))
            self.modified = False

    return Remote


def test_n0_24_file_directory(tmp_path: Path) -> None:
    """`session_file_storage_path` is the folder that gets the files; it is made for this user alone."""
    folder = tmp_path / "deep" / "er"
    folder.parent.mkdir()
    visitor(configured(manager=FileSessionInterface, session_file_storage_path=str(folder))).get("/")
    assert [path.suffix for path in folder.iterdir()] == [".json"]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_n0_24b_default_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is ``sessions`` unless said otherwise."""
    monkeypatch.chdir(tmp_path)
    visitor(configured(manager=FileSessionInterface)).get("/")
    assert len(list((tmp_path / "sessions").glob("*.json"))) == 1


def test_n0_25_file_prefix(tmp_path: Path) -> None:
    """`session_file_name` is what each file's name begins with; a folder with signs of a URL in its name is one too."""
    folder = tmp_path / "100% of ?sessions#"
    options = {"session_file_storage_path": folder, "session_file_name": "visit_"}
    app = configured(manager=FileSessionInterface, **options)
    for _ in range(2):
        visitor(app).get("/")
    names = [path.name for path in folder.iterdir()]
    assert len(names) == 2
    assert all(name.startswith("visit_") for name in names)


def test_n0_40_file_backend_keeps_data_on_the_server(tmp_path: Path) -> None:
    """The cookie holds an id of one length, whatever is stored; the data is in the file."""
    app = configured(manager=FileSessionInterface, session_dir=tmp_path / "s")

    @app.get("/tell")
    async def tell(req: Any, res: Any) -> Any:
        req.session["told"] = "x" * 500
        return res.text("ok")

    short, long = visitor(app), visitor(app)
    short.get("/")
    long.get("/tell")
    assert len(short.cookies["session_id"]) == len(long.cookies["session_id"])
    assert max(path.stat().st_size for path in (tmp_path / "s").iterdir()) > 500
    elsewhere = configured(manager=FileSessionInterface, session_dir=tmp_path / "other")
    assert replay(elsewhere, short.cookies["session_id"]).json() is None


def test_n0_41_file_sessions_can_be_ended_by_the_server(tmp_path: Path) -> None:
    """After `clear` the old cookie is dead, and no file holds a session."""
    app = configured(manager=FileSessionInterface, session_dir=tmp_path / "s")
    browser = visitor(app)
    browser.get("/")
    cookie = browser.cookies["session_id"]
    assert replay(app, cookie).json() == 1
    browser.get("/end")
    assert replay(app, cookie).json() is None
    assert kept_in(f"file:{tmp_path / 's'}") == []


def test_n0_42_file_sessions_may_be_large(tmp_path: Path) -> None:
    """100 kB are no matter for a file."""
    app = configured(manager=FileSessionInterface, session_dir=tmp_path / "s")

    @app.get("/hoard")
    async def hoard(req: Any, res: Any) -> Any:
        req.session.setdefault("hoard", "x" * 100_000)
        return res.text(str(len(req.session["hoard"])))

    browser = visitor(app)
    browser.get("/hoard")
    assert browser.get("/hoard").text == "100000"
    assert len(browser.cookies["session_id"]) < 200


def test_n0_44_a_backend_of_ones_own(backend: Any) -> None:
    """A class with ``load`` and ``save`` keeps sessions; what is stored is the handler's data, under a hashed key."""
    app = configured(manager=backend)
    first, second = visitor(app), visitor(app)
    assert [first.get("/").text, first.get("/").text, second.get("/").text] == ["1", "2", "1"]
    assert len(backend.redis.rows) == 2
    documents = [json.loads(text) for _, text in backend.redis.rows.values()]
    assert sorted(document["visits"] for document in documents) == [1, 2]
    assert not any(first.cookies["session_id"] in name for name in backend.redis.rows)
    assert backend.made_with.count(None) == 2, "an object without a key was made for each new visitor, and no other"


def test_n0_44b_a_backend_of_ones_own_can_end_sessions(backend: Any) -> None:
    """`clear` empties what the class keeps: the old cookie is dead, even to a request that is on its way."""
    app = configured(manager=backend)
    browser = visitor(app)
    browser.get("/")
    cookie = browser.cookies["session_id"]
    assert len(cookie_lines(browser.get("/end"))) == 1
    assert replay(app, cookie).json() is None
    assert [text for _, text in backend.redis.rows.values()] == ["{}"]


async def test_n0_44c_two_requests_of_one_process_both_count(backend: Any) -> None:
    """Requests at the same time on one session queue for such a class: no visit is lost."""
    app = configured(manager=backend)

    @app.get("/add/{name}")
    async def add(req: Any, res: Any) -> Any:
        req.session[req.path_params.name] = 1
        await asyncio.sleep(0)
        return res.json(sorted(req.session))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as browser:
        await browser.get("/")
        names = [f"key{number}" for number in range(8)]
        await asyncio.gather(*(browser.get(f"/add/{name}") for name in names))
        assert (await browser.get("/add/last")).json() == sorted([*names, "last", "visits"])


def test_n0_44d_an_outage_of_a_backend_is_a_503(backend: Any) -> None:
    """What the class's driver raises means that the service is away: 503 with Retry-After."""
    app = configured(manager=backend)
    browser = visitor(app)
    browser.get("/")
    backend.redis.broken = True
    response = browser.get("/")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert browser.get("/plain").status_code == 200
    backend.redis.broken = False
    assert browser.get("/").text == "2"


def test_n0_44e_damage_in_a_backend_is_no_session(backend: Any) -> None:
    """What a class cannot read is an anonymous session, and is put away."""
    app = configured(manager=backend)
    browser = visitor(app)
    browser.get("/")
    [name] = backend.redis.rows
    backend.redis.rows[name] = (1e12, '{"visits": 1')
    assert browser.get("/").text == "1"


def test_n0_44f_a_backend_that_keeps_only_what_it_knows() -> None:
    """A class that drops the engine's notes still keeps sessions: with its own expiry, which is all there is."""
    rows: dict[str | None, int] = {}

    class Columns(BaseSessionInterface):
        def load(self) -> None:
            if self.session_key in rows:
                self._data = {"visits": rows[self.session_key]}

        def save(self) -> None:
            self.session_key = self.session_key or self.generate_sid()
            if self._data:
                rows[self.session_key] = self._data["visits"]
            else:
                rows.pop(self.session_key, None)

    app = configured(manager=Columns)
    browser = visitor(app)
    assert [browser.get("/").text for _ in range(3)] == ["1", "2", "3"]
    browser.get("/end")
    assert rows == {}


def test_n0_44g_a_backend_as_the_framework_has_them_today() -> None:
    """A class whose ``load`` and ``save`` take the session, the shape of Nexios 3.12, works too."""
    rows: dict[str, dict[str, Any]] = {}

    class Today(BaseSessionInterface):
        async def load(self, session: Any) -> None:  # type: ignore[override]
            session._session_cache.update(rows.get(session.get_session_key(), {}))

        async def save(self, session: Any) -> str:  # type: ignore[override]
            key: str = session.get_session_key()
            if session.deleted:
                rows.pop(key, None)
                return ""
            rows[key] = session._session_cache
            return key

    app = configured(manager=Today)
    browser = visitor(app)
    assert [browser.get("/").text for _ in range(2)] == ["1", "2"]
    assert len(rows) == 1
    browser.get("/end")
    assert rows == {}


def test_n0_45_generate_sid() -> None:
    """`generate_sid` gives a new unguessable key each time."""
    base = BaseSessionInterface()
    keys = {base.generate_sid() for _ in range(50)}
    assert len(keys) == 50
    assert min(map(len, keys)) >= 43


def test_n0_45b_a_key_of_the_backends_own_making_is_refused() -> None:
    """A class that keeps a session where nobody will look for it is told so."""

    class Stubborn(BaseSessionInterface):
        def load(self) -> None:
            """Find nothing."""

        def save(self) -> None:
            self.session_key = "mine"

    with pytest.raises(ConfigurationError, match="a key of its own"):
        visitor(configured(manager=Stubborn)).get("/")


def test_n0_46_get_expiry_age(backend: Any) -> None:
    """`get_expiry_age` is 86,400 by default; in a session it is how long that one has to be kept, with some slack."""
    assert BaseSessionInterface().get_expiry_age() == 86_400
    visitor(configured(manager=backend, expiry=600)).get("/")
    [(ends, _)] = backend.redis.rows.values()
    assert 600 <= ends <= 660


def test_n0_46b_a_backend_that_never_forgets_still_expires(backend: Any) -> None:
    """The deadline is in the data too: a store that ignores it hands out no dead session."""
    app = configured(manager=backend, expiry=600)
    clock = turn_clock(app)
    browser = visitor(app)
    browser.get("/")
    clock.advance(599)
    assert browser.get("/peek").json() == 1
    clock.advance(600)
    assert browser.get("/peek").json() is None


def test_n0_47_state_of_a_backend() -> None:
    """A backend has ``session_key``, ``modified`` and ``_data``, and is a mapping over the latter."""
    base = BaseSessionInterface()
    assert (base.session_key, base.modified, base._data) == (None, False, {})
    base["name"] = "Ines"
    assert (base.modified, base._data, base.get_session("name")) == (True, {"name": "Ines"}, "Ines")
    base._session_cache = {"other": 1}
    assert (base._data, base.is_empty()) == ({"other": 1}, False)


def test_n0_47b_get_session_key(tmp_path: Path) -> None:
    """`get_session_key` is what the backend was made with; in a handler, the name under which the session is kept."""
    assert BaseSessionInterface("abc").get_session_key() == "abc"
    app = configured(manager=FileSessionInterface, session_dir=tmp_path / "s")

    @app.get("/key")
    async def key(req: Any, res: Any) -> Any:
        return res.json([req.session.session_key, req.session.get_session_key()])

    browser = visitor(app)
    browser.get("/")
    [path] = (tmp_path / "s").glob("*.json")
    assert browser.get("/key").json() == [path.stem, path.stem]


def test_n0_47c_a_manager_that_is_none_is_refused() -> None:
    """Something else than a backend is an error that lists what there is."""
    app = NexiosApp(config=MakeConfig(secret_key=SECRET, session=SessionConfig(manager=dict)))
    app.add_middleware(SessionMiddleware())
    with pytest.raises(ConfigurationError, match="FileSessionInterface"):
        counting(app).session_manager  # noqa: B018 - reading it is the test
