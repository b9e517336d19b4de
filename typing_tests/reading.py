"""The file `reading.py` of the tutorial, word for word. Checked by `make lint`, run by nobody."""

from fastapi import FastAPI, HTTPException

from limpet import SessionManager, SessionPolicy
from limpet.adapters.fastapi import SessionDep, SessionMiddleware

manager = SessionManager(devices=True, policy=SessionPolicy(idle_timeout=3600))  # an hour, in seconds
app = FastAPI()
app.add_middleware(SessionMiddleware, manager=manager)


@app.get("/books")
async def books(session: SessionDep) -> list[str]:
    kept: list[str] = session.get("books", [])
    return kept


@app.post("/books/{title}")
async def add(title: str, session: SessionDep) -> list[str]:
    kept: list[str] = session.setdefault("books", [])
    kept.append(title)
    return kept


from hashlib import scrypt
from hmac import compare_digest
from typing import Annotated

from fastapi import Depends, Form


def digest(password: str) -> bytes:
    return scrypt(password.encode(), salt=b"a salt of each user", n=2**14, r=8, p=1)


PEOPLE = {"ann": digest("correct horse battery staple")}


async def person(session: SessionDep) -> str:
    if session.subject is None:
        raise HTTPException(401, "please sign in")
    return session.subject


Person = Annotated[str, Depends(person)]


@app.post("/login")
async def login(name: Annotated[str, Form()], password: Annotated[str, Form()], session: SessionDep) -> str:
    if not compare_digest(PEOPLE.get(name, b""), digest(password)):
        raise HTTPException(401, "wrong name or password")
    session.login(name)
    return f"hello, {name}"


@app.post("/logout")
async def logout(session: SessionDep) -> None:
    session.logout()


@app.get("/me")
async def me(name: Person) -> str:
    return name


@app.get("/devices")
async def devices(name: Person, session: SessionDep) -> list[dict[str, str | bool | None]]:
    return [
        {"device": info.device, "address": info.address, "this one": info.current}
        for info in await manager.sessions_of(name, current=session)
    ]


@app.post("/logout-elsewhere")
async def logout_elsewhere(name: Person, session: SessionDep) -> int:
    return await manager.revoke_all(name, except_=session)
