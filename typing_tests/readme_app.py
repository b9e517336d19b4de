"""The example of the README, word for word. Checked by `make lint`, run by nobody."""

from fastapi import FastAPI
from limpet.adapters.fastapi import SessionDep, SessionMiddleware

app = FastAPI()
app.add_middleware(SessionMiddleware, manager="sqlite:///sessions.db")


@app.post("/basket/{item}")
async def put(item: str, session: SessionDep) -> list[str]:
    basket: list[str] = session.setdefault("basket", [])
    basket.append(item)  # a nested change: saved, and no flag to set
    return basket


@app.post("/visits")
async def visit(session: SessionDep) -> int:
    return session.increment("visits")  # fifty at once count fifty


@app.post("/login/{name}")
async def login(name: str, session: SessionDep) -> str:
    session.login(name)  # a new id; the old one is dead at once
    return f"hello, {session.subject}"


@app.post("/logout")
async def logout(session: SessionDep) -> None:
    session.logout()  # a request that is still under way cannot bring it back
