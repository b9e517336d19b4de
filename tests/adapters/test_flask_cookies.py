"""The cookie of a session that keeps its id goes out again: as it came, or signed anew where that is due."""

from __future__ import annotations

from typing import Any

import pytest

from limpet.keyring import generate_secret
from limpet.sealers.signed import SignedSealer
from tests.adapters.flask_site import SECRET, Site, cookies, token


def test_it_goes_out_as_it_came(site: Site, browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is signed for it: the token that the request was served by says the same."""
    browser.get("/set/a/1")
    before = token(browser)
    monkeypatch.setattr(SignedSealer, "seal", None)
    assert cookies(browser.get("/set/a/2"))
    assert token(browser) == before
    assert browser.get("/all").json == {"a": "2"}


def test_beside_another_of_its_name(site: Site, browser: Any) -> None:
    """A cookie that somebody planted is not the one that goes out."""
    browser.get("/set/a/1")
    mine = token(browser)
    plain = site.app.test_client(use_cookies=False)
    for line in (f"session=planted; session={mine}", f"session={mine}; session=planted"):
        (sent,) = cookies(plain.get("/set/a/2", headers={"Cookie": line}))
        assert sent.partition(";")[0] == f"session={mine}"


def test_under_a_new_secret(site: Site, browser: Any) -> None:
    """It is signed under the newest secret, and opens the same session."""
    browser.get("/set/a/1")
    before = token(browser)
    site.app.config.update(SECRET_KEY=generate_secret(), SECRET_KEY_FALLBACKS=[SECRET])
    browser.get("/set/b/2")
    assert token(browser) != before
    site.app.config.update(SECRET_KEY_FALLBACKS=[])
    assert browser.get("/all").json == {"a": "1", "b": "2"}
