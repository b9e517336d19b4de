"""Gradio in an application: `make packages` runs this, with the package; it is too large for every environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from tests.packages.served import served

pytestmark = pytest.mark.skipif(find_spec("gradio") is None, reason="Gradio is not installed: make packages")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server."""
    with served("gradio_site", tmp_path_factory.mktemp("gradio"), GRADIO_ANALYTICS_ENABLED="False") as address:
        yield address


def _pressed(visitor: httpx.Client, button: str, *given: str) -> str:
    """Press a button of the demo as Gradio's own clients do: start a call, then read its events."""
    begun = visitor.post(f"/gradio/gradio_api/call/{button}", json={"data": given})
    assert begun.status_code == 200, begun.text
    with visitor.stream("GET", f"/gradio/gradio_api/call/{button}/{begun.json()['event_id']}") as events:
        lines = [line for line in events.iter_lines() if line.startswith("data: ")]
    found: list[str] = json.loads(lines[-1].removeprefix("data: "))
    return found[0]


def test_who_may_use_the_demo(address: str) -> None:
    """Nobody who is not logged in, and the functions of the demo know who asks; a logout ends it."""
    with httpx.Client(base_url=address, timeout=30, follow_redirects=True) as ann:
        assert ann.get("/gradio/").status_code == 401
        ann.get("/sign-in/ann")
        assert ann.get("/gradio/").status_code == 200
        assert _pressed(ann, "greet", "Hello") == "Hello, ann"
        ann.get("/sign-out")
        assert ann.get("/gradio/").status_code == 401


def test_what_the_dependency_writes_is_kept(address: str) -> None:
    """The function that Gradio asks who is there may change the session."""
    with httpx.Client(base_url=address, timeout=30, follow_redirects=True) as bob:
        bob.get("/sign-in/bob")
        before = bob.get("/data").json()["asked"]
        bob.get("/gradio/")
        assert bob.get("/data").json()["asked"] > before


def test_its_login_button_on_our_sessions(tmp_path: Path) -> None:
    """Signed in with an OpenID provider, known to the demo, and signed out for every copy of the cookie."""
    with (
        served("gradio_oauth_site", tmp_path, GRADIO_ANALYTICS_ENABLED="False") as address,
        httpx.Client(base_url=address, timeout=30) as ann,
    ):
        assert _pressed(ann, "who") == "nobody"
        place = "/gradio/login/huggingface?_target_url=/data"
        while place:  # its cookie is Secure, and the test's server has no certificate: so it is sent by hand
            answer = ann.get(place)
            assert answer.status_code in {200, 302, 307}, answer.text
            for line in answer.headers.get_list("set-cookie"):
                assert line.startswith("session=")
                ann.headers["cookie"] = line.partition(";")[0]
            place = answer.headers.get("location", "")
        assert len(ann.headers["cookie"]) < 200, "an id, and no session"
        assert _pressed(ann, "who") == "ann"
        ann.get("/gradio/logout")
        assert _pressed(ann, "who") == "nobody", "its cookie opens nothing any more"
