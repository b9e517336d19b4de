"""S04: the logout deletes the cookie and leaves the session alive."""

from __future__ import annotations

from tests.security.site import ANONYMOUS, WatchedSite


async def test_a_copied_cookie_is_worthless_after_the_logout(signed: WatchedSite) -> None:
    """Login, copy the cookie, log out: the copy is anonymous and the row is gone (ASVS 5.0, 7.4.1)."""
    copy = (await signed.ask("/login")).given
    answer = await signed.ask("/logout", copy)
    assert answer.status == 200
    assert "Max-Age=0" in answer.cookies[0]
    assert signed.kept == {}
    assert (await signed.ask("/dump", copy)).text == ANONYMOUS
