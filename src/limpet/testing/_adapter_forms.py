"""`AdapterSuite`, the part about forms of other sites: the application stands behind `limpet.csrf.CSRFMiddleware`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from limpet.testing._adapter_site import Site
from limpet.testing.clients import AsyncSessionClient

__all__ = ["FormRules"]

Opener = Callable[..., Awaitable[Site]]


async def _is_refused(browser: AsyncSessionClient, token: str | None) -> bool:
    """Tell whether a POST is stopped on its way; what gets through meets a route for GET alone, and never a 403."""
    response = await browser.post("/form_token", headers={} if token is None else {"x-csrf-token": token})
    assert response.status_code in {403, 404, 405}, f"a POST answered {response.status_code}"
    return bool(response.status_code == 403)


class FormRules:
    """Cross-site request forgery."""

    async def test_a_post_needs_a_token_of_its_session(self, anywhere: Opener) -> None:
        """Without a token, or with one of another session, an unsafe request is refused."""
        site = await anywhere(guarded=True)
        mine, other = site.first, site.browser()
        token, foreign = await site.ask(mine, "/form_token"), await site.ask(other, "/form_token")
        assert await _is_refused(mine, None)
        assert await _is_refused(mine, foreign)
        assert not await _is_refused(mine, token)

    async def test_every_page_has_another_token(self, anywhere: Opener) -> None:
        """A token is masked anew for each response, and all of them are good."""
        site = await anywhere(guarded=True)
        tokens = [await site.get("/form_token") for _ in range(2)]
        assert tokens[0] != tokens[1]
        assert [await _is_refused(site.first, token) for token in tokens] == [False, False]

    @pytest.mark.parametrize("change", ["login", "regenerate"])
    async def test_a_token_ends_with_its_id(self, anywhere: Opener, change: str) -> None:
        """After `login` and `regenerate` the old token is refused and a new one is good."""
        site = await anywhere(guarded=True)
        token = await site.get("/form_token")
        await site.get(f"/{change}")
        assert await _is_refused(site.first, token)
        assert not await _is_refused(site.first, await site.get("/form_token"))
