"""S38: a copied cookie is used by another client. The policy says what that means; upgrades mean nothing."""

from __future__ import annotations

from typing import Any

import pytest

from limpet import ConfigurationError, Session, SessionManager, SessionPolicy, StoreUnavailable
from limpet._clients import changes
from limpet.contract import Outcome, Record
from limpet.devices import DevicePolicy
from limpet.events import ClientChanged, SessionRevoked
from limpet.stores.memory import MemoryStore
from tests.races.counted import CountedSite
from tests.security.either import EitherSite
from tests.site import Site, look

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
ANDROID = "Mozilla/5.0 (Linux; Android"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS"
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
        f"{ANDROID} 13; SM-S901B Build/TP1A) {KIT} Chrome/109.0.5414.117 Mobile Safari/537.36",
        f"{ANDROID} 10; K) {KIT} Chrome/110.0.0.0 Mobile Safari/537.36",
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
    "Firefox on a Mac, whose version stands still": [
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.14; rv:86.0) Gecko/20100101 Firefox/86.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0",
    ],
    "Firefox on Android, which asks for a desktop's page": [
        "Mozilla/5.0 (Android 13; Mobile; rv:109.0) Gecko/118.0 Firefox/118.0",
        "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
        "Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0",
    ],
    "Firefox on an iPad, which calls itself Safari for a desktop's page": [
        f"Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) {SAFARI} FxiOS/130.0 Mobile/15E148 Safari/605.1.15",
        f"{MAC} {SAFARI} Version/18.6 Safari/605.1.15",
        f"Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) {SAFARI} FxiOS/143.0 Mobile/15E148 Safari/605.1.15",
    ],
    "a Mac and its Safari": [
        f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) {SAFARI} Version/13.1.2 Safari/605.1.15",
        f"{MAC} {SAFARI} Version/17.6 Safari/605.1.15",
        f"{MAC} {SAFARI} Version/26.0 Safari/605.1.15",
    ],
    "an iPhone, whose system stands still from 26 on": [
        f"{PHONE} {system} like Mac OS X) {SAFARI} Version/{version} Mobile/15E148 Safari/604.1"
        for system, version in (
            ("16_7", "16.7"),
            ("17_6", "17.6"),
            ("18_6", "18.6"),
            ("18_6", "26.0"),
            ("18_7", "26.3"),
        )
    ],
    "an iPad, which asks for a desktop's page": [
        f"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) {SAFARI} Version/18.5 Mobile/15E148 Safari/604.1",
        f"{MAC} {SAFARI} Version/18.5 Safari/605.1.15",
    ],
    "Chrome on an iPhone, which asks for a desktop's page": [
        f"{PHONE} 17_7 like Mac OS X) {SAFARI} CriOS/134.0.6998.99 Mobile/15E148 Safari/604.1",
        f"{MAC} {SAFARI} CriOS/137 Version/11.1.1 Safari/605.1.15",
        f"{PHONE} 18_5 like Mac OS X) {SAFARI} CriOS/140.0.7339.101 Mobile/15E148 Safari/604.1",
    ],
    "Edge on an iPhone": [
        f"{PHONE} {system} like Mac OS X) {SAFARI} Version/18.0 EdgiOS/{version} Mobile/15E148 Safari/605.1.15"
        for system, version in (("18_0", "129.0.2792.84"), ("18_3", "131.0.2903.92"), ("18_7", "150.0.3296.60"))
    ],
    "Edge on Android, which asks for a desktop's page": [
        f"{ANDROID} 14; SM-S918B) {KIT} Chrome/109.0.0.0 Mobile Safari/537.36 EdgA/109.0.1518.70",
        f"{ANDROID} 10; K) {KIT} Chrome/130.0.0.0 Mobile Safari/537.36 EdgA/130.0.0.0",
        f"{LINUX} {KIT} Chrome/131.0.0.0 Safari/537.36 EdgA/131.0.0.0",
    ],
    "a Chromebook": [
        f"Mozilla/5.0 (X11; CrOS x86_64 14268.67.0) {KIT} Chrome/96.0.4664.111 Safari/537.36",
        f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {KIT} Chrome/141.0.0.0 Safari/537.36",
    ],
    "Samsung's browser, which says less from 24 on, and asks for a desktop's page": [
        f"{ANDROID} 13; SAMSUNG SM-G991B) {KIT} SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36",
        f"{ANDROID} 10; K) {KIT} SamsungBrowser/24.0 Chrome/117.0.0.0 Mobile Safari/537.36",
        f"{LINUX} {KIT} SamsungBrowser/26.0 Chrome/122.0.0.0 Safari/537.36",
        f"{ANDROID} 10; K) {KIT} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
    ],
    "Opera": [f"{WINDOWS} {KIT} Chrome/{n}.0.0.0 Safari/537.36 OPR/{n - 14}.0.0.0" for n in (124, 130, 138)],
    "Opera on Android": [
        f"{ANDROID} 13; SM-S901B) {KIT} Chrome/109.0.5414.118 Mobile Safari/537.36 OPR/74.0.3922.7",
        f"{ANDROID} 10; K) {KIT} Chrome/137.0.0.0 Mobile Safari/537.36 OPR/91.0.0.0",
    ],
    "an application on Android, whose page says less from Android 16 on": [
        f"{ANDROID} 5.1.1; Nexus 5 Build/LMY48B; wv) {KIT} Version/4.0 Chrome/43.0.2357.65 Mobile Safari/537.36",
        f"{ANDROID} 10; K; wv) {KIT} Version/4.0 Chrome/125.0.0.0 Mobile Safari/537.36",
    ],
    "an application on an iPhone": [
        f"{PHONE} {system} like Mac OS X) {SAFARI} Mobile/15E148" for system in ("16_7", "17_6", "18_6", "18_7")
    ],
    "a program": ["okhttp/4.9.3", "okhttp/4.12.0", "okhttp/5.1.0"],
}


@pytest.mark.parametrize("chain", QUIET.values(), ids=QUIET.keys())
def test_an_upgrade_changes_nothing(chain: list[str]) -> None:
    """Nor does a phone that asks for a desktop's page: from any version to any later one."""
    for number, before in enumerate(chain):
        for after in chain[number:]:
            assert changes({"agent": before}, {"agent": after}) == frozenset(), (before, after)


ALIKE = [
    {"Chrome, a year of versions", "Chrome, before and after it said less"},
    {
        "Chrome on a phone, which says less of its model, and asks for a desktop's page",
        "a Chromebook",
        "an application on Android, whose page says less from Android 16 on",
    },
    {"Firefox on Ubuntu, which stopped to name it", "Firefox on Android, which asks for a desktop's page"},
    {
        "a Mac and its Safari",
        "an iPhone, whose system stands still from 26 on",
        "an iPad, which asks for a desktop's page",
    },
    {
        "Firefox on an iPad, which calls itself Safari for a desktop's page",
        "Firefox on a Mac, whose version stands still",
    },
    {"Firefox on an iPad, which calls itself Safari for a desktop's page", "a Mac and its Safari"},
    {
        "Firefox on an iPad, which calls itself Safari for a desktop's page",
        "an iPad, which asks for a desktop's page",
    },
]
"""What cannot be told from each other, since one device calls itself either."""


def test_every_pair_of_others_is_a_change() -> None:
    """The last versions of all these browsers are told from each other, but those that one device may be."""
    last = {name: chain[-1] for name, chain in QUIET.items()}
    assert set().union(*ALIKE) <= set(last)
    for one, agent in last.items():
        for two, other in last.items():
            alike = one == two or any({one, two} <= group for group in ALIKE)
            expected = frozenset() if alike else frozenset({"agent"})
            assert changes({"agent": agent}, {"agent": other}) == expected, (one, two)


@pytest.mark.parametrize(
    ("noted", "seen"),
    [
        ("Windows", "Windows"),
        ("Android", "Linux"),  # the same phone, which asks for a desktop's page
        ("Chrome OS", "Chromium OS"),
        ("Windows", "Unknown"),
        ("Unknown", "macOS"),
        ("", "macOS"),
    ],
)
def test_a_platform_that_may_be_the_same_changes_nothing(noted: str, seen: str) -> None:
    """Of those that the standard knows (User-Agent Client Hints, "Sec-CH-UA-Platform")."""
    assert changes({"agent": CHROME, "platform": noted}, {"agent": CHROME, "platform": seen}) == frozenset()
    assert changes({"agent": CHROME, "platform": seen}, {"agent": CHROME, "platform": noted}) == frozenset()


STAYS = {
    "a provider that gives another address of its own": ["203.0.113.7", "203.0.113.250", "203.0.113.1"],
    "an address that a server with both families maps": ["203.0.113.7", "::ffff:203.0.113.7"],
    "privacy addresses, a new one each day": [
        "2001:db8:7:1:4c1e:9d2f:aa01:1",
        "2001:db8:7:1:f00d:77a1:3b2c:9",
        "2001:db8:7:1:1c2d:3e4f:5a6b:7c8d",
    ],
    "a router that was given another prefix of the customer's": [
        "2001:db8:7:1::5",
        "2001:db8:7:40::5",
        "2001:db8:7:ff00::5",
    ],
    "a socket of the machine itself, and a client that is not known": ["203.0.113.7", "", "203.0.113.9"],
}


@pytest.mark.parametrize("chain", STAYS.values(), ids=STAYS.keys())
def test_a_new_address_of_the_same_network_changes_nothing(chain: list[str]) -> None:
    """From any to any, as it is noted."""
    noted = [DevicePolicy().describe({"headers": [], "client": (each, 1)}) for each in chain]
    for before in noted:
        for after in noted:
            assert changes(before, after) == frozenset(), (before, after)


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


class Watching(EitherSite):
    """A site that compares clients by these rules, and what it tells."""

    agent = CHROME
    address = "203.0.113.7"

    def __init__(self, kind: str, rules: Any) -> None:
        super().__init__(kind, on_client_change=rules)

    def told(self) -> list[tuple[tuple[str, ...], str]]:
        return [(event.what, event.action) for event in self.heard if isinstance(event, ClientChanged)]


class Stubborn(MemoryStore):
    """A store that ends no session, and does everything else."""

    ends = True

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        if not self.ends:
            raise StoreUnavailable("down")
        return await super().replace(key, record, expected, now=now)


def shown(session: Session) -> str:
    """Return who is served, and whether the login is fresh."""
    return f"{session.subject} {session.is_fresh()}"


def login(session: Session) -> str:
    session.login("ann")
    return shown(session)


RULES = {"agent": "login", "network": "event", "agent+network": "end"}
THIEF = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"


@pytest.fixture(params=["asgi", "wsgi"])
def kind(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


def test_a_client_that_stays_the_same_is_told_nothing(kind: str) -> None:
    """Upgraded or not: no event, and the login is fresh."""
    site = Watching(kind, RULES)
    _, token = site.visit(login)
    for agent in (CHROME, CHROME.replace("141", "142")):
        assert site.visit(shown, token, agent)[0] == "ann True"
    assert site.told() == []


def test_another_agent_has_to_log_in_again(kind: str) -> None:
    """Its requests are not fresh; those of the owner are; and once it has logged in it is the client."""
    site = Watching(kind, RULES)
    _, token = site.visit(login)
    assert site.visit(shown, token, THIEF)[0] == "ann False"
    assert site.told() == [(("agent",), "login")]
    assert site.visit(shown, token)[0] == "ann True"
    said, new = site.visit(login, token, THIEF)
    assert said == "ann True"
    assert site.visit(shown, new, THIEF)[0] == "ann True"
    assert len(site.told()) == 2  # the second is of the request that logged in


def test_another_network_is_what_the_policy_says(kind: str) -> None:
    """An event here: a phone that roams stays signed in, and fresh."""
    site = Watching(kind, RULES)
    _, token = site.visit(login)
    assert site.visit(shown, token, address="198.51.100.9")[0] == "ann True"
    assert site.visit(shown, token, address="203.0.113.99")[0] == "ann True"  # of the same network
    assert site.told() == [(("network",), "event")]


def test_both_end_the_session(kind: str) -> None:
    """For everybody, and at once: the thief is anonymous, and the owner logs in again."""
    site = Watching(kind, RULES)
    _, token = site.visit(login)
    assert site.visit(shown, token, THIEF, "198.51.100.9")[0] == "None False"
    assert site.told() == [(("agent", "network"), "end")]
    assert [type(event) for event in site.heard].count(SessionRevoked) == 1
    assert site.visit(shown, token)[0] == "None False"
    assert site.manager.blocking.sessions_of("ann") == []


def test_without_a_rule_nothing_is_compared(kind: str) -> None:
    """Nor for what the rules leave out."""
    for rules in ({}, {"agent": "end"}):
        site = Watching(kind, rules)
        _, token = site.visit(login)
        assert site.visit(shown, token, address="198.51.100.9")[0] == "ann True"
        assert site.told() == []


def test_a_login_by_a_key_notes_its_client(kind: str) -> None:
    """As `login` does: the visitor may have come by another network before."""
    site = Watching(kind, {"agent": "end", "network": "end"})
    _, token = site.visit(lambda session: session.update(cart=1))
    _, token = site.visit(lambda session: session.update(user_id=7), token, THIEF, "198.51.100.9")
    assert site.visit(lambda session: session.get("user_id"), token, THIEF, "198.51.100.9")[0] == 7
    assert site.told() == []
    assert site.visit(lambda session: session.get("user_id"), token)[0] is None
    assert site.told() == [(("agent", "network"), "end")]


async def test_a_session_that_cannot_be_ended_is_not_served() -> None:
    """Not even to be read, where the policy serves visitors while the store fails."""
    store = Stubborn()
    site = Site(store, devices=True, on_client_change={"agent": "end"}, on_load_error="anonymous")
    token = (await site.ask(lambda session: session.login("ann"), headers={"user-agent": CHROME})).token
    store.ends = False
    assert (await site.ask(look, token, headers={"user-agent": THIEF})).result is None
    store.ends = True
    assert (await site.ask(look, token, headers={"user-agent": CHROME})).result == "ann"


async def test_nothing_is_written_for_a_client() -> None:
    """Whether it stays the same or has to log in again: a look costs what it did."""
    costs = []
    for rules in ({}, RULES):
        site = CountedSite(MemoryStore(), devices=True, on_client_change=rules)
        where: Any = {"headers": [(b"user-agent", CHROME.encode())], "client": ("203.0.113.7", 1)}
        token = (await site.ask(lambda session: session.login("ann"), **where)).token
        assert site.counting is not None
        site.counting.take()
        for agent in (CHROME.encode(), THIEF.encode()):
            headers = [(b"user-agent", agent), (b"cookie", f"{site.manager.cookie_name}={token}".encode())]
            await site.ask(headers=headers, client=("203.0.113.7", 1))
        costs.append(site.counting.take())
    assert costs[0] == costs[1]
    assert set(costs[0]) == {"load"}
    assert [event.action for event in site.heard if isinstance(event, ClientChanged)] == ["login"]


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
