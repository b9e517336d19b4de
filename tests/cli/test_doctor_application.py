"""``limpet doctor --app``: the settings that an application gives in code, and clocks."""

from __future__ import annotations

import itertools
import json
import re
import time

import pytest
from django.test import override_settings

from limpet.cli._clocks import apart
from limpet.contract import Record
from limpet.stores.sqlite import SQLiteStore
from tests.cli.running import Shell, in_process_of_its_own
from tests.cli.test_copy import using
from tests.django_site import migrated
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer
from tests.site import Site

NUMBER = itertools.count()
GOOD = """
from limpet import SessionManager
manager = SessionManager("sqlite:///data/s.db", secret={secret!r}, dev=False)
"""
CARELESS = """
from datetime import timedelta
from limpet import CookiePolicy, SessionManager, SessionPolicy
from limpet.asgi import SessionMiddleware

policy = SessionPolicy(
    idle_timeout=None, absolute_timeout=None, remember=timedelta(days=1000), on_load_error="anonymous",
    renewal_interval=0.5,
)
cookie = CookiePolicy(secure=False, http_only=False, domain="example.com")
manager = SessionManager("memory:", policy=policy, cookie=cookie, dev=False)

async def site(scope, receive, send):
    raise RuntimeError(scope["type"])

app = SessionMiddleware(site, manager)
two = SessionMiddleware(SessionMiddleware(site, SessionManager("memory:", label="b", dev=False)), manager)
number = 5
"""


def written(shell: Shell, text: str) -> str:
    """Write an application's module and return its name, which no other test has imported."""
    name = f"shop_{next(NUMBER)}"
    (shell.folder / f"{name}.py").write_text(text)
    return name


BOUND = """
from limpet import CookiePolicy, SessionManager
from limpet.bound import BoundPolicy
bound = BoundPolicy(proof_lasts=60, required=True, skipped_grace=30, logins="remembered")
manager = SessionManager(
    "memory:", secret="q8ZJ4m1xYb7Lr2Tn9Vc5Kd3Wf6Hs0Pg4", bound=bound, cookie=CookiePolicy(path="/shop"), dev=False
)
"""


def test_sessions_that_are_bound_to_devices(shell: Shell) -> None:
    found = shell.diagnose("--app", f"{written(shell, BOUND)}:manager")
    assert found.fixes == []
    assert found.says("fine", "device").startswith("some logins are bound to their device")
    notes = " ".join(each["says"] for each in found.findings if each["level"] == "note" and each["about"] == "device")
    for word in ("required=True", "proof_lasts is 1 min", "skipped_grace", "/shop"):
        assert word in notes


def test_a_good_application(shell: Shell) -> None:
    """Secret, store, deadlines and cookie of the manager itself; nothing to fix, and the environment has no say."""
    module = written(shell, GOOD.format(secret="q8ZJ4m1xYb7Lr2Tn9Vc5Kd3Wf6Hs0Pg4"))
    shell.set(LIMPET_STORE="redis://127.0.0.1:1", LIMPET_SECRET="weak")
    shell.run("migrate", "--store", "sqlite:///data/s.db")
    found = shell.diagnose("--app", f"{module}:manager")
    assert found.fixes == []
    assert found.says("fine", "store").startswith(f"a SQLiteStore, from {module}:manager")
    assert "written, read back and deleted" in found.says("fine", "store")
    assert "the application has a secret" in found.says("fine", "secret")
    assert found.says("fine", "policy") == "idle_timeout 1 d, absolute_timeout 14 d"
    assert "; Secure" in found.says("fine", "cookie")


def test_a_careless_one(shell: Shell) -> None:
    """Each setting that is dangerous is named with what to set; through the application as through its manager."""
    module = written(shell, CARELESS)
    for name in ("manager", "app"):
        found = shell.diagnose("--app", f"{module}:{name}")
        assert found.code == 1
        fixes = "\n".join(found.fixes)
        for words in ("idle_timeout and absolute_timeout are None", "secure=False", "http_only=False"):
            assert words in fixes
        notes = found.says("note", "policy")
        for words in ("remember is 1,000 d", "on_load_error", "up to 181 records"):
            assert words in notes
        assert "domain='example.com'" in found.says("note", "cookie")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none_such:manager", "No module named 'none_such'"),
        ("{module}:none", "has no attribute 'none'"),
        ("{module}:number", "is a int, no SessionManager nor an application with one"),
        ("{module}:two", "but an application with 2"),
        ("{module}", "names no manager: write --app module:attribute"),
    ],
)
def test_what_is_no_manager(shell: Shell, name: str, words: str) -> None:
    """One sentence on standard error, exit code 1, no traceback."""
    module = written(shell, CARELESS)
    done = shell.run("doctor", "--app", name.format(module=module))
    assert done.exit_code == 1
    assert words in done.stderr
    assert shell.run("doctor", "--app", f"{module}:manager", "--store", "memory:").exit_code == 2


def test_from_a_shell(shell: Shell) -> None:
    """The folder where the command runs is where modules are looked for."""
    module = written(shell, CARELESS)
    done = in_process_of_its_own("doctor", "--app", f"{module}:app", "--json", folder=shell.folder)
    assert done.returncode == 1
    assert json.loads(done.stdout)["ok"] is False


def test_clocks_of_servers(shell: Shell, own_valkey: ValkeyServer, own_postgres: PostgresServer) -> None:
    """The server's clock is compared with this host's, in Redis and in PostgreSQL."""
    for url in (own_valkey.url, own_postgres.url):
        assert "and this host's agree to" in shell.diagnose("--store", url).says("fine", "clock")


def test_a_clock_that_is_wrong(shell: Shell, monkeypatch: pytest.MonkeyPatch, own_valkey: ValkeyServer) -> None:
    """Ten seconds are a note, two minutes are to be fixed."""
    real = time.time_ns
    for seconds, level in ((10, "note"), (-120, "fix")):
        monkeypatch.setattr("limpet.cli._clocks._now", lambda by=seconds: real() // 1_000_000 + by * 1000)
        found = shell.diagnose("--store", own_valkey.url)
        said = found.says(level, "clock")
        assert f"{abs(seconds)}.0 s {'behind' if seconds > 0 else 'ahead of'} this host's" in said
        assert "NTP" in said
    assert apart("it", 2_400, 500).level == "fine", "what the question took may be the difference"


def test_a_host_that_is_ahead(shell: Shell) -> None:
    """A record from the future tells of another host whose clock is wrong."""

    async def write(site: Site) -> None:
        store = site.manager.store
        assert isinstance(store, SQLiteStore)
        ahead = time.time_ns() // 1_000_000 + 90_000
        await store.create("0" * 64, Record(1, b"x", ahead, ahead + 1000), now=ahead)

    using("sqlite:///s.db", write)
    found = shell.diagnose("--store", "sqlite:///s.db")
    said = found.says("fix", "clock")  # some seconds have passed since it was written
    assert re.search(
        r"^the clock of a host that has written to the store is (90\.0|8\d\.\d) s ahead of this host's", said
    )


MOVING = """
from datetime import date
from limpet import SessionManager
from limpet.importers import FlaskCookies, StarletteCookies
manager = SessionManager("memory:", dev=False, importers=[
    StarletteCookies("the old one", until=date(2130, 1, 31)), FlaskCookies("another", until=date(2020, 1, 31)),
])
"""


def test_sessions_that_move_in(shell: Shell) -> None:
    """Until when, or that nothing is read any more; and what to set beside a secret that is added."""
    found = shell.diagnose("--app", f"{written(shell, MOVING)}:manager")
    assert found.says("fine", "importer") == "sessions of starlette are taken over until 2130-01-31"
    assert found.says("note", "importer").startswith("sessions of flask are not read since 2020-01-31: choose a later")
    assert "LIMPET_UNSIGNED_UNTIL" in found.says("note", "secret")


def test_the_cookie_of_django(shell: Shell) -> None:
    """Django's settings say what it is like, and are named; the manager's own policy has no part in it."""
    migrated()
    careless = {
        "SESSION_COOKIE_SECURE": False,
        "SESSION_COOKIE_HTTPONLY": False,
        "SESSION_COOKIE_DOMAIN": "example.com",
        "SESSION_COOKIE_NAME": "shop",
    }
    good = {"SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_PATH": "/shop", "SESSION_COOKIE_SAMESITE": "Strict"}
    ours = {"store": "memory:"}
    with override_settings(LIMPET=ours, **careless):
        found = shell.diagnose("--app", "limpet.adapters.django:manager", "--url", "https://example.com/")
    fixes = "\n".join(found.fixes)
    for words in ("set SESSION_COOKIE_SECURE=True", "set SESSION_COOKIE_HTTPONLY=True"):
        assert words in fixes
    assert "SESSION_COOKIE_DOMAIN='example.com'" in found.says("note", "cookie")
    assert found.says("fine", "cookie") == "shop; SameSite=Lax; Domain=example.com; Path=/"
    assert found.says("fine", "mode") == "production"
    with override_settings(LIMPET=ours, **good):
        found = shell.diagnose("--app", "limpet.adapters.django:manager", "--url", "https://example.com/")
    assert found.says("fine", "cookie") == "sessionid; Secure; HttpOnly; SameSite=Strict; Path=/shop"
    assert found.says("fine", "mode") == "production: cookies are Secure"
    assert "is not sent to /" in "\n".join(found.fixes)
    with override_settings(LIMPET={**ours, "label": "x"}):
        done = shell.run("doctor", "--app", "limpet.adapters.django:manager")
    assert done.exit_code == 1
    assert "SESSION_COOKIE_* settings say what the cookie is like" in done.stderr


FRAMEWORKS = """
import aiohttp.web, flask, litestar
from django.conf import settings
from limpet import SessionManager
from limpet.adapters import aiohttp as ours
from limpet.adapters.flask import Limpet
from limpet.adapters.litestar import SessionPlugin
from limpet.wsgi import SessionMiddleware

SECRET = "q8ZJ4m1xYb7Lr2Tn9Vc5Kd3Wf6Hs0Pg4"
flask_app = flask.Flask("shop")
flask_app.secret_key = SECRET
extension = Limpet(flask_app, "memory:")

served = aiohttp.web.Application()
ours.setup(served, SessionManager("memory:", secret=SECRET, dev=False))

def page(environ, start_response):
    return []

wsgi_app = SessionMiddleware(page, SessionManager("memory:", secret=SECRET, dev=False))
litestar_app = litestar.Litestar(plugins=[SessionPlugin(SessionManager("memory:", secret=SECRET, dev=False))])

def make(config=None):
    return flask_app

def broken():
    return {}["no such setting"]
"""


@pytest.mark.parametrize(
    "name",
    ["flask_app", "extension", "extension.manager", "served", "wsgi_app", "litestar_app", "make"],
)
def test_applications_of_other_kinds(shell: Shell, name: str) -> None:
    """Each is asked for its manager in its own way; what a Flask extension says needs no request for it."""
    found = shell.diagnose("--app", f"{written(shell, FRAMEWORKS)}:{name}")
    assert found.says("fine", "store").startswith("a MemoryStore") or found.says("note", "store")
    assert any(each["about"] == "policy" for each in found.findings)


def test_a_function_that_raises(shell: Shell) -> None:
    """One sentence says what and where, and no traceback does."""
    done = shell.run("doctor", "--app", f"{written(shell, FRAMEWORKS)}:broken")
    assert done.exit_code == 1
    assert re.search(r"KeyError: 'no such setting' \(.*shop_\d+\.py, line \d+\)", done.stderr)
    assert "Traceback" not in done.stderr
