"""S15: a browser drops a cookie that is too large, and nobody notices."""

from __future__ import annotations

from limpet import CookieTooLarge
from tests.security.site import WatchedSite


async def test_it_is_an_error_before_the_response_starts(in_cookie: WatchedSite) -> None:
    """Six thousand bytes: an error that names the key and the size, no cookie, and the old one stays valid."""
    in_cookie.pages["/fill"] = lambda session: session.update(basket="x" * 6_000)
    token = (await in_cookie.ask("/write")).given
    answer = await in_cookie.ask("/fill", token)
    assert answer.status == 500
    assert answer.cookies == []
    assert isinstance(answer.error, CookieTooLarge)
    assert answer.error.largest[0][0] == "basket"
    assert "'basket'" in str(answer.error)
    assert answer.error.size > 6_000
    assert (await in_cookie.ask("/read", token)).text == "1"


async def test_everything_that_is_sent_is_kept_by_browsers(in_cookie: WatchedSite) -> None:
    """Whatever the length: either the whole line has at most 4,096 bytes, or it is refused."""
    sent = refused = 0
    for length in range(2_500, 4_200, 13):
        in_cookie.pages["/fill"] = lambda session, length=length: session.update(text="x" * length)  # type: ignore[misc]
        answer = await in_cookie.ask("/fill")
        if answer.cookies:
            sent += 1
            assert len(answer.cookies[0]) <= 4_096
        else:
            refused += 1
            assert isinstance(answer.error, CookieTooLarge)
    assert sent > 10
    assert refused > 10
