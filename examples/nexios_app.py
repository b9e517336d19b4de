"""A lending library on Nexios: take books home, bring them back, and put your name on the card.

Run it with ``uvicorn examples.nexios_app:app`` and open http://127.0.0.1:8000/.
"""

from __future__ import annotations

from html import escape

from limpet.adapters.nexios import NexiosApp, Request, Response, SessionMiddleware, get_session

BOOKS = {"moby": "Moby-Dick", "emma": "Emma", "lusiads": "The Lusiads"}
PAGE = """<!doctype html>
<title>Library</title>
<h1>{who}, visit {visits}</h1>
<h2>At home</h2><ul>{taken}</ul>
<h2>On the shelf</h2><ul>{shelf}</ul>
<form method="post" action="/card"><input name="name"> <button>Write your name on the card</button></form>
<form method="post" action="/card/return"><button>Hand in the card</button></form>
"""
LINE = '<li>{title} <form method="post" action="/{verb}/{book}"><button>{verb}</button></form></li>'

app = NexiosApp(debug=False)
# Many machines: postgresql://... or redis://..., and nothing else changes.
app.add_middleware(SessionMiddleware(manager="sqlite:///library.db"))


def lines(books: list[str], verb: str) -> str:
    """Return the books as a list with a button each."""
    return "".join(LINE.format(title=escape(BOOKS[book]), verb=verb, book=book) for book in books)


@app.get("/")
async def counter(req: Request, res: Response) -> Response:
    session = get_session(req)  # req.session, with its type
    visits = session.increment("visits")  # exact, also when two tabs load at once
    taken: list[str] = session.get("taken", [])
    shelf = [book for book in BOOKS if book not in taken]
    who = escape(session.get("user", "Stranger"))
    return res.html(PAGE.format(who=who, visits=visits, taken=lines(taken, "return"), shelf=lines(shelf, "take")))


@app.post("/take/{book}")
async def take(req: Request, res: Response) -> Response:
    book = req.path_params["book"]
    if book not in BOOKS:
        return res.text("There is no such book.", status=404)
    taken = req.session.setdefault("taken", [])
    if book not in taken:
        taken.append(book)  # a nested change is saved without a word
    return res.redirect("/", status_code=303)


@app.post("/return/{book}")
async def bring_back(req: Request, res: Response) -> Response:
    taken = req.session.get("taken", [])
    if req.path_params["book"] in taken:
        taken.remove(req.path_params["book"])
    return res.redirect("/", status_code=303)


@app.post("/card")
async def sign(req: Request, res: Response) -> Response:
    form = await req.form
    req.session["user"] = form.get("name") or "Nobody"  # a login: the id changes, and the old one is dead at once
    return res.redirect("/", status_code=303)


@app.post("/card/return")
async def hand_in(req: Request, res: Response) -> Response:
    req.session.clear()  # record and cookie are gone
    return res.redirect("/", status_code=303)
