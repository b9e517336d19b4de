"""S25: a token of one kind or of one cookie is accepted as another."""

from __future__ import annotations

from typing import Any

import pytest

from limpet import CookiePolicy, Keyring, Session
from limpet._wire.tokens import new_id
from limpet.csrf import csrf_token
from limpet.sealers.encrypted import EncryptedSealer
from limpet.sealers.signed import SignedSealer
from limpet.stores import CookieStore
from tests.security.site import ANONYMOUS, SECRET, WatchedSite

STORES = pytest.mark.parametrize("store", [None, "cookie:", "cookie:signed"], ids=["id", "encrypted", "signed"])


@STORES
async def test_a_token_is_bound_to_its_cookie(store: str | None) -> None:
    """The same secret and store under another cookie name, or another label: anonymous."""
    one = WatchedSite(store=store, secret=SECRET)
    token = (await one.ask("/write")).given
    settings: dict[str, Any]
    for settings in ({"cookie": CookiePolicy(name="__Host-other")}, {"label": "admin"}):
        other = WatchedSite(store=one.watched if store is None else store, secret=SECRET, **settings)
        assert (await other.ask("/dump", token)).text == ANONYMOUS
        assert (await one.ask("/read", token)).text == "1"


@STORES
@pytest.mark.parametrize("purpose", ["reset-password", "csrf", "flash", "", "session-id"])
@pytest.mark.parametrize("kind", [SignedSealer, EncryptedSealer])
async def test_what_the_application_seals_is_no_session(
    store: str | None, purpose: str, kind: type[SignedSealer | EncryptedSealer]
) -> None:
    """Whatever it holds, even what a session's own token holds: under another purpose it is anonymous."""
    site = WatchedSite(store=store, secret=SECRET)
    token = (await site.ask("/write")).given
    manager = site.manager
    own = manager.engine.id_sealer if isinstance(manager.engine.id_sealer, SignedSealer) else None
    opened = own.open(token) if own is not None else _inside(site, token)
    assert opened is not None
    sealer = kind(Keyring(SECRET), purpose=purpose, name=manager.cookie_name, clock=site.clock)
    for data in (opened, new_id(), b"\x82\xa7created\x01\xa4data\x80", b""):
        assert (await site.ask("/dump", sealer.seal(data))).text == ANONYMOUS
    assert (await site.ask("/read", token)).text == "1"


def _inside(site: WatchedSite, token: str) -> bytes | None:
    store = site.manager.store
    assert isinstance(store, CookieStore)
    return store._ready().open(token)


async def test_an_id_is_no_cookie_session_and_the_other_way_round() -> None:
    """A signed id under the name of a cookie session is anonymous, and so is a cookie session in place of an id."""
    stored, inside = WatchedSite(secret=SECRET), WatchedSite(store="cookie:signed", secret=SECRET)
    for one, other in ((stored, inside), (inside, stored)):
        assert (await other.ask("/dump", (await one.ask("/write")).given)).text == ANONYMOUS


async def test_a_form_token_is_no_session(signed: WatchedSite) -> None:
    """What a page shows in a hidden field opens nothing."""

    def form(session: Session) -> str:
        return csrf_token(session)

    signed.pages["/form"] = form
    token = (await signed.ask("/form")).text.strip('"')
    assert len(token) > 40
    assert (await signed.ask("/dump", token)).text == ANONYMOUS
