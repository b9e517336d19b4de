"""Every file under examples/, started by a real server and used by a browser."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.servers.process import ServerProcess, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


class Example:
    """One example on a server that can be stopped and started, and a browser in front of it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.port = free_port()
        serve = ["-m", "uvicorn", "--app-dir", str(ROOT), f"examples.{name}:app", "--port", str(self.port)]
        if name == "flask_app":
            serve = ["-m", "flask", "--app", str(ROOT / "examples" / name), "run", "--port", str(self.port)]
        if name == "aiohttp_app":
            serve = [str(ROOT / "examples" / "aiohttp_app.py"), str(self.port)]
        self.server = ServerProcess([sys.executable, *serve], folder)
        self.browser = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", follow_redirects=True)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.server.start()
        wait_until(self._answers, "the start of the server", 60)

    def restart(self) -> None:
        """End the server, and start another one in the same folder."""
        self.server.stop()
        self.start()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/no/such/page").status_code == 404
        except httpx.TransportError:
            assert self.server.running, self.server.log.read_text()
            return False

    def page(self) -> str:
        """Return the first page."""
        answer = self.browser.get("/")
        assert answer.status_code == 200, answer.text
        return answer.text

    def send(self, path: str, **fields: str) -> str:
        """Send a form as the first page has it; return the page that comes."""
        token = re.search(r'name="(csrf_token|csrfmiddlewaretoken)" value="([^"]+)"', self.page())
        if token is not None:
            assert self.browser.post(path, data=fields).status_code == 403
            fields[token[1]] = token[2]
        answer = self.browser.post(path, data=fields)
        assert answer.status_code == 200, answer.text
        return answer.text


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Example]:
    """Return the example that the test names, running in a folder of its own as in development."""
    monkeypatch.setenv("LIMPET_DEV", "1")
    monkeypatch.setenv("SECRET_KEY", "Nq4Lr8Zx2Wb7Tm0Vy5Kc9Hd3Pf6Gs1Ja8UeQoRiXt2M")
    example = Example(request.param, tmp_path)
    example.start()
    with example.browser:
        yield example
    example.server.stop()


def shop(example: Example) -> None:
    """Fill a basket, log in with it, log out."""
    assert "1 x tea" in example.send("/basket/tea")
    assert "2 x tea" in example.send("/basket/tea")
    assert "Total: 10" in example.send("/basket/milk")
    example.restart()
    assert "Total: 10" in example.page()
    before = dict(example.browser.cookies)
    page = example.send("/login", name="Ann & Bob")
    assert "Ann &amp; Bob" in page
    assert "Total: 10" in page
    assert dict(example.browser.cookies) != before
    page = example.send("/logout")
    assert "Nobody" in page
    assert "Total: 0" in page


def quiz(example: Example) -> None:
    """Play to the end, watched by a WebSocket, and begin again."""
    assert "0 right" in example.page()
    cookie = "; ".join(f"{name}={value}" for name, value in example.browser.cookies.items())
    with connect(f"ws://127.0.0.1:{example.port}/watch", additional_headers={"cookie": cookie}, proxy=None) as watcher:
        assert "1 right" in example.send("/answer", answer="42")
        watcher.send("score?")
        assert watcher.recv(timeout=10) == "1"
    assert "1 right" in example.send("/answer", answer="Porto")
    example.restart()
    page = example.send("/answer", answer=" GREEN ")
    assert "That was all" in page
    assert "2 right" in page
    assert "0 right" in example.send("/again")


def shopping_list(example: Example) -> None:
    """Add two things, and begin anew."""
    assert "Visit 1" in example.page()
    assert "<li>tea</li>" in example.send("/add", item="tea")
    example.restart()
    page = example.send("/add", item="<milk>")
    assert "<li>tea</li><li>&lt;milk&gt;</li>" in page
    page = example.send("/over")
    assert "Visit 1" in page
    assert "<li>" not in page


def settings(example: Example) -> None:
    """Count visits, keep a name and a theme, forget both."""
    assert "stranger. Visit 1" in example.page()
    page = example.send("/settings", name="Ann <3", theme="dark")
    assert "Ann &lt;3" in page
    assert 'class="dark"' in page
    example.restart()
    assert "Ann &lt;3" in example.page()
    assert 'class="light"' in example.send("/settings", name="Ann", theme="neon")
    assert "stranger. Visit 1" in example.send("/forget")
    assert example.browser.get("/health").text == '"ok"'


def booking(example: Example) -> None:
    """Go through the three steps and start over."""
    assert "Tell us the city" in example.page()
    assert "city: Lisbon" in example.send("/tell/city", value="Lisbon")
    example.restart()
    assert "Tell us the name" in example.send("/tell/nights", value="3")
    page = example.send("/tell/name", value="<Ann>")
    assert "Your booking" in page
    assert "name: &lt;Ann&gt;" in page
    assert "Tell us the city" in example.send("/over")
    answer = example.browser.get("/health")
    assert answer.text == "ok"
    assert "vary" not in answer.headers


def library(example: Example) -> None:
    """Take a book home, and keep it while the server restarts."""
    assert "Stranger, visit 1" in example.page()
    assert 'action="/return/emma"' in example.send("/take/emma")
    example.restart()
    assert 'action="/return/emma"' in example.page()
    assert "Ann, visit" in example.send("/card", name="Ann")
    assert "Stranger, visit 1" in example.send("/card/return")


def board(example: Example) -> None:
    """Note something, log in with it, log out."""
    assert "Nobody: 1 visits" in example.page()
    assert "<li>milk" in example.send("/notes", text="milk")
    example.restart()
    assert "<li>milk" in example.page()
    page = example.send("/login", text="Ann")
    assert "Ann:" in page
    assert "<li>milk" in page
    assert "Nobody: 1 visits" in example.send("/logout")


def cinema(example: Example) -> None:
    """Take seats, log in with them, end a session elsewhere, log out."""
    assert "Stranger: 0 seats" in example.page()
    assert "<b>A1</b> is yours" in example.send("/seats/A1")
    example.restart()
    page = example.send("/seats/B2")
    assert "Stranger: 2 seats" in page
    assert "<b>B2</b> is yours" in page
    assert "is yours" not in example.page()
    before = dict(example.browser.cookies)
    page = example.send("/login", name="Ann <3")
    assert "Ann &lt;3: 2 seats" in page
    assert "Signed in on 1 devices" in page
    assert dict(example.browser.cookies) != before
    with httpx.Client(base_url=example.browser.base_url, follow_redirects=True) as other:
        assert "Signed in on 2 devices" in other.post("/login", data={"name": "Ann <3"}).text
        assert "1 other sessions were ended" in example.send("/elsewhere")
        assert "Stranger: 0 seats" in other.get("/").text
    assert "Stranger: 0 seats" in example.send("/logout")


def guest_book(example: Example) -> None:
    """Sign, come back, log in, log out."""
    assert "Stranger, visit 1" in example.page()
    assert "<p>hello &lt;b&gt;</p>" in example.send("/sign", line="hello <b>")
    example.restart()
    page = example.send("/login", name="Ann")
    assert "<h1>Ann, visit" in page
    assert "<p>hello" in page
    page = example.send("/logout")
    assert "Stranger, visit 1" in page
    assert "<p>" not in page


def poll(example: Example) -> None:
    """Vote, change the vote, log in with it, log out."""
    assert "changed 0 times" in example.page()
    assert "Your vote: tea" in example.send("/vote", vote="tea")
    example.restart()
    assert "Your vote: &lt;b&gt;, changed 2 times" in example.send("/vote", vote="<b>")
    page = example.send("/login", name="Ann")
    assert "<h1>Ann: tea or coffee?" in page
    assert "changed 2 times" in page
    assert "Stranger" in example.send("/logout")


USES: dict[str, Callable[[Example], None]] = {
    "aiohttp_app": poll,
    "blacksheep_app": board,
    "django_app": shopping_list,
    "fastapi_app": shop,
    "fastmvc_app": settings,
    "flask_app": cinema,
    "litestar_app": booking,
    "nexios_app": library,
    "quart_app": guest_book,
    "starlette_app": quiz,
}


@pytest.mark.parametrize("example", USES, indirect=True)
def test_example(example: Example, request: pytest.FixtureRequest) -> None:
    """What the example's own page offers works, and what was kept outlives a restart."""
    USES[request.node.callspec.params["example"]](example)


def test_every_example_is_used() -> None:
    """No file under examples/ goes without a test, and there is one for every framework."""
    assert sorted(USES) == EXAMPLES
    adapters = {path.stem for path in (ROOT / "src" / "limpet" / "adapters").iterdir() if not path.stem.startswith("_")}
    assert {name.removesuffix("_app") for name in EXAMPLES} == adapters
