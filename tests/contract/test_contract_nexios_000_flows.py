"""Nexios, third generation: whole flows: login, recent login, cart, wizard, templates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limpet.adapters.nexios import NexiosApp, SessionMiddleware
from limpet.adapters.nexios.http import Request, Response
from limpet.adapters.nexios.session import SessionConfig
from limpet.adapters.nexios.session.file import FileSessionInterface
from tests.contract.nexios_visits import SECRET, cookie_lines, replay, visitor
from tests.kept import kept_in

PRICES = {"tea": ("Tea", 4), "cup": ("Cup", 9)}


class Hall:
    """A theatre: a box office with members, a basket, and a form in two steps."""

    def __init__(self, app: NexiosApp) -> None:
        self.now = 1000.0
        self.filed: list[dict[str, str]] = []
        app.post("/enter", self.enter)
        app.get("/seat", self.seat)
        app.post("/leave", self.leave)
        app.post("/pay", self.pay)
        app.get("/basket", self.basket)
        app.post("/basket/{product_id}", self.put)
        app.delete("/basket", self.drop)
        app.post("/form/name", self.form_name)
        app.post("/form/done", self.form_done)

    async def enter(self, req: Any, res: Any) -> Any:
        fields = await req.form
        if fields.get("word") != "sesame":
            return res.redirect("/enter?again=1")
        req.session["user_id"] = 7
        req.session["username"] = fields.get("name")
        req.session["auth_time"] = self.now
        req.session["is_admin"] = False
        return res.redirect("/seat")

    async def seat(self, req: Any, res: Any) -> Any:
        if "user_id" not in req.session:
            return res.redirect("/enter")
        return res.html(f"<p>{req.session['username']}</p>")

    async def leave(self, req: Any, res: Any) -> Any:
        req.session.clear()
        return res.redirect("/enter")

    async def pay(self, req: Any, res: Any) -> Any:
        if self.now - req.session.get("auth_time", 0) > 300:
            return res.redirect("/enter-again")
        return res.text("paid")

    async def basket(self, req: Any, res: Any) -> Any:
        basket = req.session.get("basket", {})
        return res.json({"basket": basket, "sum": sum(line["price"] * line["number"] for line in basket.values())})

    async def put(self, req: Any, res: Any) -> Any:
        product = req.path_params.product_id
        if product not in PRICES:
            return res.json({"error": "unknown"}, status_code=404)
        basket = req.session.get("basket", {})
        name, price = PRICES[product]
        if product in basket:
            basket[product]["number"] += int(req.query_params.get("number", 1))
        else:
            basket[product] = {"name": name, "price": price, "number": int(req.query_params.get("number", 1))}
        req.session["basket"] = basket
        return res.json({"basket": basket})

    async def drop(self, req: Any, res: Any) -> Any:
        if "basket" in req.session:
            del req.session["basket"]
        return res.json({})

    async def form_name(self, req: Any, res: Any) -> Any:
        fields = await req.form
        if not fields.get("name"):
            return res.redirect("/form/name?missing=name")
        form = req.session.get("form", {})
        form.update({"name": fields.get("name"), "mail": fields.get("mail")})
        req.session["form"] = form
        return res.redirect("/form/next")

    async def form_done(self, req: Any, res: Any) -> Any:
        self.filed.append(req.session.get("form", {}))
        del req.session["form"]
        return res.redirect(f"/form/filed?number={len(self.filed)}")


@pytest.fixture(params=["cookie", "file"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], NexiosApp]:
    """Return a function that makes an application over each of the two backends."""

    def app() -> NexiosApp:
        made = NexiosApp()
        made.config.secret_key = SECRET
        if request.param == "file":
            made.config.session = SessionConfig(manager=FileSessionInterface, session_dir=tmp_path / "hall")
        made.add_middleware(SessionMiddleware())
        return made

    return app


def test_n0_50_login(make: Callable[[], NexiosApp]) -> None:
    """A wrong word leads back and sets nothing; the right one stores four keys and leads on."""
    app = make()
    Hall(app)

    @app.get("/stored")
    async def stored(req: Any, res: Any) -> Any:
        return res.json(sorted(req.session.keys()))

    browser = visitor(app, follow_redirects=False)
    response = browser.post("/enter", data={"name": "ann", "word": "open"})
    assert (response.status_code, response.headers["location"]) == (302, "/enter?again=1")
    assert cookie_lines(response) == []
    response = browser.post("/enter", data={"name": "ann", "word": "sesame"})
    assert (response.status_code, response.headers["location"]) == (302, "/seat")
    assert browser.get("/seat").text == "<p>ann</p>"
    assert browser.get("/stored").json() == ["auth_time", "is_admin", "user_id", "username"]


def test_n0_51_a_page_for_members(make: Callable[[], NexiosApp]) -> None:
    """Without a login the page leads to the door."""
    app = make()
    Hall(app)
    response = visitor(app, follow_redirects=False).get("/seat")
    assert (response.status_code, response.headers["location"]) == (302, "/enter")


def test_n0_52_logout_deletes_the_cookie(make: Callable[[], NexiosApp]) -> None:
    """The answer to a logout deletes the cookie with the same attributes, and the member is out."""
    app = make()
    Hall(app)
    browser = visitor(app, follow_redirects=False)
    browser.post("/enter", data={"name": "ann", "word": "sesame"})
    [line] = cookie_lines(browser.post("/leave"))
    assert line.startswith("session_id=; Max-Age=0; ")
    assert "Path=/" in line
    assert browser.cookies.get("session_id") is None
    assert browser.get("/seat").status_code == 302


def test_n0_53_recent_login(make: Callable[[], NexiosApp]) -> None:
    """A login of the last 300 seconds is enough to pay, an older one is not."""
    app = make()
    hall = Hall(app)
    browser = visitor(app, follow_redirects=False)
    assert browser.post("/pay").headers["location"] == "/enter-again"
    browser.post("/enter", data={"name": "ann", "word": "sesame"})
    hall.now += 300
    assert browser.post("/pay").text == "paid"
    hall.now += 1
    assert browser.post("/pay").headers["location"] == "/enter-again"


def test_n0_54_basket(make: Callable[[], NexiosApp]) -> None:
    """Put in, put in again, sum up: the nested number is kept."""
    app = make()
    Hall(app)
    browser = visitor(app)
    browser.post("/basket/tea")
    browser.post("/basket/tea?number=2")
    browser.post("/basket/cup")
    assert browser.get("/basket").json() == {
        "basket": {"tea": {"name": "Tea", "price": 4, "number": 3}, "cup": {"name": "Cup", "price": 9, "number": 1}},
        "sum": 21,
    }


def test_n0_55_path_parameters_by_attribute(make: Callable[[], NexiosApp]) -> None:
    """``req.path_params.name`` works in a handler without such a parameter; an unknown product is a 404."""
    app = make()
    Hall(app)

    @app.get("/both/{first}/{second}")
    async def both(req: Any, res: Any, second: str) -> Any:
        return res.json([req.path_params.first, second])

    browser = visitor(app)
    assert browser.post("/basket/tea").json()["basket"]["tea"]["number"] == 1
    response = browser.post("/basket/moon")
    assert (response.status_code, response.json()) == (404, {"error": "unknown"})
    assert browser.get("/both/a/b").json() == ["a", "b"]


def test_n0_56_basket_is_emptied(make: Callable[[], NexiosApp]) -> None:
    """Without its key the basket is empty on the next request."""
    app = make()
    Hall(app)
    browser = visitor(app)
    browser.post("/basket/tea")
    browser.delete("/basket")
    assert browser.get("/basket").json() == {"basket": {}, "sum": 0}


def test_n0_57_form_in_two_steps(make: Callable[[], NexiosApp]) -> None:
    """The first step is kept, the last one takes it, leads on and drops it."""
    app = make()
    hall = Hall(app)
    browser = visitor(app, follow_redirects=False)
    assert browser.post("/form/name", data={}).headers["location"] == "/form/name?missing=name"
    response = browser.post("/form/name", data={"name": "Ann", "mail": "ann@example.com"})
    assert response.headers["location"] == "/form/next"
    assert browser.post("/form/done").headers["location"] == "/form/filed?number=1"
    assert hall.filed == [{"name": "Ann", "mail": "ann@example.com"}]
    assert browser.post("/form/done").status_code == 500  # the key is gone


@pytest.mark.parametrize("engine", [False, True], ids=["own", "framework's"])
def test_n0_58_html_template(
    make: Callable[[], NexiosApp], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: bool
) -> None:
    """`html_template` renders a file with values, escaped, over the framework's templating or without it."""
    from nexios import templating

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(templating, "engine", None)
    folder = tmp_path / ("pages" if engine else "templates")
    folder.mkdir()
    (folder / "step.html").write_text("<i>{{ form.name }}</i>")
    if engine:
        templating.TemplateEngine().setup_environment(templating.TemplateConfig(template_dir=folder))
    app = make()

    @app.get("/step")
    async def step(req: Request, res: Response) -> Response:
        req.session["form"] = {"name": "Ann & Bob"}
        return res.html_template("step.html", form=req.session["form"])

    response = visitor(app).get("/step")
    assert response.text == "<i>Ann &amp; Bob</i>"
    assert response.headers["content-type"].startswith("text/html")
    assert len(cookie_lines(response)) == 1


def test_c_33_a_login_by_key_changes_the_id(tmp_path: Path) -> None:
    """Writing ``user_id`` is a login: the id that was there before is dead at once, and its data lives on."""
    app = NexiosApp()
    app.config.secret_key = SECRET
    app.config.session = SessionConfig(manager=FileSessionInterface, session_dir=tmp_path / "hall")
    app.add_middleware(SessionMiddleware())
    Hall(app)
    browser = visitor(app, follow_redirects=False)
    browser.post("/basket/tea")
    planted = browser.cookies["session_id"]
    browser.post("/enter", data={"name": "ann", "word": "sesame"})
    assert browser.cookies["session_id"] != planted
    assert browser.get("/seat").status_code == 200
    assert list(browser.get("/basket").json()["basket"]) == ["tea"]
    assert replay(app, planted, "/basket").json()["basket"] == {}
    assert len(kept_in(f"file:{tmp_path / 'hall'}")) == 1
