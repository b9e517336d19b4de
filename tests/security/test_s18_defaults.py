"""S18: who configures nothing gets a weak cookie."""

from __future__ import annotations

import pytest

from tests.security.site import SECRET, WatchedSite


@pytest.mark.parametrize("store", [None, "cookie:"], ids=["server", "cookie"])
async def test_the_default_cookie_has_every_protection(store: str | None) -> None:
    """The whole line: ``__Host-Http-``, Path=/, no Domain, HttpOnly, Secure, SameSite=Lax, fourteen days."""
    (line,) = (await WatchedSite(store=store, secret=SECRET).ask("/write")).cookies
    name, _, rest = line.partition("=")
    assert name == "__Host-Http-session"
    assert rest.partition("; ")[2] == "Max-Age=1209600; Path=/; HttpOnly; Secure; SameSite=Lax"


async def test_only_the_switch_makes_it_weaker(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over http without ``dev=True`` it stays Secure; with it, there is neither Secure nor a prefix."""
    monkeypatch.setenv("LIMPET_DEV_ANNOUNCED", "1")
    (line,) = (await WatchedSite().ask("/write", scheme="http")).cookies
    assert "; Secure" in line
    (line,) = (await WatchedSite(dev=True).ask("/write", scheme="http")).cookies
    assert line.startswith("limpet-session=")
    assert "Secure" not in line
    assert "; HttpOnly; SameSite=Lax" in line
