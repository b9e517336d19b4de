"""Which store a Flask application has: its own setting, and those of Flask-Session. Requests on threads count."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import flask
import pytest
import redis
from cachelib import FileSystemCache, SimpleCache
from flask_sqlalchemy import SQLAlchemy

from limpet import ConfigurationError
from limpet.adapters.flask import Limpet, session
from limpet.adapters.flask._settings import redis_url as url_of_redis
from limpet.serializers.json import JSONSerializer
from limpet.stores import FileStore, RedisStore, SQLiteStore
from tests.adapters.flask_site import SECRET
from tests.wsgi.test_threads import url_of

Configure = Callable[[flask.Flask], None]


def make_app(config: dict[str, Any]) -> flask.Flask:
    """Return an application that counts."""
    app = flask.Flask("stores")
    app.config.update(SECRET_KEY=SECRET, PROPAGATE_EXCEPTIONS=True, **config)

    @app.route("/count")
    def count() -> str:
        return str(session.increment("n"))

    return app


def store_of(app: flask.Flask) -> Any:
    """Return the store of an application."""
    with app.app_context():
        return app.extensions["limpet"].manager.store


def counted(app: flask.Flask) -> list[str]:
    """Return what a browser is answered three times."""
    browser = app.test_client()
    return [browser.get("/count").text for _ in range(3)]


def test_its_own_setting(tmp_path: Path) -> None:
    """``LIMPET_STORE`` of the configuration goes before Flask-Session's."""
    app = make_app({"LIMPET_STORE": f"sqlite:///{tmp_path}/own.db", "SESSION_TYPE": "redis"})
    Limpet(app)
    assert counted(app) == ["1", "2", "3"]
    assert isinstance(store_of(app), SQLiteStore)
    assert (tmp_path / "own.db").exists()


def test_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the configuration says nothing, the environment does, as for every manager."""
    monkeypatch.setenv("LIMPET_STORE", f"sqlite:///{tmp_path}/env.db")
    app = make_app({})
    Limpet(app)
    assert counted(app) == ["1", "2", "3"]


def test_nothing_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sessions are kept in memory in silence; the error lists three URLs."""
    monkeypatch.delenv("LIMPET_STORE", raising=False)
    app = make_app({})
    Limpet(app)
    with pytest.raises(ConfigurationError, match=r"sqlite:///sessions\.db"):
        counted(app)


def test_redis(redis_url: str, redis_prefix: str) -> None:
    """The server of Flask-Session's client, under a prefix that Flask-Session's own records have not."""
    with redis.Redis.from_url(redis_url) as client:
        app = make_app(
            {"SESSION_TYPE": "redis", "SESSION_REDIS": client, "SESSION_KEY_PREFIX": f"{redis_prefix}session:"}
        )
        Limpet(app)
        assert counted(app) == ["1", "2", "3"]
        assert isinstance(store_of(app), RedisStore)
        assert list(client.scan_iter(match=f"{redis_prefix}session:limpet:*"))
    with app.app_context():
        app.extensions["limpet"].manager.blocking.shutdown()


@pytest.mark.parametrize(
    ("client", "url"),
    [
        (redis.Redis(), "redis://localhost:6379/0?prefix=session%3Alimpet%3A"),
        (
            redis.Redis("db.example", 6380, db=3, username="ann", password="a:b@c"),
            "redis://ann:a%3Ab%40c@db.example:6380/3?prefix=session%3Alimpet%3A",
        ),
        (
            redis.Redis("db.example", ssl=True, password="pw"),
            "rediss://:pw@db.example:6379/0?prefix=session%3Alimpet%3A",
        ),
        (
            redis.Redis(unix_socket_path="/run/redis.sock"),
            "redis+unix:///run/redis.sock?db=0&prefix=session%3Alimpet%3A",
        ),
    ],
)
def test_where_a_client_of_redis_is(client: redis.Redis, url: str) -> None:
    """Host, port, database, login and TLS are taken from the client."""

    assert url_of_redis({"SESSION_REDIS": client}) == url


def test_files(tmp_path: Path) -> None:
    """Beside the folder of Flask-Session, whose cache deletes what it does not know."""
    for config in (
        {"SESSION_TYPE": "filesystem", "SESSION_FILE_DIR": str(tmp_path / "a")},
        {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": FileSystemCache(str(tmp_path / "b"))},
    ):
        app = make_app(config)
        Limpet(app)
        assert counted(app) == ["1", "2", "3"]
        assert isinstance(store_of(app), FileStore)
    assert (tmp_path / "a_limpet").is_dir()
    assert (tmp_path / "b_limpet").is_dir()


def test_sqlalchemy_with_sqlite(tmp_path: Path) -> None:
    """A file beside the database of the application, since a store has its file for itself."""
    app = make_app({"SESSION_TYPE": "sqlalchemy", "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/app.db"})
    app.config["SESSION_SQLALCHEMY"] = SQLAlchemy(app)
    with app.app_context():
        Limpet(app)
        assert counted(app) == ["1", "2", "3"]
        app.config["SESSION_SQLALCHEMY"].engine.dispose()
    assert isinstance(store_of(app), SQLiteStore)
    assert (tmp_path / "app.db.sessions").exists()


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"SESSION_TYPE": "memcached"}, "SESSION_TYPE='memcached' has no counterpart"),
        ({"SESSION_TYPE": "mongodb"}, "SESSION_TYPE='mongodb' has no counterpart"),
        ({"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": SimpleCache()}, "FileSystemCache"),
        ({"SESSION_TYPE": "sqlalchemy", "SQLALCHEMY_DATABASE_URI": "mysql://localhost/app"}, "not with mysql"),
        ({"SESSION_TYPE": "sqlalchemy", "SQLALCHEMY_DATABASE_URI": "sqlite://"}, "SQLite in a file"),
        ({"SESSION_TYPE": "redis", "SESSION_REDIS": object()}, "does not say where its server is"),
    ],
)
def test_other_types_are_refused_in_words(config: dict[str, Any], problem: str) -> None:
    """What cannot be done is said, with what to write instead."""
    app = make_app(config)
    Limpet(app)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        counted(app)
    assert "sqlite:///sessions.db" in str(caught.value)


def test_a_setting_that_cannot_work_is_the_only_error(caplog: pytest.LogCaptureFixture) -> None:
    """The page of the error goes out, and the log has no second error that hides the first."""
    app = make_app({"SESSION_TYPE": "memcached"})
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.register_error_handler(500, lambda error: (f"sorry: {error.original_exception}", 500))
    Limpet(app)
    answer = app.test_client().get("/count")
    assert (answer.status_code, answer.text.split(" has ")[0]) == (500, "sorry: SESSION_TYPE='memcached'")
    assert [record.message for record in caplog.records] == ["Exception on /count [GET]"]


def test_json_where_the_configuration_says_so(tmp_path: Path) -> None:
    """Records can be read by other tools, and keep their types."""
    app = make_app({"SESSION_SERIALIZATION_FORMAT": "json"})
    limpet = Limpet(app, "memory:")
    with app.app_context():
        assert isinstance(limpet.manager.engine.serializer, JSONSerializer)


@pytest.mark.parametrize("kind", ["memory", "sqlite", "file", "redis", "postgres"])
def test_requests_on_threads_all_count(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """One session, ten threads, fifty increments: fifty."""
    app = make_app({})
    limpet = Limpet(app, url_of(kind, request, tmp_path))
    browser = app.test_client()
    browser.get("/count")
    cookie = browser.get_cookie("session")
    assert cookie is not None

    def count(_: int) -> int:
        other = app.test_client()
        other.set_cookie("session", cookie.value)
        return other.get("/count").status_code

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(count, range(50))) == {200}
    assert browser.get("/count").text == "52"
    with app.app_context():
        limpet.manager.blocking.shutdown()
