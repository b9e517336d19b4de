"""The pages of the web platform tests for Device Bound Session Credentials, as they are, in Chromium, against limpet.

They come from their repository, or from ``LIMPET_TEST_WPT``, a folder that has them, ``resources/testharness.js`` and
``common/get-host-info.sub.js``. The verdict is that of their own harness. The server is `tests.upstream.bound_pages`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import async_playwright

from tests.browser.test_bound import certified, launched
from tests.checkout import checkout
from tests.security.web import served
from tests.upstream.bound_pages import FOLDER, HOST, HOSTS, Pages

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.timeout(600)]

REPOSITORY: Final = "https://github.com/web-platform-tests/wpt"
COMMIT: Final = "f192844fa4739d0beb5f6d215c2038108c43fa58"
PARTS: Final = (FOLDER, "/resources/testharness.js", "/common/get-host-info.sub.js")

PLAIN_HTTP: Final = "not-secure-connection.html"
MATCHING: Final = "credentials-matching.https.html"
HOLD: Final = {
    "clear-site-data.https.html": 2,
    "create-session.https.html": 1,
    MATCHING: 7,
    "include-site.https.html": 1,
    PLAIN_HTTP: 1,
    "refresh-does-not-send-challenge.https.html": 1,
    "refresh-replaces-config.https.html": 1,
    "refresh-with-continue-false.https.html": 1,
    "session-cookie-has-no-attributes.https.html": 1,
}
"""Pages that ask for nothing that limpet has no setting for, and how many tests they have."""

LIKE_THE_COOKIE_TOLD: Final = {
    "Expires attribute in credentials doesn't affect matching",
    "Max-Age attribute in credentials doesn't affect matching",
}
"""They fail: the page sets a cookie without SameSite and takes it for the one of the session. limpet always writes
SameSite, and to Chromium a cookie without it is another one, so that it gives a proof. In
`test_the_cookie_is_the_one_that_was_told` a cookie has every attribute of limpet's and another Expires."""

OURS: Final = "tests/browser/test_bound_instructions.py"
OTHER_SITES: Final = "tests/browser/test_bound_other_sites.py"
ROOT: Final = Path(__file__).resolve().parents[2]
WITHIN: Final = "A request within the scope origin refreshes"
BEYOND: Final = {
    # limpet tells of no origin but the one that registers, or with `include_site` that of the site. The first test of
    # the page asks for that one, and passes.
    "set-scope-origin.https.html": ("scopeOrigin", {WITHIN}),
    # limpet takes a registration or refuses it: its challenge is as young as the answer that asked for the key.
    "registration-sends-challenge.https.html": ("registrationSendsChallenge", set[str]()),
    # limpet sends no such value: the session's cookie comes with the registration, and says whose it is.
    "set-authorization.https.html": ("authorizationValue", set[str]()),
    # The page chooses the challenge: limpet's are signed, and name a session, a time and a proof. It sends each ahead
    # of time, and `test_a_challenge_ahead_of_time` has Chromium sign one.
    "set-early-challenge.https.html": ("earlyChallengeForNextRegisteredSession", set[str]()),
    # Rules of a scope are paths to leave out, on every host: `exclude`. The page asks for paths to take in again, and
    # for rules of one host.
    "set-scope-specification.https.html": ("scopeSpecificationItems", set[str]()),
}
"""Pages that ask for what no application of limpet can be set to do: what that is, and which tests pass regardless."""


NEWER: Final = {
    "allowed-refresh-initiators.https.html": f"{OTHER_SITES}::test_a_page_of_another_site",
    "clear-cookies-site-data.https.html": f"{OURS}::test_cookies_that_the_site_clears",
    "debug-header.https.html": f"{OURS}::test_a_proof_that_cannot_be_given",
    "empty-response.https.html": "no setting: each answer to a proof says all that there is to say",
    "federated-session.https.html": "no setting: keys are not shared between sites",
    "fetch-no-credentials.https.html": f"{OTHER_SITES}::test_a_page_of_another_site",
    "fetch-verify-authenticated.https.html": "a frame of the page before",
    "multiple-credentials.https.html": "no setting: a session has one cookie that is bound",
    "multiple-registrations.https.html": f"{OURS}::test_two_sessions_of_one_origin",
    "registration-no-challenge.https.html": "no setting: each registration has a challenge",
    "requests-have-query-params.https.html": "no setting: addresses have no query",
    "resolving-urls.https.html": "no setting: addresses are paths from the root, below a mount too",
    "subdomain-registration.https.html": f"{OTHER_SITES}::test_a_login_on_a_subdomain_that_the_site_does_not_list",
    "third-party-registration.https.html": "no setting: a session has one cookie that is bound",
    "url_fetcher.html": "a frame of other pages",
    "websockets.https.html": (
        "tests/browser/test_bound_sockets.py::test_a_socket_that_was_closed_comes_back_with_a_proof"
    ),
}
"""Pages that other copies of these tests have, from before that commit or after it. They ask their server for what
limpet has no setting for, which no page above asks for; and where the question itself is about limpet too, which test
asks it."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the pages and what they load."""
    given = os.environ.get("LIMPET_TEST_WPT")
    return Path(given) if given else checkout(tmp_path_factory.mktemp("pages"), REPOSITORY, COMMIT, *PARTS)


async def verdict(published: Path, folder: Path, page: str) -> tuple[dict[str, Any], set[str]]:
    """Return what the harness of a page says of its tests, and what the page asked for that limpet cannot be set to."""
    server = Pages(published)
    tls, pin = certified(folder, *HOSTS)
    secure = page != PLAIN_HTTP
    with served(server, **(tls if secure else {})) as port:
        async with async_playwright() as playwright:
            context = await launched(playwright, folder / "profile", pin, port if secure else None, quota=False)
            opened = await context.new_page()
            await opened.goto(f"https://{HOST}{FOLDER}/{page}" if secure else f"http://{HOST}:{port}{FOLDER}/{page}")
            await opened.wait_for_function("window.verdict", timeout=300_000)
            found = await opened.evaluate("window.verdict")
            await context.close()
    return found, server.refused


def test_each_page_is_in_one_of_the_lists(pages: Path) -> None:
    there = {path.name for path in (pages / FOLDER.lstrip("/")).glob("*.html")}
    assert there >= {*HOLD, *BEYOND}
    assert there <= {*HOLD, *BEYOND, *NEWER}


def test_what_else_they_ask_is_asked() -> None:
    """The tests that are named in place of a page are there."""
    for named in NEWER.values():
        file, colons, name = named.partition("::")
        if colons:
            assert f"async def {name}(" in (ROOT / file).read_text(), named


@pytest.mark.parametrize("page", HOLD)
async def test_a_page_passes(pages: Path, tmp_path: Path, page: str) -> None:
    """Each of its tests but those that are named above, and the harness has nothing to add."""
    found, refused = await verdict(pages, tmp_path, page)
    failed = {test["name"]: test["message"] for test in found["tests"] if not test["passed"]}
    assert set(failed) == (LIKE_THE_COOKIE_TOLD if page == MATCHING else set()), failed
    assert (len(found["tests"]), found["harness"], refused) == (HOLD[page], None, set())


@pytest.mark.parametrize("page", BEYOND)
async def test_a_page_asks_for_what_has_no_setting(pages: Path, tmp_path: Path, page: str) -> None:
    """As its row says; what does not ask for that passes."""
    found, refused = await verdict(pages, tmp_path, page)
    what, passing = BEYOND[page]
    assert what in refused
    assert {test["name"] for test in found["tests"] if test["passed"]} >= passing
