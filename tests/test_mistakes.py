"""Settings that people get wrong: each is refused where it is given, with a sentence that says what to write."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware

from limpet import ConfigurationError, CookiePolicy, Keyring, SessionManager, SessionPolicy
from limpet.adapters.fastapi import SessionMiddleware
from limpet.adapters.starlette.middleware.sessions import SessionMiddleware as DropIn
from limpet.bound import BoundPolicy
from limpet.keyring import Key, generate_secret
from limpet.serializers.json import JSONSerializer
from limpet.stores import CookieStore, MemoryStore, RedisStore, open_store
from limpet.testing import client
from limpet.transports import HeaderTransport

ONE, TWO = "kH7mZ2qN-4tRwXb9Yc1LfVs6DjPg8aUe0oTiQ5", "Cj5rUe9Wb-2mXpLy7Kt4NqZs1DhVg6Ra8oFiQ3"

SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"cookie": "sid"}, r"cookie='sid' cannot be used: write cookie=CookiePolicy\(name=\"sid\"\)"),
    ({"cookie": {"name": "sid"}}, r"cookie cannot be a dict: write cookie=CookiePolicy"),
    ({"cookie": CookiePolicy}, r"give an object of it, cookie=CookiePolicy\(\.\.\.\)"),
    ({"policy": {"idle_timeout": 60}}, r"policy cannot be a dict: write policy=SessionPolicy"),
    ({"policy": SessionPolicy}, r"policy=SessionPolicy\(\.\.\.\)"),
    ({"store": MemoryStore}, "such as an instance of that class"),
    ({"store": RedisStore}, "such as an instance of that class"),
    ({"store": {"url": "memory:"}}, "is no store: give a URL"),
    ({"transport": "header"}, r"write transport=HeaderTransport\("),
    ({"transport": HeaderTransport}, r"transport=HeaderTransport\(\.\.\.\)"),
    ({"serializer": "json"}, r"write serializer=MsgpackSerializer\(\)"),
    ({"serializer": JSONSerializer}, r"serializer=JSONSerializer\(\.\.\.\)"),
    ({"importers": 5}, r"write importers=\[FlaskCookies"),
    ({"importers": [object()]}, "is no importer"),
    ({"devices": "yes"}, "write devices=True"),
    ({"namespace": 5}, "write namespace="),
    ({"clock": 5}, "milliseconds since 1970"),
    ({"on_refused": "sorry.html"}, "returns a page"),
    ({"label": "a b"}, "such as admin"),
    ({"dev": "false"}, "dev='false' is neither True nor False"),
    ({"dev": 0}, "dev=0 is neither True nor False"),
    ({"encrypt": "no"}, "encrypt='no' is neither True nor False"),
    ({"short_ids": "no"}, "short_ids='no' is neither True nor False"),
    ({"secret": f"{ONE},{TWO}"}, "joined by commas"),
    ({"secret": f"{ONE}, {TWO}"}, "joined by commas"),
    ({"secret": [f"{ONE},{TWO}"]}, "joined by commas"),
    ({"secret": f"{ONE},"}, "joined by commas"),
]


@pytest.mark.parametrize(
    ("settings", "said"), SETTINGS, ids=[f"{number}-{next(iter(each))}" for number, (each, _) in enumerate(SETTINGS)]
)
def test_a_setting_of_another_kind(settings: dict[str, Any], said: str) -> None:
    """What is no such part, and a class in place of an object, is refused and not met by the first request."""
    given = {"store": "memory:", "dev": False, **settings}
    with pytest.raises(ConfigurationError, match=said) as caught:
        SessionManager(given.pop("store"), **given)
    assert ONE not in str(caught.value)


IN_COOKIE: list[tuple[dict[str, Any], str]] = [
    ({"policy": SessionPolicy(merge={"cart": "strict"})}, "merge has no effect .* not merged: the last response wins"),
    ({"policy": SessionPolicy(strict_merge=True)}, "strict_merge has no effect .* the last response wins"),
    ({"policy": SessionPolicy(renewal_interval=600)}, "renewal_interval has no effect .* no id to renew"),
    ({"policy": SessionPolicy(on_ended="raise")}, r"on_ended='raise' has no effect .* CookieStore\(revocation"),
    ({"policy": SessionPolicy(max_sessions=3)}, "max_sessions needs a store that finds sessions by subject"),
    ({"policy": SessionPolicy(on_client_change={"agent": "end"}), "devices": True}, "use a store on the server"),
    ({"short_ids": True}, "short_ids has no effect .* there is no id"),
    ({"unsigned_until": date(2030, 1, 31)}, "unsigned_until has no effect .* every cookie is signed or encrypted"),
    ({"encrypt": True}, "a cookie session is encrypted with store='cookie:'"),
    ({"bound": True}, "is for sessions in a store"),
]


@pytest.mark.parametrize(
    ("settings", "said"), IN_COOKIE, ids=[f"{number}-{next(iter(each))}" for number, (each, _) in enumerate(IN_COOKIE)]
)
@pytest.mark.parametrize("store", ["cookie:", "cookie:signed"])
def test_what_a_session_in_its_cookie_cannot_do(store: str, settings: dict[str, Any], said: str) -> None:
    """A setting that promises what only a store on the server can keep is refused, not left without effect."""
    with pytest.raises(ConfigurationError, match=said):
        SessionManager(store, secret=ONE, dev=False, **settings)
    SessionManager("memory:", secret=ONE, dev=False, **{k: v for k, v in settings.items() if k != "short_ids"})


@pytest.mark.parametrize("revocation", ["epoch", "denylist"])
def test_what_ended_sessions_in_cookies_can_do(revocation: Any) -> None:
    """Where a store says which cookie sessions have ended, a write to one of them can be told; a merge it cannot."""

    def store() -> CookieStore:
        return CookieStore(revocation=revocation, revocation_store=MemoryStore())

    SessionManager(store(), secret=ONE, policy=SessionPolicy(on_ended="raise"), dev=False)
    with pytest.raises(ConfigurationError, match="strict_merge has no effect"):
        SessionManager(store(), secret=ONE, policy=SessionPolicy(strict_merge=True), dev=False)


@pytest.mark.parametrize("settings", [{}, {"secret": ONE, "short_ids": True}])
def test_a_date_for_ids_that_are_not_signed(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """`unsigned_until` without a signature says nothing: a secret was forgotten. The variable is for all managers."""
    with pytest.raises(ConfigurationError, match="ids are not signed"):
        SessionManager("memory:", unsigned_until=date(2030, 1, 31), dev=False, **settings)
    monkeypatch.setenv("LIMPET_UNSIGNED_UNTIL", "2030-01-31")
    SessionManager("memory:", dev=False, **settings)
    SessionManager("cookie:", dev=False, secret=ONE)


def test_origins_that_register_for_no_site() -> None:
    """`registering_origins` lists subdomains, which only a session of the whole site has."""
    with pytest.raises(ConfigurationError, match="set include_site=True"):
        BoundPolicy(registering_origins=("https://login.shop.test",))


def test_a_cache_of_revocations_without_revocation() -> None:
    """It would look as if sessions could be ended."""
    with pytest.raises(ConfigurationError, match="without revocation remembers nothing"):
        CookieStore(revocation_cache=5)
    with pytest.raises(ConfigurationError, match="without revocation remembers nothing"):
        open_store("cookie:?cache=5")


@pytest.mark.parametrize("joined", [f"{ONE},{TWO}", f"{ONE}, {TWO}"])
def test_secrets_in_the_environment_that_commas_join(joined: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be one long secret, or secrets that end with a comma."""
    monkeypatch.setenv("LIMPET_SECRET", joined)
    with pytest.raises(ConfigurationError, match=r"commas.*white space"):
        SessionManager("memory:", dev=False)


def test_a_secret_may_have_commas() -> None:
    """What is too short between its commas to be several is one, and a `Key` always is."""
    for secret in (f"{ONE},x", f"a,b,{ONE}", Key(f"{ONE},{TWO}"), f"{ONE},{TWO}".encode(), [ONE, TWO]):
        assert len(Keyring(secret)) in (1, 2)
    assert len(Keyring(generate_secret())) == 1


URLS = {
    "memory:?max=3": ["max_records"],
    "sqlite:///x.db?mode=wal": ["busy_timeout", "create", "synchronous"],
    "file:./x?suffix=a": ["durable", "lock_timeout", "prefix"],
    "cookie:?x=1": ["cache", "revocation", "store"],
    "redis://localhost/0?foo=3": [
        "client_name",
        "connect_timeout",
        "db",
        "max_connections",
        "prefix",
        "sentinel_password",
        "timeout",
        "wait_replicas",
    ],
    "redis+sentinel://localhost/one?wait_replica=1": ["wait_replicas", "timeout", "db"],
    "postgresql://localhost/app?max_conections=3": ["max_connections", "pgbouncer", "schema", "table"],
}


@pytest.mark.parametrize("url", URLS)
def test_an_unknown_option_of_a_url(url: str) -> None:
    """The message lists every option that the URL may have."""
    with pytest.raises(ConfigurationError, match="has no option") as caught:
        SessionManager(url, secret=ONE, dev=False)
    said = str(caught.value).partition(": ")[2]
    assert all(option in said for option in URLS[url])


def test_options_that_are_the_clients() -> None:
    """What PostgreSQL's client knows is its own affair."""
    SessionManager("postgresql://localhost/app?application_name=shop&statement_timeout=500", dev=False)


def test_starlettes_arguments_under_our_middleware() -> None:
    """Somebody who changed the import line alone is told which of the two classes takes them."""
    app = Starlette(middleware=[Middleware(SessionMiddleware, secret_key=ONE, https_only=True)])  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match=r"https_only, secret_key: .*middleware\.sessions\.SessionMiddleware"):
        client(app).get("/")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"store": "memory:", "lifetime": 60, "rolling": True}, r"lifetime, rolling, store: .*starsessions.*policy="),
        ({"backend": object()}, r"arguments of starsessions"),
        ({"cookie_name": "sid", "cookie_https_only": False}, r"cookie=CookiePolicy\("),
        ({"store": "memory:"}, r"for the manager: write manager=SessionManager\(\.\.\., store=\.\.\.\)"),
        ({"secret": ONE, "policy": SessionPolicy()}, r"policy, secret: that is for the manager"),
    ],
    ids=["starsessions", "its backend", "a cookie", "a store", "a policy"],
)
def test_arguments_of_others_under_our_middleware(settings: dict[str, Any], said: str) -> None:
    """Somebody who keeps starsessions' arguments, or gives the manager's to the middleware, is told where they go."""
    with pytest.raises(ConfigurationError, match=said):
        SessionMiddleware(Starlette(), **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"manager": "memory:"}, r"takes no manager: .*limpet\.adapters\.starlette\.SessionMiddleware"),
        ({"lifetime": 60}, "arguments of starsessions"),
        ({"max_age": "3600"}, "max_age='3600': give seconds"),
        ({"max_age": True}, "max_age=True: give seconds"),
        ({"session_cookie": None}, "write session_cookie='session'"),
        ({"https_only": "false"}, "neither True nor False"),
    ],
    ids=str,
)
def test_a_setting_of_the_drop_in(settings: dict[str, Any], said: str) -> None:
    """What comes out of the environment as text, and what is for the other middleware, is refused."""
    with pytest.raises(ConfigurationError, match=said):
        DropIn(Starlette(), ONE, **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"exclude": None}, r"write exclude=\('/health',\)"),
        ({"exclude": ("/files/*",)}, "'/files' stands for all below it too"),
        ({"passive": ("/users/{id}",)}, r"re\.compile"),
        ({"passive": ("/users/<id>",)}, r"re\.compile"),
    ],
)
def test_a_setting_of_a_middleware(settings: dict[str, Any], said: str) -> None:
    """What would match nothing, or count as something else, is refused."""
    with pytest.raises(ConfigurationError, match=said):
        SessionMiddleware(Starlette(), manager="memory:", **settings)


@pytest.mark.parametrize("settings", [{"lazy": "no"}, {"close_sockets": True}, {"close_sockets": "5"}])
def test_a_setting_of_a_middleware_of_another_type(settings: dict[str, Any]) -> None:
    """It is refused with its name; in the compiled build by the type that the argument has."""
    (name,) = settings
    with pytest.raises((ConfigurationError, TypeError), match=rf"{name}=|expected; got"):
        SessionMiddleware(Starlette(), manager="memory:", **settings)


@pytest.mark.parametrize("name", ["Cookie", "set-cookie"])
def test_the_header_of_cookies_is_no_header_of_sessions(name: str) -> None:
    """Browsers send it by themselves, so that a session by it would be open to requests of other sites."""
    with pytest.raises(ConfigurationError, match="is that of cookies"):
        HeaderTransport(name)


def test_a_list_that_is_none() -> None:
    """An empty one turns the rule off."""
    with pytest.raises(ConfigurationError, match=r"write rotate_on=\(\)"):
        SessionPolicy(rotate_on=None)  # type: ignore[arg-type]
    assert SessionPolicy(rotate_on=()).rotate_on == ()


async def _later(base: Any, mine: Any, theirs: Any) -> Any:
    return mine


@pytest.mark.parametrize("rule", [_later, lambda mine, theirs: mine, lambda: None])
def test_a_rule_that_would_fail_when_two_requests_meet(rule: Any) -> None:
    """It is refused at once, and not months later."""
    with pytest.raises(ConfigurationError, match="plain function of three values"):
        SessionPolicy(merge={"cart": rule})


def test_rules_of_any_kind() -> None:
    """Functions of C, methods and those with more than they need are rules."""
    rules: dict[str, Any] = {"a": max, "b": lambda *sides: sides[0], "c": lambda base, mine, theirs, more=0: mine}
    assert SessionPolicy(merge=rules).merge == rules


def test_a_listener_that_cannot_be_called() -> None:
    """It is refused, instead of one error in the log for each event."""
    with pytest.raises(ConfigurationError, match="listen takes a function"):
        SessionManager("memory:").listen(None)  # type: ignore[arg-type]
