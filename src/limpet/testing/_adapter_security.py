"""`AdapterSuite`, the part about attacks. Each test carries the number that the page on security gives its threat.

Some threats are met by older tests of the suite: S06 by those about fifty writers, S08, S16, S17, S22, S23, S28 and S36
not by an adapter at all, S11 by the hostile cookies, S14 by the corrupt record, S18 by the first cookie, S27 by the
store that opens nothing, S31 by the nested changes, S34 by the WebSockets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from itertools import product
from typing import Any

import pytest

from limpet._wire.marks import is_mark
from limpet._wire.tokens import b64encode, encode_id, new_id
from limpet.contract import ClientStore
from limpet.policy import CookiePolicy, SessionPolicy
from limpet.testing._adapter_site import Site, WatchedStore

__all__ = ["SecurityRules"]

Opener = Callable[..., Awaitable[Site]]

MALFORMED = (
    b"",
    b'""',
    b'"quoted"',
    b"\x00",
    b"a\x00b",
    *(bytes((code,)) for code in (1, 8, 9, 11, 12, 27, 31, 127)),
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b'"\\377"',
    b"%00",
    b"%0d%0aSet-Cookie:%20x=y",
    b"../../etc/passwd",
    b"=====",
    b"null",
    b"eyJuIjoxfQ==",
    b"gASVCQAAAAAAAAB9lIwBbpRLAXMu",
)
DISGUISES = (b"\xa0", b"\x85", b"\x0b", b"\x1c", b"\xc2\xa0", b"\xe2\x80\x80", b"\xe3\x80\x80", b"\xef\xbb\xbf", b"x")
SPOOFED = ({"x-forwarded-proto": "http"}, {"forwarded": "proto=http;host=localhost"}, {"x-forwarded-ssl": "off"})


class SecurityRules:
    """Attacks, from outside."""

    openers: Callable[[str, Callable[[], WatchedStore | ClientStore]], AsyncIterator[Opener]]

    async def test_s01_a_login_never_takes_the_id_that_was_sent(self, server: Opener) -> None:
        """Unknown, once valid, expired or deleted: the login has another id, and nothing is stored under that one."""
        site = await server()
        chosen = ["attackerchosen1234567890", encode_id(new_id())]
        for end in ("logout", "delete", "expire"):
            visitor = site.browser()
            await site.ask(visitor, "/write", key="a", value="1")
            chosen.append(site.token(visitor))
            if end == "logout":
                await site.ask(visitor, "/logout")
            elif end == "delete":
                await site.store.store.delete(_key(site, chosen[-1]))
            else:
                site.clock.advance(15 * 86_400)
        for token in chosen:
            [line] = site.cookies(await site.browser(token=token).get("/login"))
            assert token not in line
            assert (await site.replay(token, "/facts"))["subject"] is None
            if token != chosen[0]:
                assert not await _is_kept(site, token)

    async def test_s02_s03_nothing_is_left_under_the_old_id(self, server: Opener) -> None:
        """After a login, a change of id, or a write of ``user_id``: the old id is anonymous and holds nothing."""
        site = await server()
        for change in ("login", "regenerate", "write"):
            browser = site.browser()
            await site.ask(browser, "/write", key="cart", value="tea")
            old = site.token(browser)
            await site.ask(browser, f"/{change}", key="user_id", value="7")
            assert site.token(browser) != old, change
            assert not await _is_kept(site, old)
            assert await site.replay(old) == []
            assert await site.ask(browser, "/read", key="cart") == "tea"

    async def test_s03_rotations_under_load_leave_one_id(self, server: Opener) -> None:
        """Again and again with readers under way: no reader fails, and no old id lives."""
        site = await server()
        await site.get("/write", key="a", value="1")
        for _ in range(5):
            old = site.token()
            readers = [site.browser(token=old) for _ in range(4)]
            await asyncio.gather(*(site.ask(each, "/keys") for each in readers), site.get("/regenerate"))
            assert await site.replay(old) == []
        assert await site.get("/keys") == ["a"]

    async def test_s04_a_copied_cookie_is_worthless_after_the_logout(self, server: Opener) -> None:
        """Login, copy, logout: the copy is anonymous, and no session is under it; with signed ids too."""
        site = await server(signed=True)
        await site.get("/login")
        copy = site.token()
        await site.get("/logout")
        assert (await site.replay(copy, "/facts"))["subject"] is None
        assert not await _is_kept(site, copy)

    async def test_s07_requests_that_write_nothing_leave_nothing(self, anywhere: Opener) -> None:
        """Without a cookie, and with made-up ones: nothing is written, and no cookie is set."""
        site = await anywhere()
        for path, token in product(("/untouched", "/keys", "/logout"), (None, encode_id(new_id()), None)):
            response = await site.browser(token=token).get(path)
            assert (response.status_code, site.cookies(response)) == (200, [])
        assert set(site.calls()) <= {"load"}

    async def test_s09_the_deadline_is_exact(self, anywhere: Opener) -> None:
        """A life of one second: alive a millisecond before its end, dead at the end and after it."""
        site = await anywhere(policy=SessionPolicy(idle_timeout=1, anonymous_timeout=1))
        for after, keys in ((999, ["a"]), (1000, []), (1001, [])):
            visitor = site.browser()
            await site.ask(visitor, "/write", key="a", value="1")
            site.clock.now += after
            assert await site.replay(site.token(visitor)) == keys, after

    async def test_s10_a_change_of_id_moves_no_absolute_deadline(self, anywhere: Opener) -> None:
        """Used and given a new id all the time: dead at four seconds."""
        policy = SessionPolicy(idle_timeout=2, anonymous_timeout=2, absolute_timeout=4, touch_interval=0)
        site = await anywhere(policy=policy)
        await site.get("/write", key="a", value="1")
        for _ in range(3):
            site.clock.advance(1.3)
            await site.get("/regenerate")
        token = site.token()
        assert await site.replay(token) == ["a"]
        site.clock.advance(0.1)
        assert await site.replay(token) == []

    async def test_s12_a_malformed_cookie_is_no_cookie(
        self, anywhere: Opener, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Control characters, quotes, escapes, no UTF-8: reading sets nothing, writing begins a session, no log."""
        site = await anywhere()
        await site.get("/write", key="a", value="1")
        caplog.set_level(logging.DEBUG, "limpet")
        caplog.clear()  # what a store says when it is opened is said
        browser = site.browser()
        for value in MALFORMED:
            headers = [(b"cookie", b"%b=%b" % (site.name.encode(), value))]
            response = await browser.get("/keys", headers=headers)
            assert (response.status_code, response.text, site.cookies(response)) == (200, "[]", []), value
            response = await site.browser().get("/write", params={"key": "a", "value": "1"}, headers=headers)
            assert (response.status_code, len(site.cookies(response))) == (200, 1), value
        assert [record for record in caplog.records if record.name.startswith("limpet")] == []

    async def test_s13_huge_cookies_are_passed_over(self, anywhere: Opener) -> None:
        """A megabyte under our name is none, costs no store call, and hides no real one behind other cookies."""
        site = await anywhere()
        await site.get("/write", key="a", value="1")
        site.calls()
        name = site.name.encode()
        response = await site.browser().get("/keys", headers=[(b"cookie", name + b"=" + b"A" * (1 << 20))])
        assert (response.status_code, response.text) == (200, "[]")
        assert site.calls() == []
        others = b"x=" + b"y" * 65_000 + b"; " + b"; ".join(b"c%d=v" % number for number in range(1_000))
        response = await site.browser().get(
            "/keys", headers=[(b"cookie", others + b"; " + name + b"=" + site.token().encode())]
        )
        assert response.json() == ["a"]

    async def test_s15_a_cookie_that_browsers_drop_is_an_error(self, anywhere: Opener) -> None:
        """A cookie session of 6,000 bytes: a 500 without a cookie, and the old one stays valid. On a server: saved."""
        site = await anywhere()
        await site.get("/write", key="a", value="1")
        response = await site.first.get("/write", params={"key": "b", "value": b64encode(bytes(4_500))})
        kept = site.kind != "cookie"
        assert (response.status_code, site.cookies(response)) == (200 if kept else 500, [])
        assert await site.get("/keys") == (["a", "b"] if kept else ["a"])

    async def test_s19_the_cookie_that_authenticates_wins(self, anywhere: Opener) -> None:
        """Beside a planted one, in either order, in one header or two: the valid one counts."""
        site = await anywhere(signed=True)
        await site.get("/write", key="a", value="1")
        good, evil = (f"{site.name}={value}".encode() for value in (site.token(), encode_id(new_id())))
        for one, other in ((good, evil), (evil, good)):
            for headers in ([(b"cookie", one + b"; " + other)], [(b"cookie", one), (b"cookie", other)]):
                assert (await site.browser().get("/keys", headers=headers)).json() == ["a"]

    async def test_s19_one_among_very_many_is_found(self, anywhere: Opener) -> None:
        """Twenty planted ones that cannot be tokens hide nothing, wherever they stand, and cost no store call."""
        await _among(await anywhere(signed=True), [f"planted{number}" for number in range(20)])

    async def test_s19_one_among_very_many_forged_ones_is_found(self, anywhere: Opener) -> None:
        """Nor do twenty that look like tokens and have no signature of ours."""
        site = await anywhere(signed=True)
        await _among(site, [encode_id(new_id()) for _ in range(20)])

    async def test_s20_a_disguised_name_is_another_name(self, anywhere: Opener) -> None:
        """Whatever stands before the name belongs to it, and case counts."""
        site = await anywhere()
        await site.get("/write", key="a", value="1")
        name, token = site.name.encode(), site.token().encode()
        for other in (*(disguise + name for disguise in DISGUISES), name.upper(), name.lower(), b"=" + name):
            for cookie in (other + b"=" + token, b"a=b; " + other + b"=" + token):
                response = await site.browser().get("/keys", headers=[(b"cookie", cookie)])
                assert (response.status_code, response.text) == (200, "[]"), cookie

    async def test_s24_s25_a_token_counts_under_its_own_name_and_secret(self, anywhere: Opener) -> None:
        """Of another secret, or of another cookie with the same secret: anonymous, with no error and no store call."""
        one = await anywhere(signed=True)
        other = await anywhere(signed=True, cookie=CookiePolicy(name="__Host-other"))
        await one.get("/write", key="a", value="1")
        token = one.token()
        for _ in range(2):
            other.calls()
            assert await other.replay(token) == []
            assert other.calls() == []
            assert one.manager.keyring is not None
            assert other.manager.keyring is not None
            other.manager.keyring.replace(one.manager.keyring)
        assert await one.get("/keys") == ["a"]

    async def test_s29_a_deletion_meets_the_cookie(self, anywhere: Opener) -> None:
        """For each domain, path and partition the deletion has the attributes that the cookie was set with."""
        for domain, path, partitioned in ((None, "/", True), (None, "/app", False), ("testserver.local", "/", True)):
            policy = CookiePolicy(domain=domain, path=path, partitioned=partitioned, same_site="none")
            site = await anywhere(cookie=policy)
            [line] = site.cookies(await site.browser().get("/login"))
            pair, *attributes = line.split("; ")
            [gone] = site.cookies(await site.browser(token=pair.partition("=")[2]).get("/logout"))
            assert {"Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"} < set(gone.split("; "))
            where = {each for each in attributes if not each.startswith(("Max-Age", "Expires"))}
            assert where <= set(gone.split("; ")), policy

    async def test_s30_no_answer_and_no_log_tells_a_secret(
        self, server: Opener, caplog: pytest.LogCaptureFixture
    ) -> None:
        """After an exception, a value that cannot be stored, an outage: no token, no value, in bodies and in logs."""
        value = "4111-1111-1111-1111"
        site = await server(signed=True)
        caplog.set_level(logging.DEBUG)
        await site.get("/write", key="card", value=value)
        tokens = [site.token()]
        await site.get("/login")
        tokens.append(site.token())
        # a client writes the URLs that it asks for into its log, so no value is sent from here on
        caplog.clear()
        answers = [await site.first.get(path) for path in ("/boom?first=keys", "/store_object")]
        site.store.down = True
        answers += [await site.first.get(path) for path in ("/keys", "/logout")]
        said = "\n".join([*(answer.text for answer in answers if answer.status_code >= 400), caplog.text])
        assert {answer.status_code for answer in answers} >= {500, 503}
        for secret in (*tokens, *(each[8:] for each in tokens), value):
            assert secret not in said

    async def test_s32_sign_out_everywhere(self, server: Opener) -> None:
        """Of three browsers one keeps its session when the subject's others are ended."""
        site = await server()
        browsers = [site.browser() for _ in range(3)]
        for browser in browsers:
            await site.ask(browser, "/login")
        mine = (await site.ask(browsers[0], "/facts"))["public_id"]
        assert await site.manager.revoke_all("ann", except_=mine) == 2
        assert [(await site.ask(each, "/facts"))["subject"] for each in browsers] == ["ann", None, None]

    async def test_s33_a_copied_cookie_session_ends_with_the_logout(self) -> None:
        """Where a store notes what ended: the copy of a cookie that holds its session is nobody's after the logout."""
        from limpet.stores import CookieStore, MemoryStore

        def store() -> CookieStore:
            return CookieStore(revocation="denylist", revocation_store=MemoryStore())

        made: Any = self.openers("cookie", store)
        async with aclosing(made) as openers:
            async for open_site in openers:
                site = await open_site()
                await site.get("/login")
                copy = site.token()
                assert (await site.replay(copy, "/facts"))["subject"] == "ann"
                await site.get("/logout")
                assert (await site.replay(copy, "/facts"))["subject"] is None

    async def test_s35_no_header_changes_the_cookie(self, anywhere: Opener) -> None:
        """What anybody can send about the scheme and the host takes no attribute away."""
        site = await anywhere()
        lines = [site.cookies(await site.browser().get("/login", headers=headers))[0] for headers in ({}, *SPOOFED)]
        assert {line.partition("; ")[2] for line in lines} == {
            "Max-Age=1209600; Path=/; HttpOnly; Secure; SameSite=Lax"
        }


def _key(site: Site, token: str) -> str:
    """Return the store key of a token that the site's manager handed out."""
    raw = site.manager.engine.ids.verify(token)
    assert raw is not None
    return site.manager.engine.ids.key_of(raw)


async def _is_kept(site: Site, token: str) -> bool:
    """Tell whether the store has a session under an id; what is left for a minute under one that ended is none."""
    record = await site.store.store.load(_key(site, token))
    return record is not None and not is_mark(record.payload)


async def _among(site: Site, planted: list[str]) -> None:
    await site.get("/write", key="a", value="1")
    browser, good = site.browser(), site.token()
    for place in (0, 10, len(planted)):
        site.calls()
        line = "; ".join(f"{site.name}={value}" for value in [*planted[:place], good, *planted[place:]])
        response = await browser.get("/keys", headers={"cookie": line})
        assert (response.status_code, response.json()) == (200, ["a"]), place
        assert site.calls() in ([], ["load"])
    response = await browser.get("/keys", headers={"cookie": "; ".join(f"{site.name}={value}" for value in planted)})
    assert (response.status_code, response.json(), site.cookies(response)) == (200, [], [])
    assert site.calls() == []
