"""Django: two requests at once, and what was ended."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth import login
from django.contrib.messages import INFO
from django.contrib.messages.storage.session import SessionStorage
from django.contrib.sessions.backends.base import UpdateError
from django.http import HttpResponse

from limpet import SessionPolicy
from limpet._blocking import drive
from limpet._core import locks
from limpet._wire import marks
from limpet.adapters.django import SessionStore
from limpet.events import WriteAfterEnd
from limpet.manager import SessionManager
from limpet.stores.memory import MemoryStore
from tests.adapters.django.begun import Browser, Configure, Hook, asked, begun, heard, visitor


def test_fifty_at_once_count_fifty(configure: Configure, store_url: str) -> None:
    """Increments by requests of one browser on eight threads add up."""
    configure({"store": store_url})
    first: Browser = visitor()
    first.get("/do/set?a=1")

    def ask(_: int) -> None:
        browser: Browser = visitor()
        browser.cookies["sessionid"] = first.cookies["sessionid"].value
        assert browser.get("/do/increment").status_code == 200

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(50)))
    assert first.session["n"] == 50


def test_different_keys_of_two_requests_are_both_kept(engine: SessionManager) -> None:
    """Django's own engines keep what was saved last."""
    key = begun(cart=["tea"], old=1)
    one, other = SessionStore(key), SessionStore(key)
    one["cart"].append("milk")
    one["a"] = 1
    other["cart"].append("bread")
    del other["old"]
    one.save()
    other.save()
    assert dict(SessionStore(key).items()) == {"cart": ["tea", "milk", "bread"], "a": 1}


def rendered(key: str, leaves: str = "", *, shows: bool = False) -> tuple[SessionStore, list[str]]:
    """Return the session of a page that shows and leaves messages of Django's, not saved yet, and what it shows."""
    request = asked()
    request.session = SessionStore(key)
    storage = SessionStorage(request)
    shown = [message.message for message in storage] if shows else []
    if leaves:
        storage.add(INFO, leaves)
    storage.update(HttpResponse())
    return request.session, shown


@pytest.mark.parametrize(
    ("one", "other", "left"),
    [
        ({"leaves": "a"}, {"leaves": "b"}, ["old", "a", "b"]),
        ({"leaves": "a"}, {"shows": True}, ["a"]),
        ({"shows": True}, {"leaves": "b"}, ["b"]),
        ({"shows": True, "leaves": "a"}, {"shows": True, "leaves": "b"}, ["a", "b"]),
        ({"shows": True}, {"shows": True}, []),
    ],
)
@pytest.mark.parametrize("policy", [None, SessionPolicy(merge={"draft": "strict"})])
def test_messages_of_two_requests_are_both_kept(
    configure: Configure, policy: SessionPolicy | None, one: Any, other: Any, left: list[str]
) -> None:
    """Django keeps its messages as one text; what was shown is not shown again, and what was left is not lost."""
    configure({"store": "memory:", **({} if policy is None else {"policy": policy})})
    key = begun(a=1)
    rendered(key, "old")[0].save()
    pages = [rendered(key, **one)[0], rendered(key, **other)[0]]
    for page in pages:
        page.save()
    assert rendered(key, shows=True)[1] == left


def test_a_key_of_that_name_that_is_no_message_is_merged_as_any_other(engine: SessionManager) -> None:
    """The later one stays."""
    key = begun(_messages="hello")
    one, other = SessionStore(key), SessionStore(key)
    one["_messages"], other["_messages"] = "a", {"b": 1}
    one.save()
    other.save()
    assert SessionStore(key)["_messages"] == {"b": 1}


def test_a_change_of_what_another_request_took_away_is_a_conflict(
    engine: SessionManager, browser: Browser, hook: Hook
) -> None:
    """A view that got an item out of a list, and changes it after a merge, is told by 409, and nothing is saved."""
    key = begun(lines=[{"id": "tea", "n": 1}, {"id": "milk", "n": 1}])
    browser.cookies["sessionid"] = key

    def change(request: Any) -> None:
        tea = request.session["lines"][0]
        other = SessionStore(key)
        other["lines"].pop(0)
        other.save()
        with request.session.limpet.exclusive("lines"):
            pass
        tea["n"] += 10

    hook("change", change)
    assert browser.get("/do/change").status_code == 409
    assert SessionStore(key)["lines"] == [{"id": "milk", "n": 1}]


@pytest.mark.parametrize("end", ["flush", "delete", "cycle_key"])
def test_what_was_ended_stays_so(engine: SessionManager, end: str) -> None:
    """A request that is under way cannot save into a session that was logged out, or whose key was changed."""
    key = begun(a=1)
    late, quick = SessionStore(key), SessionStore(key)
    late["b"] = 2
    getattr(quick, end)()
    with pytest.raises(UpdateError):
        late.save()
    assert not SessionStore().exists(key)
    again = SessionStore(key)
    again["c"] = 3
    with pytest.raises(UpdateError):  # nor does one that comes with the key a moment later begin another
        again.save()


@pytest.mark.parametrize("logout_first", [False, True])
def test_a_logout_wins_over_a_change_of_the_key(engine: SessionManager, ann: Any, logout_first: bool) -> None:
    """A password is changed in one tab, and somebody logs out in another: whichever is first, the session is over."""
    key = begun(_auth_user_id=str(ann.pk))
    changing, leaving = SessionStore(key), SessionStore(key)
    assert changing["_auth_user_id"] == leaving["_auth_user_id"] == str(ann.pk)
    for verb in (leaving.flush, changing.cycle_key) if logout_first else (changing.cycle_key, leaving.flush):
        verb()
    changing["_auth_user_hash"] = "new"
    with pytest.raises(UpdateError):
        changing.save()
    other = SessionStore()
    other["_auth_user_id"] = str(ann.pk)
    other.save()
    assert [info.current for info in other.limpet.sessions()] == [True]


def test_a_save_without_a_change_notices_the_end_too(engine: SessionManager) -> None:
    """The cookie of a dead session is not sent again."""
    key = begun(a=1)
    late = SessionStore(key)
    late.modified = True
    assert late["a"] == 1
    SessionStore(key).delete()
    with pytest.raises(UpdateError):
        late.save()


@pytest.mark.parametrize("end", ["flush", "cycle_key"])
def test_a_request_that_lost_the_race_is_answered_without_a_cookie(
    engine: SessionManager, browser: Browser, hook: Hook, end: str
) -> None:
    """Django's middleware answers 400 (SessionInterrupted); the browser may have a newer cookie by now."""

    def race(request: Any) -> Any:
        request.session["late"] = True
        getattr(SessionStore(request.session.session_key), end)()
        return "answered"

    hook("race", race)
    events = heard(engine)
    browser.get("/do/set?a=1")
    answer = browser.get("/do/race")
    assert answer.status_code == 200
    assert answer.json() == "answered"
    assert "sessionid" not in answer.cookies
    assert [type(event) for event in events].count(WriteAfterEnd) == 1
    assert "sessionid" not in browser.get("/do/set?b=2").cookies


def test_the_policy_can_refuse_such_a_request(configure: Configure, browser: Browser, hook: Hook) -> None:
    """With on_ended="raise" it is a conflict, as in every framework."""
    configure({"policy": {"on_ended": "raise"}})

    def race(request: Any) -> Any:
        request.session["late"] = True
        SessionStore(request.session.session_key).flush()

    hook("race", race)
    browser.get("/do/set?a=1")
    assert browser.get("/do/race").status_code == 409


def test_of_two_logins_of_one_browser_the_later_stands(engine: SessionManager, ann: Any) -> None:
    """A login button that was pressed twice leaves one session, with what the anonymous one held."""
    key = begun(basket=["tea"])
    requests = []
    for _ in range(2):
        request = asked()
        request.session = SessionStore(key)
        assert request.session["basket"] == ["tea"]
        requests.append(request)
    for request in requests:
        login(request, ann, backend="django.contrib.auth.backends.ModelBackend")
        request.session.save()
    sessions = requests[1].session.limpet.sessions()
    assert [info.current for info in sessions] == [True]
    assert SessionStore(requests[1].session.session_key)["basket"] == ["tea"]


@pytest.mark.parametrize("call", range(12))
@pytest.mark.parametrize("last", [False, True], ids=["the first to change its key", "the last"])
@pytest.mark.parametrize("late", [False, True], ids=["both were read", "one was read after that"])
def test_of_two_logins_of_one_browser_one_stands_in_every_order(
    engine: SessionManager, ann: Any, monkeypatch: pytest.MonkeyPatch, call: int, last: bool, late: bool
) -> None:
    """One is saved before any call that the other makes to the store."""
    key = begun(basket=["tea"])
    requests = [asked(), asked()]
    for request in requests:
        request.session = SessionStore(key)
        assert late or request.session["basket"] == ["tea"]
    for request in requests:
        login(request, ann, backend="django.contrib.auth.backends.ModelBackend")
    slow, quick = reversed(requests) if last else requests
    left = [call]

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        async def watch(self: Any, *words: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] == -1:
                quick.session.save()
            return await real(self, *words, **more)

        return watch

    for name in ("create", "load", "load_many", "replace", "update"):
        monkeypatch.setattr(MemoryStore, name, watched(getattr(MemoryStore, name)))
    slow.session.save()
    if left[0] >= 0:
        left[0] = -1
        quick.session.save()
    alive = [SessionStore(request.session.session_key).get("_auth_user_id") for request in requests]
    assert sorted(alive, key=str) == sorted([None, str(ann.pk)], key=str)


def test_a_login_that_was_saved_stands_though_the_one_before_cannot_be_ended(
    engine: SessionManager, ann: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Other logins of its user hold their lock for too long: the key that the browser gets is that of a login."""
    key = begun(basket=["tea"])
    first, second = asked(), asked()
    for request in (first, second):
        request.session = SessionStore(key)
        assert request.session["basket"] == ["tea"]
    for request in (first, second):
        login(request, ann, backend="django.contrib.auth.backends.ModelBackend")
    first.session.save()
    lock = marks.mark_key("lock", "login", str(ann.pk))
    assert drive(locks.acquire(engine.engine, lock, 60, 0)) is not None
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    second.session.save()
    assert "not all that its request presented could be ended" in caplog.text
    for request in (first, second):
        assert SessionStore(request.session.session_key)["_auth_user_id"] == str(ann.pk)


def test_a_logout_ends_what_a_login_of_another_has_replaced(
    engine: SessionManager, browser: Browser, ann: Any, bob: Any
) -> None:
    """Another user begins with an empty session, and the key before is dead."""
    before = browser.get("/do/login?name=ann").json()
    browser.get("/do/set?a=1")
    browser.get("/do/login?name=bob")
    assert browser.get("/do/who").json() == "bob"
    assert browser.get("/do/read").json() == {}
    assert not SessionStore().exists(before)


def test_a_logout_takes_the_cookie_back(engine: SessionManager, browser: Browser, ann: Any) -> None:
    """And the old key is dead."""
    key = browser.get("/do/login?name=ann").json()
    answer = browser.get("/do/logout")
    assert answer.cookies["sessionid"]["max-age"] == 0
    assert answer["Vary"] == "Cookie"
    assert not SessionStore().exists(key)


def test_an_unknown_cookie_is_left_alone(engine: SessionManager, browser: Browser) -> None:
    """Only the request that ends a session deletes the cookie: by now the browser may hold a newer one."""
    browser.cookies["sessionid"] = SessionStore()._get_new_session_key()
    assert "sessionid" not in browser.get("/do/read").cookies


def test_one_at_a_time(configure: Configure, store_url: str) -> None:
    """What the holder before saved is there to be read."""
    configure({"store": store_url})
    key = begun(steps=[])

    def step(number: int) -> None:
        with SessionStore(key).limpet.exclusive("steps") as session:
            session["steps"] = [*session["steps"], number]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(step, range(12)))
    assert sorted(SessionStore(key)["steps"]) == list(range(12))
