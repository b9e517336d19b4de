"""FastAPI's typed values: `in_session`, `session_of`, `SessionDep`."""

# Annotations are no strings here: FastAPI could not see the managers that a test function makes for itself.

import asyncio
import enum
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from fastapi import Depends, FastAPI, WebSocket
from pydantic import BaseModel, Field

from limpet import ConfigurationError, InvalidSessionData, SessionManager
from limpet.adapters.fastapi import Session, SessionDep, SessionMiddleware, in_session, session_of
from limpet.stores import MemoryStore
from limpet.testing import AsyncSessionClient, async_client
from limpet.testing._adapter_site import WatchedStore


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class PydanticCart(BaseModel):
    items: list[str] = Field(default_factory=list)
    total: Decimal = Decimal(0)
    size: Size = Size.SMALL
    since: datetime | None = None


@dataclass
class DataclassCart:
    items: list[str] = field(default_factory=list)
    total: Decimal = Decimal(0)
    size: Size = Size.SMALL
    since: datetime | None = None


class StructCart(msgspec.Struct):
    items: list[str] = msgspec.field(default_factory=list)
    total: Decimal = Decimal(0)
    size: Size = Size.SMALL
    since: datetime | None = None


MODELS: list[Any] = [PydanticCart, DataclassCart, StructCart]
MOMENT = datetime(2025, 1, 2, tzinfo=UTC)


class Needy(BaseModel):
    name: str
    age: int


def shop(model: Any, **options: Any) -> tuple[FastAPI, WatchedStore]:
    """Return an application with a cart, and its store."""
    annotation = Annotated[model, in_session("cart", **options)]
    app = FastAPI()
    store = WatchedStore(MemoryStore())
    app.add_middleware(SessionMiddleware, manager=SessionManager(store))

    async def look(cart: Any) -> list[str]:
        return [] if cart is None else list(cart.items)

    async def add(item: str, cart: Any) -> None:
        cart.items.append(item)
        cart.total += Decimal("1.10")
        cart.size = Size.LARGE
        cart.since = MOMENT

    async def check(cart: Any) -> bool:
        assert type(cart) is model
        return (cart.total, cart.size, cart.since) == (Decimal("2.20"), Size.LARGE, MOMENT)

    for function in (look, add, check):
        function.__annotations__["cart"] = annotation
    app.get("/look")(look)
    app.post("/add/{item}")(add)
    app.get("/check")(check)
    return app, store


@pytest.mark.parametrize("model", MODELS)
async def test_changes_of_a_model_are_saved(model: Any) -> None:
    """A model is changed like any object, nested too, and the next request has it back with its types."""
    app, store = shop(model)
    async with async_client(app) as c:
        assert (await c.post("/add/tea")).status_code == 200
        assert (await c.post("/add/milk")).status_code == 200
        assert (await c.get("/look")).json() == ["tea", "milk"]
        assert (await c.get("/check")).json() is True
        async with c.session() as session:
            stored = session["cart"]
        assert stored == {"items": ["tea", "milk"], "total": Decimal("2.20"), "size": "l", "since": MOMENT}
    assert store.calls.count("update") == 1


@pytest.mark.parametrize("model", MODELS)
async def test_a_model_that_is_only_read_writes_nothing(model: Any) -> None:
    """Reading a model creates no session; with one, it writes nothing and sets no cookie."""
    app, store = shop(model)
    async with async_client(app) as c:
        response = await c.get("/look")
        assert response.json() == []
        assert "set-cookie" not in response.headers
        assert store.calls == []
        await c.post("/add/tea")
        store.calls.clear()
        response = await c.get("/look")
        assert "set-cookie" not in response.headers
        assert store.calls == ["load"]


@pytest.mark.parametrize("model", MODELS)
async def test_old_data_of_another_shape_is_a_clear_error(model: Any) -> None:
    """Data that does not fit raises `InvalidSessionData`, which names key, field and cure and no stored value."""
    app, _ = shop(model)
    async with async_client(app) as c:
        async with c.session() as session:
            session["cart"] = {"items": "my secret", "total": 0}
        with pytest.raises(InvalidSessionData, match=r"'cart'.*Cart .*items.*on_invalid='default'") as caught:
            await c.get("/look")
        assert "my secret" not in str(caught.value)
        assert caught.value.key == "cart"


async def test_old_data_can_give_way_to_the_default() -> None:
    """With ``on_invalid="default"`` the default is served, and the old data stays until something is changed."""
    app, store = shop(PydanticCart, on_invalid="default")
    async with async_client(app) as c:
        async with c.session() as session:
            session["cart"] = "old"
        store.calls.clear()
        assert (await c.get("/look")).json() == []
        assert store.calls == ["load"]
        async with c.session() as session:
            assert session["cart"] == "old"
        await c.post("/add/tea")
        assert (await c.get("/look")).json() == ["tea"]


async def test_a_value_that_breaks_its_model_is_not_saved() -> None:
    """A field that was set to something its type does not allow fails now, not in the request that reads it."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager="memory:")

    @app.post("/break")
    async def break_it(cart: Annotated[PydanticCart, in_session("cart")]) -> None:
        cart.total = "not a number"  # type: ignore[assignment]

    async with async_client(app, raise_server_exceptions=False) as c:
        response = await c.post("/break")
        assert response.status_code == 500
        assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    ("default", "items"),
    [(PydanticCart(items=["gift"]), ["gift"]), (lambda: PydanticCart(items=["made"]), ["made"]), (None, [])],
)
async def test_defaults(default: Any, items: list[str]) -> None:
    """An absent key gives a copy of the default, what a function makes, or None."""
    app, _ = shop(PydanticCart, default=default)
    async with async_client(app) as c:
        assert (await c.get("/look")).json() == items
        if default is not None:
            await c.post("/add/tea")
            assert (await c.get("/look")).json() == [*items, "tea"]
            c.cookies.clear()
            assert (await c.get("/look")).json() == items


async def test_a_model_without_defaults_says_so() -> None:
    """Nothing stored, and a model with required fields: the error says to give a default."""
    app, _ = shop(Needy)
    async with async_client(app) as c:
        with pytest.raises(InvalidSessionData, match=r"Needy needs arguments: give in_session\(\.\.\., default="):
            await c.get("/look")


async def test_all_who_ask_for_a_key_get_one_object() -> None:
    """A dependency and its handler change the same model."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager="memory:")

    async def gift(cart: Annotated[PydanticCart, in_session("cart")]) -> None:
        cart.items.append("gift")

    @app.post("/add", dependencies=[Depends(gift)])
    async def add(cart: Annotated[PydanticCart, in_session("cart")]) -> list[str]:
        cart.items.append("tea")
        return cart.items

    @app.post("/mixed", dependencies=[Depends(gift)])
    async def mixed(cart: Annotated[DataclassCart, in_session("cart")]) -> None:
        raise AssertionError("never called")

    async with async_client(app) as c:
        assert (await c.post("/add")).json() == ["gift", "tea"]
        async with c.session() as session:
            assert session["cart"]["items"] == ["gift", "tea"]
        with pytest.raises(ConfigurationError, match="one key has one model"):
            await c.post("/mixed")


async def test_the_plain_value_wins_when_it_is_set() -> None:
    """Writing the key itself takes the model's place."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager="memory:")

    @app.post("/set")
    async def set_it(cart: Annotated[PydanticCart, in_session("cart")], session: SessionDep) -> None:
        cart.items.append("tea")
        session["cart"] = {"items": ["milk"]}

    async with async_client(app) as c:
        await c.post("/set")
        async with c.session() as session:
            assert session["cart"] == {"items": ["milk"]}


async def test_openapi_shows_no_parameter() -> None:
    """Session dependencies are no parameters of the API."""
    app, _ = shop(PydanticCart)

    @app.get("/session")
    async def with_session(session: SessionDep) -> None: ...

    schema = app.openapi()
    assert "parameters" not in schema["paths"]["/look"]["get"]
    assert "parameters" not in schema["paths"]["/session"]["get"]
    assert "requestBody" not in schema["paths"]["/look"]["get"]
    assert [each["name"] for each in schema["paths"]["/add/{item}"]["post"]["parameters"]] == ["item"]
    assert "PydanticCart" not in schema.get("components", {}).get("schemas", {})


async def test_two_models_of_two_requests_merge() -> None:
    """Two requests that change one model at once: both items stay."""
    gate = asyncio.Barrier(2)
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager="memory:")

    @app.post("/add/{item}")
    async def add(item: str, cart: Annotated[PydanticCart, in_session("cart")]) -> None:
        cart.items.append(item)
        if item != "first":
            await gate.wait()

    async with async_client(app) as c:
        await c.post("/add/first")
        await asyncio.gather(c.post("/add/tea"), c.post("/add/milk"))
        async with c.session() as session:
            assert sorted(session["cart"]["items"]) == ["first", "milk", "tea"]


async def test_in_session_works_in_a_websocket() -> None:
    """A WebSocket has the same models, and changes before its acceptance are saved."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager="memory:")

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, cart: Annotated[StructCart, in_session("cart")]) -> None:
        cart.items.append("tea")
        await websocket.accept()
        await websocket.close()

    async with async_client(app) as c:
        async with c.websocket_connect("/socket"):
            pass
        async with c.session() as session:
            assert session["cart"]["items"] == ["tea"]


async def test_session_of_one_of_several_managers() -> None:
    """`session_of` gives the session of the manager it names, for plain and typed values."""
    shop, admin = SessionManager("memory:"), SessionManager("memory:", label="admin")
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager=shop)
    app.add_middleware(SessionMiddleware, manager=admin, scope_key="admin")

    @app.post("/both")
    async def both(
        session: SessionDep,
        staff: Annotated[Session, session_of(admin)],
        cart: Annotated[PydanticCart, in_session("cart", manager=admin)],
    ) -> None:
        session["who"] = "customer"
        staff["who"] = "staff"
        cart.items.append("stapler")

    async with async_client(app) as c:
        await c.post("/both")
        assert await _keys(c, shop) == {"who": "customer"}
        stored = await _keys(c, admin)
        assert (stored["who"], stored["cart"]["items"]) == ("staff", ["stapler"])


async def test_the_error_of_a_manager_that_steps_aside_names_the_label() -> None:
    """The handler's own error says why its session is not there, and a label is what helps."""

    def site(label: str | None) -> FastAPI:
        app = FastAPI()
        app.add_middleware(SessionMiddleware, manager=SessionManager("memory:"))
        app.add_middleware(SessionMiddleware, manager=SessionManager("memory:", label=label), scope_key="admin")

        @app.get("/")
        async def count(session: SessionDep) -> int:
            return session.increment("n")

        return app

    async with async_client(site(None)) as c:
        with pytest.raises(ConfigurationError, match=r"another manager.*label='admin'"):
            await c.get("/")
    async with async_client(site("admin")) as c:
        assert (await c.get("/")).json() == 1


async def _keys(c: AsyncSessionClient, manager: SessionManager) -> dict[str, Any]:
    async with c.session(manager) as session:
        return dict(session)


def test_a_wrong_option_is_refused_where_it_is_written() -> None:
    """``on_invalid`` is one of two words."""
    with pytest.raises(ConfigurationError, match="neither 'raise' nor 'default'"):
        in_session("cart", on_invalid="ignore")  # type: ignore[arg-type]


async def test_a_url_is_enough(tmp_path: Any) -> None:
    """``manager=`` takes the store's URL."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager=f"sqlite:///{tmp_path}/sessions.db")

    @app.post("/cart/{item}")
    async def add(item: str, session: SessionDep) -> Any:
        session.setdefault("cart", []).append(item)
        return session["cart"]

    async with async_client(app) as c:
        await c.post("/cart/tea")
        assert (await c.post("/cart/milk")).json() == ["tea", "milk"]
