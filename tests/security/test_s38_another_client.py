"""S38: a copied cookie is used by another client. The policy says what that means; upgrades mean nothing."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from limpet import ConfigurationError, SessionManager, SessionPolicy
from limpet._clients import changes
from limpet.asgi import SessionMiddleware
from limpet.events import ClientChanged, Event, SessionRevoked
from limpet.testing import FakeClock, client
from limpet.wsgi import SessionMiddleware as WSGISessions

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
LINUX = "Mozilla/5.0 (X11; Linux x86_64)"
KIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
CHROME = f"{WINDOWS} {KIT} Chrome/141.0.0.0 Safari/537.36"

QUIET = {
    "Chrome, a year of versions": [f"{WINDOWS} {KIT} Chrome/{n}.0.0.0 Safari/537.36" for n in range(129, 142)],
    "Chrome, before and after it said less": [
        f"{WINDOWS} {KIT} Chrome/100.0.4896.127 Safari/537.36",
        f"{WINDOWS} {KIT} Chrome/101.0.0.0 Safari/537.36",
    ],
    "Chrome on a phone, which says less of its model, and asks for a desktop's page": [
        f"Mozilla/5.0 (Linux; Android 13; SM-S901B Build/TP1A) {KIT} Chrome/109.0.5414.117 Mobile Safari/537.36",
        f"Mozilla/5.0 (Linux; Android 10; K) {KIT} Chrome/110.0.0.0 Mobile Safari/537.36",
        f"{LINUX} {KIT} Chrome/141.0.0.0 Safari/537.36",
    ],
    "Edge": [f"{WINDOWS} {KIT} Chrome/{n}.0.0.0 Safari/537.36 Edg/{n}.0.0.0" for n in (120, 130, 141)],
    "Firefox, whose rv stood still for a while": [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:109.0) Gecko/20100101 Firefox/118.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:120.0) Gecko/20100101 Firefox/120.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    ],
    "Firefox on Ubuntu, which stopped to name it": [
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
        "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
    ],
    "a Mac and its Safari": [
        f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) {SAFARI} Version/13.1.2 Safari/605.1.15",
        f"{MAC} {SAFARI} Version/17.6 Safari/605.1.15",
        f"{MAC} {SAFARI} Version/26.0 Safari/605.1.15",
    ],
    "an iPhone": [
        f"Mozilla/5.0 (iPhone; CPU iPhone OS {version.replace('.', '_')} like Mac OS X) {SAFARI} Version/{version} "
        "Mobile/15E148 Safari/604.1"
        for version in ("16.7", "17.6", "18.5", "26.0")
    ],
    "an iPad, which asks for a desktop's page": [
        f"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) {SAFARI} Version/18.5 Mobile/15E148 Safari/604.1",
        f"{MAC} {SAFARI} Version/18.5 Safari/605.1.15",
    ],
    "Samsung's browser": [
        f"Mozilla/5.0 (Linux; Android {system}; SAMSUNG SM-G991B) {KIT} SamsungBrowser/{n}.0 Chrome/{n + 92}.0.0.0 "
        "Mobile Safari/537.36"
        for system, n in ((13, 23), (14, 25), (14, 28))
    ],
    "Opera": [f"{WINDOWS} {KIT} Chrome/{n}.0.0.0 Safari/537.36 OPR/{n - 14}.0.0.0" for n in (124, 130, 138)],
    "a program": ["okhttp/4.9.3", "okhttp/4.12.0", "okhttp/5.1.0"],
}


@pytest.mark.parametrize("chain", QUIET.values(), ids=QUIET.keys())
def test_an_upgrade_changes_nothing(chain: list[str]) -> None:
    """Nor does a phone that asks for a desktop's page: from any version to any later one."""
    for number, before in enumerate(chain):
        for after in chain[number:]:
            assert changes({"agent": before}, {"agent": after}) == frozenset(), (before, after)


def test_every_pair_of_others_is_a_change() -> None:
    """The last versions of all these browsers are told from each other, but those that the same makers made alike."""
    last = {name: chain[-1] for name, chain in QUIET.items()}
    mac, phone, tablet = "a Mac and its Safari", "an iPhone", "an iPad, which asks for a desktop's page"
    alike = {frozenset({mac, phone}), frozenset({mac, tablet}), frozenset({phone, tablet})}
    alike.add(frozenset({"Chrome, a year of versions", "Chrome, before and after it said less"}))
    for one, agent in last.items():
        for two, other in last.items():
            expected = frozenset() if one == two or frozenset({one, two}) in alike else frozenset({"agent"})
            assert changes({"agent": agent}, {"agent": other}) == expected, (one, two)


@pytest.mark.parametrize(
    ("noted", "seen", "what"),
    [
        ({"agent": CHROME}, {}, {"agent"}),
        ({}, {"agent": CHROME}, set()),
        ({"agent": CHROME, "platform": "Windows"}, {"agent": CHROME, "platform": "Linux"}, {"agent"}),
        ({"agent": CHROME, "platform": "Windows"}, {"agent": CHROME}, set()),
        ({"agent": CHROME, "platform": "macOS"}, {"agent": CHROME, "platform": "macOS"}, set()),
        ({"address": "203.0.113.0/24"}, {"address": "198.51.100.0/24"}, {"network"}),
        ({"address": "203.0.113.0/24"}, {"address": "2001:db8:7::/48"}, {"network"}),
        ({"address": "203.0.113.0/24"}, {}, set()),
        (
            {"agent": CHROME, "address": "203.0.113.0/24"},
            {"agent": "curl/8", "address": "198.51.100.0/24"},
            {"agent", "network"},
        ),
    ],
)
def test_what_changed(noted: dict[str, str], seen: dict[str, str], what: set[str]) -> None:
    """What is not known on one side has not changed, but an agent that is no longer named has."""
    assert changes(noted, seen) == what


class Site:
    """An application on either side, its browser's agent and network, and what it tells."""

    def __init__(self, kind: str, rules: Any, **policy: Any) -> None:
        self.clock = FakeClock()
        settings = SessionPolicy(on_client_change=rules, **policy)
        self.manager = SessionManager("memory:", policy=settings, devices=True, dev=False, clock=self.clock)
        self.heard: list[Event] = []
        self.manager.listen(self.heard.append)
        self.kind = kind

    def ask(self, path: str, token: str | None, agent: str = CHROME, address: str = "203.0.113.7") -> tuple[str, str]:
        """Send one request; return what the handler said, and the cookie that the browser has then."""
        headers = {"user-agent": agent}
        if token:
            headers["cookie"] = f"{self.manager.cookie_name}={token}"
        if self.kind == "asgi":
            browser: Any = client(SessionMiddleware(self._asgi, self.manager), client=(address, 5000))
        else:
            app = WSGISessions(self._wsgi, self.manager)
            transport = httpx2.WSGITransport(app=app, remote_addr=address)
            browser = httpx2.Client(transport=transport, base_url="https://testserver")
        answer = browser.get(path, headers=headers)
        assert answer.status_code == 200
        return answer.text, answer.cookies.get(self.manager.cookie_name) or token or ""

    def _use(self, session: Any, path: str) -> bytes:
        if path == "/login":
            session.login("ann")
        return f"{session.subject} {session.is_fresh()}".encode()

    async def _asgi(self, scope: Any, receive: Any, send: Any) -> None:
        said = self._use(scope["session"], scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": said})

    def _wsgi(self, environ: Any, start_response: Any) -> list[bytes]:
        said = self._use(environ["limpet.session"], environ["PATH_INFO"])
        start_response("200 OK", [])
        return [said]

    def told(self) -> list[tuple[tuple[str, ...], str]]:
        found = [(event.what, event.action) for event in self.heard if isinstance(event, ClientChanged)]
        return found


RULES = {"agent": "login", "network": "event", "agent+network": "end"}
THIEF = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"


@pytest.fixture(params=["asgi", "wsgi"])
def kind(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


def test_a_client_that_stays_the_same_is_told_nothing(kind: str) -> None:
    """Upgraded or not: no event, and the login is fresh."""
    site = Site(kind, RULES)
    _, token = site.ask("/login", None)
    for agent in (CHROME, CHROME.replace("141", "142")):
        assert site.ask("/", token, agent)[0] == "ann True"
    assert site.told() == []


def test_another_agent_has_to_log_in_again(kind: str) -> None:
    """Its requests are not fresh; those of the owner are; and once it has logged in it is the client."""
    site = Site(kind, RULES)
    _, token = site.ask("/login", None)
    assert site.ask("/", token, THIEF)[0] == "ann False"
    assert site.told() == [(("agent",), "login")]
    assert site.ask("/", token)[0] == "ann True"
    said, new = site.ask("/login", token, THIEF)
    assert said == "ann True"
    assert site.ask("/", new, THIEF)[0] == "ann True"
    assert len(site.told()) == 2  # the second is of the request that logged in


def test_another_network_is_what_the_policy_says(kind: str) -> None:
    """An event here: a phone that roams stays signed in, and fresh."""
    site = Site(kind, RULES)
    _, token = site.ask("/login", None)
    assert site.ask("/", token, address="198.51.100.9")[0] == "ann True"
    assert site.ask("/", token, address="203.0.113.99")[0] == "ann True"  # of the same network
    assert site.told() == [(("network",), "event")]


def test_both_end_the_session(kind: str) -> None:
    """For everybody, and at once: the thief is anonymous, and the owner logs in again."""
    site = Site(kind, RULES)
    _, token = site.ask("/login", None)
    assert site.ask("/", token, THIEF, "198.51.100.9")[0] == "None False"
    assert site.told() == [(("agent", "network"), "end")]
    assert [type(event) for event in site.heard].count(SessionRevoked) == 1
    assert site.ask("/", token)[0] == "None False"
    assert site.manager.blocking.sessions_of("ann") == []


def test_without_a_rule_nothing_is_compared(kind: str) -> None:
    """Nor for what the rules leave out."""
    for rules in ({}, {"agent": "end"}):
        site = Site(kind, rules)
        _, token = site.ask("/login", None)
        assert site.ask("/", token, address="198.51.100.9")[0] == "ann True"
        assert site.told() == []


async def test_nothing_is_written_for_a_client() -> None:
    """Whether it stays the same or has to log in again: a look costs what it did."""
    from limpet.stores.memory import MemoryStore
    from tests.races.site import Site as Counted

    costs = []
    for rules in ({}, RULES):
        site = Counted(MemoryStore(), manager={"devices": True}, on_client_change=rules)
        where: Any = {"headers": [(b"user-agent", CHROME.encode())], "client": ("203.0.113.7", 1)}
        token = (await site.request(lambda session: session.login("ann"), **where)).token
        assert site.counting is not None
        site.counting.take()
        for agent in (CHROME.encode(), THIEF.encode()):
            headers = [(b"user-agent", agent), (b"cookie", f"{site.manager.cookie_name}={token}".encode())]
            await site.request(headers=headers, client=("203.0.113.7", 1))
        costs.append(site.counting.take())
    assert costs[0] == costs[1]
    assert set(costs[0]) == {"load"}
    assert [event.action for event in site.events if isinstance(event, ClientChanged)] == ["login"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"policy": {"on_client_change": {"agent": "login"}}}, "devices=True"),
        (
            {"store": "cookie:", "devices": True, "policy": {"on_client_change": {"agent": "login"}}},
            "store on the server",
        ),
        ({"policy": {"on_client_change": {"browser": "login"}}}, "agent, network, agent\\+network"),
        ({"policy": {"on_client_change": {"agent": "forbid"}}}, "event, login, end"),
        ({"policy": {"on_client_change": "end"}}, "no mapping"),
    ],
)
def test_rules_that_cannot_work_are_refused(settings: dict[str, Any], problem: str) -> None:
    """With a sentence that says what to write."""
    secret = "K3pq-9cVt_hYz1mXw7RbN5sLd8GfJ2aQ0oUe6iTyC4k"
    options = {"store": "memory:", "secret": secret, "dev": False, **settings}
    with pytest.raises(ConfigurationError, match=problem):
        SessionManager(**{**options, "policy": SessionPolicy(**options["policy"])})
