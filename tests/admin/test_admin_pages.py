"""What operators see and do: counting, searching, looking, ending."""

from __future__ import annotations

import re

import pytest

from limpet._core.positions import subject_key
from limpet.stores import MemoryStore
from tests.admin.operator import Operator, Site, is_root


async def test_nothing_yet(operator: Operator) -> None:
    """A page about no sessions says so, and looking at it makes none."""
    await operator.look()
    assert operator.part("live-sessions") == "0"
    assert "There are no sessions" in operator.text
    await operator.look()
    assert operator.part("live-sessions") == "0"


async def test_it_counts(site: Site, operator: Operator) -> None:
    """Live sessions, those of somebody, and different people; an expired one is none of them."""
    await site.visitor("gone")
    site.clock.advance(86_000)
    for name in ("ann", "ann", "bob", None):
        await site.visitor(name)
    site.clock.advance(500)
    await operator.look()
    assert [operator.part(name) for name in ("live-sessions", "signed-in", "subjects")] == ["4", "3", "2"]
    assert len(operator.rows()) == 4


async def test_what_was_revoked_and_not_deleted_is_not_listed(site: Site, operator: Operator) -> None:
    """A revocation holds before the records are deleted: such a session is neither counted nor found."""
    for name in ("ann", "bob"):
        await site.visitor(name)
    [public_id] = await site.ids("ann")
    await site.manager.engine.storage.positions.advance(subject_key("ann"))
    await operator.look()
    assert operator.part("live-sessions") == "1"
    assert len(operator.rows()) == 1
    await operator.look("/sessions/", q=public_id[:8])
    assert operator.rows() == []
    assert (await operator.look(f"/sessions/id/{public_id}")).status_code == 404


async def test_it_counts_what_happens(site: Site, operator: Operator) -> None:
    """Logins, logouts, revocations and expired sessions since the process began."""
    ann, bob = await site.visitor("ann"), await site.visitor("bob")
    await site.visitor("cal")
    await ann.get("/logout")
    await site.manager.revoke_all("bob")
    assert (await bob.get("/whoami")).text == "nobody"
    await operator.look()
    found = {name: operator.part(f"total-{name}") for name in ("logins", "logged-out", "revoked", "expired")}
    assert found == {"logins": "3", "logged-out": "1", "revoked": "1", "expired": "0"}
    assert "3 logins and 2 ends in the last hour" in operator.text
    assert re.search(r"How long the store takes \d+ calls in the last hour, on average [\d.]+ (µs|ms)", operator.text)
    await operator.look("/sessions/", range="day")
    assert "3 logins and 2 ends in the last day" in operator.text


async def test_the_figures_alone_are_the_same_figures(site: Site, operator: Operator) -> None:
    """What the page's script asks for is a part of the page and no more."""
    await site.visitor("ann")
    answer = await operator.look("/sessions/live")
    assert operator.part("live-sessions") == "1"
    assert "<html" not in operator.page
    assert "ann" not in operator.text
    assert answer.headers["cache-control"] == "no-store"


async def test_search_by_subject(site: Site, operator: Operator) -> None:
    """All sessions of that person with their devices, the last used first, and nobody else's."""
    await site.visitor("ann")
    site.clock.advance(600)
    await site.visitor("ann", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/139.0.0.0 Safari/537.36")
    await site.visitor("anne")
    await operator.look("/sessions/", q=" ann ")
    assert "2 live sessions of ann" in operator.text
    first, second = operator.rows()
    assert ("Chrome 139 on Windows" in first, "just now" in first) == (True, True)
    assert ("Firefox 141" in second, "10 min ago" in second) == (True, True)


@pytest.mark.parametrize("digits", [64, 8, 20])
async def test_search_by_public_id(site: Site, operator: Operator, digits: int) -> None:
    """By all of it, or by the beginning that logs and events have."""
    for name in ("ann", "bob", None):
        await site.visitor(name)
    [public_id] = await site.ids("bob")
    await operator.look("/sessions/", q=public_id[:digits])
    assert public_id in operator.page
    assert "bob" in operator.text
    assert len(operator.rows()) == (0 if digits == 64 else 1)


async def test_search_in_vain(site: Site, operator: Operator) -> None:
    """It says so, with what was searched for."""
    await site.visitor("ann")
    for wanted in ("zoe", "00000000", "f" * 64):
        answer = await operator.look("/sessions/", q=wanted)
        assert (answer.status_code, f"Nobody called {wanted} has a live session" in operator.text) == (200, True)


async def test_all_pages_together_show_every_session_once(site: Site, operator: Operator) -> None:
    """Whatever the order of the store."""
    for number in range(120):
        await site.visitor(f"user-{number}")
    await operator.look()
    seen: list[str] = re.findall(r"user-\d+(?=</bdi>)", operator.page)
    pages = 1
    while "Next page" in operator.page:
        await operator.look(operator.link("Next page"))
        seen += re.findall(r"user-\d+(?=</bdi>)", operator.page)
        pages += 1
    assert sorted(seen) == sorted(f"user-{number}" for number in range(120))
    assert pages == 3
    assert "That was the last page" in operator.text


async def test_a_place_in_the_store_that_nobody_was_given_is_the_first_page(site: Site, operator: Operator) -> None:
    """What the store is asked for comes from its own answers, never from an address that somebody made up."""
    await site.visitor("ann")
    await operator.look()
    for after in ("zzz", "' OR 1=1 --", "\x00"):
        await operator.look("/sessions/", after=after, seal="0" * 80)
        assert len(operator.rows()) == 1


async def test_the_facts_of_a_session(site: Site, operator: Operator) -> None:
    """Who, since when, until when and from where, and how much it holds; not what."""
    await site.visitor("ann")
    site.clock.advance(7200)
    [public_id] = await site.ids("ann")
    await operator.look(f"/sessions/id/{public_id}")
    for fact in ("ann", public_id, "Firefox 141 on Linux", "2 h ago", "in 22 h", "1 value,"):
        assert fact in operator.text, fact
    for value in ("basket", "a-secret-wish"):
        assert value not in operator.page


async def test_values_are_shown_where_the_application_says_so() -> None:
    """Keys and values, but for the secrets behind forms."""
    site = Site(show_values=True)
    operator = Operator(site)
    await site.visitor("ann")
    [public_id] = await site.ids("ann")
    async with site.manager.open(public_id) as session:
        session["_csrf"] = ["the-form-secret"]
    await operator.look(f"/sessions/id/{public_id}")
    assert "basket 'a-secret-wish'" in operator.text
    assert "the-form-secret" not in operator.page


async def test_no_page_shows_what_could_be_sent_as_a_cookie(site: Site, operator: Operator) -> None:
    """Public ids open nothing."""
    ann = await site.visitor("ann")
    [cookie] = [cookie.value or "" for cookie in ann.cookies.jar]
    [public_id] = await site.ids("ann")
    for path in ("/sessions/", f"/sessions/id/{public_id}", f"/sessions/id/{public_id}/end", "/sessions/?q=ann"):
        await operator.look(path)
        assert cookie[:16] not in operator.page
    thief = site.browser()
    thief.cookies.set("__Host-Http-session", public_id)
    assert (await thief.get("/whoami")).text == "nobody"


# -- ending


async def test_one_session_is_ended(site: Site, operator: Operator) -> None:
    """After a confirmation; the person is nobody with the next request, their other device is not."""
    ann, other = await site.visitor("ann"), await site.visitor("ann")
    public_id = (await site.ids("ann"))[0]
    await operator.look(f"/sessions/id/{public_id}/end")
    assert "cannot be undone" in operator.text
    await operator.confirm()
    assert operator.part("told") == "One session was ended."
    assert len(operator.rows()) == 1
    assert sorted([(await ann.get("/whoami")).text, (await other.get("/whoami")).text]) == ["ann", "nobody"]
    again = await operator.look(f"/sessions/id/{public_id}")
    assert (again.status_code, "This session has ended" in operator.text) == (404, True)


async def test_all_of_somebody_are_ended(site: Site, operator: Operator) -> None:
    """On every device, and nobody else's."""
    anns = [await site.visitor("ann") for _ in range(12)]
    bob = await site.visitor("bob")
    await operator.look("/sessions/", q="ann")
    await operator.look(operator.end_all())
    assert "End all 12 sessions of ann?" in operator.text
    assert "and 2 more" in operator.text
    await operator.confirm()
    assert operator.part("told") == "12 sessions were ended."
    assert {(await ann.get("/whoami")).text for ann in anns} == {"nobody"}
    assert (await bob.get("/whoami")).text == "bob"


async def test_a_session_that_ended_meanwhile(site: Site, operator: Operator) -> None:
    """Confirming is no error; the page says what happened."""
    ann = await site.visitor("ann")
    [public_id] = await site.ids("ann")
    await operator.look(f"/sessions/id/{public_id}/end")
    await ann.get("/logout")
    await operator.confirm()
    assert operator.part("told") == "That session had ended already."


async def test_operators_are_told_which_session_is_their_own() -> None:
    """And may keep it when they end all of their own."""
    site = Site(allow=is_root)
    elsewhere = await site.visitor("root")
    operator = Operator(site)
    await operator.http.get("/login", params={"as": "root"})
    await operator.look("/sessions/", q="root")
    assert [row.count("yours") for row in operator.rows()].count(1) == 1
    await operator.look("/sessions/end-all?subject=root")
    assert "Keep the session that I am using now" in operator.text
    await operator.confirm(spare="yes")
    assert operator.part("told") == "One session was ended."
    assert (await operator.http.get("/whoami")).text == "root"
    assert (await elsewhere.get("/whoami")).text == "nobody"


async def test_a_notice_is_the_pages_own(operator: Operator) -> None:
    """A link cannot make the page say something."""
    await operator.look("/sessions/", told="Your password is needed again.", seal="0" * 80)
    assert "password" not in operator.text


# -- hostile input


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "../../x?y=1&z=2#f",
    "a\u202eb",
)


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
async def test_hostile_names_are_text(name: str) -> None:
    """A subject, a user agent or a value is never markup, whatever it holds, and can be searched for and ended."""
    site = Site(show_values=True)
    operator = Operator(site)
    await site.visitor(name, name.encode("ascii", "ignore").decode())
    [public_id] = await site.ids(name)
    async with site.manager.open(public_id) as session:
        session[name] = name
    for path in ("/sessions/", f"/sessions/id/{public_id}", f"/sessions/id/{public_id}/end"):
        assert (await operator.look(path)).status_code == 200
        assert name in operator.text
        for markup in ("<script>alert", "<img", 'onerror="'):
            assert markup not in operator.page
    await operator.look("/sessions/", q=name)
    assert len(operator.rows()) == 1
    await operator.look(operator.end_all())
    await operator.confirm()
    assert await site.ids(name) == []


async def test_what_has_no_bytes_in_utf_8_is_shown_as_a_question_mark(site: Site, operator: Operator) -> None:
    """A page about such a subject, which a login refuses and an old record may have, is no error."""
    await site.visitor("ann")
    [public_id] = await site.ids("ann")
    store, now = site.manager.store, site.manager.clock()
    assert isinstance(store, MemoryStore)
    record = await store.load(public_id)
    assert record is not None
    await store.create("0" * 64, record._replace(subject="half \ud800 a pair"), now=now)
    assert (await operator.look()).status_code == 200
    assert "half ? a pair" in operator.text


@pytest.mark.parametrize(
    "path", ["/sessions/id/x", "/sessions/id/" + "A" * 64, "/sessions//id", "/sessions/%00", "/sessions/x"]
)
async def test_no_such_page(operator: Operator, path: str) -> None:
    """Is a page too."""
    answer = await operator.look(f"/sessions/{path}")
    assert answer.status_code == 404


async def test_count_and_list_agree(site: Site, operator: Operator) -> None:
    """Whatever has begun or ended a moment ago, the page never counts more or fewer sessions than it lists."""
    visitors = [await site.visitor(name) for name in ("ann", "bob", None)]
    for path in ("/logout", "/login?as=eve", "/write", "/logout"):
        await operator.look()
        assert operator.part("live-sessions") == str(len(operator.rows()))
        await visitors[0].get(path)
    await operator.look()
    assert operator.part("live-sessions") == str(len(operator.rows())) == "2"
