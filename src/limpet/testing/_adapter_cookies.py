"""`AdapterSuite`, the part about cookies and ids: when one is set, what it is like, whose it can never be."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable

from limpet._wire.tokens import encode_id, new_id
from limpet.policy import CookiePolicy
from limpet.testing._adapter_site import Site
from limpet.transports.header import HeaderTransport

__all__ = ["CookieRules"]

Opener = Callable[..., Awaitable[Site]]


class CookieRules:
    """Cookies and ids."""

    async def test_first_write_sets_one_cookie(self, anywhere: Opener) -> None:
        """A first write sets exactly one cookie, with the whole set of attributes."""
        site = await anywhere()
        response = await site.first.get("/write", params={"key": "a", "value": "1"})
        assert response.status_code == 200
        [line] = response.headers.get_list("set-cookie")
        pair, *attributes = line.split("; ")
        assert pair.startswith("__Host-Http-session=")
        assert sorted(attributes) == ["HttpOnly", "Max-Age=1209600", "Path=/", "SameSite=Lax", "Secure"]
        assert await site.get("/read", key="a") == "1"

    async def test_untouched_request_adds_nothing(self, anywhere: Opener) -> None:
        """A request that does not ask for the session has no cookie, no header and no store call."""
        site = await anywhere()
        response = await site.first.get("/untouched")
        assert response.status_code == 200
        assert not {"set-cookie", "vary", "cache-control"} & set(response.headers)
        assert site.calls() == []

    async def test_untouched_request_with_a_session_adds_nothing(self, anywhere: Opener) -> None:
        """The same with a live session: nothing is sent; an eager middleware has read it, once."""
        site = await anywhere()
        await site.get("/write", key="a", value=1)
        site.calls()
        response = await site.first.get("/untouched")
        assert not {"set-cookie", "vary", "cache-control"} & set(response.headers)
        assert site.calls() == ([] if site.kind == "cookie" else ["load"])

    async def test_reading_nothing_sets_nothing(self, anywhere: Opener) -> None:
        """A read without a session creates none."""
        site = await anywhere()
        response = await site.first.get("/read", params={"key": "a"})
        assert response.json() is None
        assert "set-cookie" not in response.headers
        assert site.calls() == []

    async def test_reading_and_equal_writes_set_nothing(self, anywhere: Opener) -> None:
        """Reading, and writing the value that is there, sets no cookie and writes nothing."""
        site = await anywhere()
        await site.get("/write", key="a", value="1")
        site.calls()
        for path, query in (("/read", {"key": "a"}), ("/keys", {}), ("/write", {"key": "a", "value": "1"})):
            response = await site.first.get(path, params=query)
            assert response.status_code == 200
            assert "set-cookie" not in response.headers, path
            assert site.calls() in ([], ["load"]), path

    async def test_later_write_of_a_stored_session_sets_no_cookie(self, server: Opener) -> None:
        """The cookie carries the id alone: writing more sends it no second time."""
        site = await server()
        await site.get("/write", key="a", value="1")
        response = await site.first.get("/write", params={"key": "b", "value": "2"})
        assert "set-cookie" not in response.headers
        assert await site.get("/keys") == ["a", "b"]

    async def test_login_gives_a_new_id(self, server: Opener) -> None:
        """`login` keeps the data of an anonymous session under a new id; the old id is dead at once."""
        site = await server()
        await site.get("/write", key="cart", value="tea")
        old = site.token()
        response = await site.first.get("/login", params={"subject": "ann"})
        assert len(site.cookies(response)) == 1
        assert site.token() != old
        assert (await site.get("/facts"))["subject"] == "ann"
        assert await site.get("/read", key="cart") == "tea"
        assert await site.replay(old) == []

    async def test_regenerate_gives_a_new_id(self, server: Opener) -> None:
        """`regenerate` keeps data and subject under a new id; the old id is dead at once."""
        site = await server()
        await site.get("/login", subject="ann")
        await site.get("/write", key="a", value="1")
        old = site.token()
        await site.get("/regenerate")
        assert site.token() != old
        assert (await site.get("/facts"))["subject"] == "ann"
        assert await site.replay(old) == []

    async def test_a_key_of_rotate_on_gives_a_new_id(self, server: Opener) -> None:
        """Writing ``user_id`` is a login: the id changes, the old one is dead."""
        site = await server()
        await site.get("/write", key="cart", value="tea")
        old = site.token()
        await site.get("/write", key="user_id", value="7")
        assert site.token() != old
        assert await site.get("/keys") == ["cart", "user_id"]
        assert await site.replay(old) == []

    async def test_login_of_another_subject_clears(self, anywhere: Opener) -> None:
        """Somebody else's login takes nothing over."""
        site = await anywhere()
        await site.get("/login", subject="ann")
        await site.get("/write", key="secret", value="1")
        await site.get("/login", subject="bob")
        assert await site.get("/keys") == []
        assert (await site.get("/facts"))["subject"] == "bob"

    async def test_logout_deletes_record_and_cookie(self, anywhere: Opener) -> None:
        """`logout` sends one deletion cookie; on a server-side store the old cookie is worth nothing any more."""
        site = await anywhere()
        await site.get("/login", subject="ann")
        old = site.token()
        response = await site.first.get("/logout")
        [line] = site.cookies(response)
        assert line.startswith(f"{site.name}=;")
        assert "Max-Age=0" in line
        assert site.first.cookies.get(site.name) is None
        assert (await site.get("/facts"))["subject"] is None
        if site.kind != "cookie":
            assert (await site.replay(old, "/facts"))["subject"] is None

    async def test_write_after_logout_begins_a_new_session(self, anywhere: Opener) -> None:
        """What is written after `logout` in the same request is a session of nobody with a new cookie."""
        site = await anywhere()
        await site.get("/login", subject="ann")
        await site.get("/write", key="a", value="1")
        old = site.token()
        response = await site.first.get("/logout", params={"then": "goodbye"})
        assert len(site.cookies(response)) == 1
        assert site.token() != old
        assert await site.get("/keys") == ["then"]
        assert (await site.get("/facts"))["subject"] is None
        if site.kind != "cookie":
            assert await site.replay(old) == []

    async def test_only_the_request_that_ends_a_session_deletes_its_cookie(self, server: Opener) -> None:
        """A request with the cookie of a session that is gone is anonymous and leaves the cookie alone."""
        site = await server()
        await site.get("/login", subject="ann")
        other = site.browser(token=site.token())
        await site.get("/logout")
        response = await other.get("/facts")
        assert response.json()["subject"] is None
        assert "set-cookie" not in response.headers

    async def test_a_client_never_chooses_an_id(self, anywhere: Opener) -> None:
        """A well-formed id that nobody handed out is anonymous; the next write makes another one."""
        site = await anywhere()
        chosen = encode_id(new_id())
        mallory = site.browser(token=chosen)
        assert await site.ask(mallory, "/keys") == []
        response = await mallory.get("/write", params={"key": "a", "value": "1"})
        [line] = site.cookies(response)
        assert chosen not in line
        assert await site.replay(chosen) == []

    async def test_hostile_cookies_are_anonymous(self, anywhere: Opener) -> None:
        """Every bit flip and truncation of a signed cookie, and plain junk, is anonymous: no error, no store call."""
        site = await anywhere(signed=True)
        await site.get("/write", key="a", value="1")
        good = site.token().encode()
        site.calls()
        flips = [good[:i] + bytes([good[i] ^ 1 << bit]) + good[i + 1 :] for i in range(len(good)) for bit in range(8)]
        junk = random.Random(7)  # noqa: S311 - the same junk in every run
        random_bytes = [junk.randbytes(junk.randrange(200)) for _ in range(200)]
        browser = site.browser()
        for value in [*flips, *(good[:cut] for cut in range(len(good))), *random_bytes, b"=" * 5000, b"\xff", b"%00"]:
            if value.strip(b" \t;") == good:
                continue  # it is the good one again, between separators
            cookie = [(b"cookie", b"%b=%b" % (site.name.encode(), value))]
            response = await browser.get("/keys", headers=cookie)
            assert (response.status_code, response.text) == (200, "[]"), f"the cookie {value!r} was taken"
            assert "set-cookie" not in response.headers
        assert site.calls() == []

    async def test_junk_without_a_secret_is_anonymous(self, server: Opener) -> None:
        """Without a secret too, what cannot be an id costs no store call."""
        site = await server()
        for value in ("x", "a" * 42, "a" * 44, "!" * 43, os.urandom(16).hex()):
            assert await site.replay(value) == []
        assert site.calls() == []

    async def test_two_sessions_in_one_request_are_none(self, anywhere: Opener) -> None:
        """A request with two live session cookies is anonymous, in whatever order they come."""
        site = await anywhere()
        other = site.browser()
        await site.get("/write", key="mine", value="1")
        await site.ask(other, "/write", key="planted", value="1")
        for pair in ((site.token(), site.token(other)), (site.token(other), site.token())):
            cookie = "; ".join(f"{site.name}={token}" for token in pair)
            response = await site.browser().get("/keys", headers={"cookie": cookie})
            assert response.json() == []

    async def test_cookie_attributes_follow_the_policy(self, anywhere: Opener) -> None:
        """Name, path, domain, SameSite and persistence are those of the `CookiePolicy`, for deletion too."""
        cookie = CookiePolicy(name="sid", path="/", domain="testserver.local", same_site="strict", persistent=False)
        site = await anywhere(cookie=cookie)
        response = await site.first.get("/write", params={"key": "a", "value": "1"})
        [line] = response.headers.get_list("set-cookie")
        attributes = ["Domain=testserver.local", "HttpOnly", "Path=/", "SameSite=Strict", "Secure"]
        assert line.startswith("sid=")
        assert sorted(line.split("; ")[1:]) == attributes
        token = line.partition(";")[0].removeprefix("sid=")
        response = await site.browser(token=token).get("/logout")
        [line] = response.headers.get_list("set-cookie")
        assert line.startswith("sid=;")
        assert set(attributes) < set(line.split("; "))

    async def test_excluded_paths_have_no_session(self, anywhere: Opener) -> None:
        """An excluded path costs no store call and adds no header, whatever cookie comes."""
        site = await anywhere()
        await site.get("/write", key="a", value="1")
        site.calls()
        response = await site.first.get("/excluded")
        assert response.status_code == 200
        assert not {"set-cookie", "vary", "cache-control"} & set(response.headers)
        assert site.calls() == []

    async def test_header_transport(self, server: Opener) -> None:
        """With `HeaderTransport` the id travels in a header of its own, in both directions, and no cookie is set."""
        site = await server(transport=HeaderTransport("X-Session-ID"))
        response = await site.first.get("/login", params={"subject": "ann"})
        token = response.headers["x-session-id"]
        assert "set-cookie" not in response.headers
        response = await site.first.get("/facts", headers={"X-Session-ID": token})
        assert response.json()["subject"] == "ann"
        assert response.headers["vary"] == "X-Session-ID"
        assert (await site.get("/facts"))["subject"] is None
        response = await site.first.get("/logout", headers={"X-Session-ID": token})
        assert response.headers["x-session-id"] == ""
        response = await site.first.get("/facts", headers={"X-Session-ID": token})
        assert response.json()["subject"] is None
