"""The site that tests are written with does what it says, and so does the example of how to use it."""

from __future__ import annotations

import re
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from limpet import Session, StoreUnavailable
from limpet.stores.memory import MemoryStore
from limpet.testing import FailingStore
from tests.jar import Jar
from tests.site import Browser, Site, items, look, nothing, send, steps


async def test_the_example_of_the_readme(tmp_path: Path) -> None:
    """A test with two tabs, as `tests/README.md` shows it, passes."""
    text = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "example.py").write_text(block, encoding="utf-8")
    (test,) = (value for name, value in run_path(str(tmp_path / "example.py")).items() if name.startswith("test_"))
    await test()


async def test_settings_find_their_places() -> None:
    """Each by its name: of the policy, of the manager and of the middleware; one that nobody has is refused."""
    site = Site(idle_timeout=60, secret="one secret, long enough 0123456789 abcdef", lazy=True)
    assert site.manager.policy.idle_timeout == 60
    assert site.manager.keyring is not None
    assert site.app._lazy
    with pytest.raises(TypeError, match="idle_time"):
        assert Site(idle_time=60).app


async def test_an_error_of_a_page_is_the_tests_unless_the_site_answers_it() -> None:
    """A page that fails does not pass for one that answers."""

    def fails(session: Session) -> None:
        raise ZeroDivisionError("on purpose")

    with pytest.raises(ZeroDivisionError):
        await Browser().ask(Site(), fails)
    answer = await Browser().ask(Site(answers_errors=True), fails)
    assert (answer.status, str(answer.error)) == (500, "on purpose")


async def test_a_site_with_no_cookie_to_give_says_so() -> None:
    """`given` is for tests that need an id: its failure says what came in its place."""
    site = Site(FailingStore(MemoryStore()))
    answer = await site.ask(nothing)
    assert answer.token is None
    with pytest.raises(AssertionError, match="200 with 0 cookies"):
        answer.given  # noqa: B018


async def test_a_run_raises_what_the_middleware_answers() -> None:
    """The manager alone: no status stands between the test and the error."""

    class Down(MemoryStore):
        async def create(self, *given: Any, **more: Any) -> Any:
            raise StoreUnavailable("down")

    site = Site(Down())
    assert (await site.ask(lambda session: session.login("ann"))).status == 503
    with pytest.raises(StoreUnavailable):
        await site.login("ann")


async def test_browsers_keep_to_themselves() -> None:
    """A copy begins with the same cookies and goes its own way; the header transport has no cookies at all."""
    site = Site()
    ann = await Browser().login(site)
    tab = ann.copy()
    assert tab.ids == ann.ids
    assert (await tab.ask(site, steps(lambda session: session.update(n=1), items))).result == {"n": 1}
    await ann.ask(site, lambda session: session.regenerate())
    assert tab.ids != ann.ids
    assert (await tab.ask(site, look)).result is None
    assert (await ann.ask(site, look)).result == "ann"


async def test_a_jar_sends_what_the_path_is_below() -> None:
    """The cookie of the longer path first, and none of another path or of a name that only begins alike."""
    jar = Jar("shop.example")
    for line in ("a=1; Path=/", "b=2; Path=/team", "c=3; Path=/other"):
        jar.read(line)
    assert jar.header("/team/one?x=1") == "b=2; a=1"
    assert jar.header("/teams") == "a=1"
    assert Jar("shop.example").header("/") == ""


async def test_a_request_is_sent_as_it_is() -> None:
    """Bytes that no client would send reach the application, and a query is told from the path."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["path"], scope["query_string"], scope["headers"]))
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    assert (await send(app, "/a?b=c", [(b"Cookie", b"\xff\x00")])).status == 204
    assert seen == [("/a", b"b=c", [(b"cookie", b"\xff\x00")])]
