"""NiceGUI, mounted into an application: its pages and its storages, on its own sessions and on ours."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.packages.served import served
from tests.servers.process import wait_until


@pytest.fixture(scope="module", params=["theirs", "ours", "replaced"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Return whose sessions NiceGUI uses, and the address of a server."""
    folder = tmp_path_factory.mktemp("nicegui")
    storage = str(folder / "storage")
    with served("nicegui_site", folder, NICEGUI_SESSIONS=request.param, NICEGUI_STORAGE_PATH=storage) as address:
        yield request.param, address


def _label(page: httpx.Response) -> str:
    assert page.status_code == 200, page.text
    found = re.search(r"user \w+, visits \d+", page.text)
    assert found is not None, page.text
    return found[0]


def test_storages_and_login(site: tuple[str, str]) -> None:
    """NiceGUI counts a visitor's visits either way, and sees the login of the application over our sessions alone."""
    whose, address = site
    with httpx.Client(base_url=address) as ann, httpx.Client(base_url=address) as bob:
        assert _label(ann.get("/ui")) == "user None, visits 1"
        ann.get("/login/ann")
        shown = "user ann" if whose == "ours" else "user None"
        if whose != "ours":
            assert _label(ann.get("/ui")) == f"{shown}, visits 2"
            assert ann.get("/data").json()["session"] == {"user_id": "ann"}
            assert sorted(ann.cookies) == ["ours", "session"]
            assert ("." in ann.cookies["session"]) is (whose == "theirs")  # signed by Starlette's, encrypted by ours
        else:
            assert _label(ann.get("/ui")) == f"{shown}, visits 2"
            held = ann.get("/data").json()["session"]
            assert held == {"user_id": "ann", "seen": True, "id": held["id"]}
            assert sorted(ann.cookies) == ["ours"]
        assert _label(bob.get("/ui")) == "user None, visits 1"


def test_storages_after_the_response(site: tuple[str, str]) -> None:
    """What NiceGUI does with its storages when the page has been sent, as it does in every event, works."""
    _, address = site
    with httpx.Client(base_url=address) as ann:
        for _ in range(3):
            ann.get("/ui")
        wait_until(lambda: ann.get("/data").json()["noted"].get("visits") == 3, "the task after the response", 10)
        assert ann.get("/data").json()["noted"]["later"] is True


def test_logout_of_the_application(site: tuple[str, str]) -> None:
    """Over our sessions, a logout ends NiceGUI's storage of the visitor with them."""
    whose, address = site
    with httpx.Client(base_url=address) as ann:
        ann.get("/login/ann")
        ann.get("/ui")
        ann.get("/logout")
        assert _label(ann.get("/ui")) == f"user None, visits {1 if whose == 'ours' else 2}"


def test_an_event_changes_the_session(site: tuple[str, str]) -> None:
    """An event of an open page changes the session of the application, whichever sessions NiceGUI itself has."""
    _, address = site
    with httpx.Client(base_url=address) as ann:
        assert ann.get("/cart").status_code == 200
        wait_until(lambda: ann.get("/data").json()["session"].get("cart") == ["tea", "milk"], "the event", 10)
