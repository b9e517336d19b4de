"""A quiz on Starlette: one question a page, the score in the session, and a WebSocket that watches it.

Run it with ``LIMPET_DEV=1 uvicorn examples.starlette_app:app`` and open http://127.0.0.1:8000/.
"""

from __future__ import annotations

from html import escape

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.csrf import CSRFMiddleware, csrf_token

QUESTIONS = [("What is 6 x 7?", "42"), ("Capital of Portugal?", "Lisbon"), ("Colour of copper rust?", "green")]
PAGE = """<!doctype html>
<title>Quiz</title>
<h1>{title}</h1>
<p>{score} right so far</p>
<form method="post" action="{action}">
<input type="hidden" name="csrf_token" value="{token}">{fields}<button>{label}</button>
</form>
"""


async def question(request: Request) -> Response:
    session = get_session(request)
    number, score = session.get("number", 0), session.get("score", 0)
    token = csrf_token(request)
    if number < len(QUESTIONS):
        fields = '<input name="answer" autofocus>'
        title, action, label = escape(QUESTIONS[number][0]), "/answer", "Answer"
    else:
        title, fields, action, label = "That was all", "", "/again", "Again"
    return HTMLResponse(PAGE.format(title=title, score=score, action=action, token=token, fields=fields, label=label))


async def answer(request: Request) -> Response:
    session = get_session(request)
    async with request.form() as form:
        given = str(form.get("answer", "")).strip().lower()
    number = session.get("number", 0)
    if number < len(QUESTIONS):
        session["number"] = number + 1
        if given == QUESTIONS[number][1].lower():
            session.increment("score")
    return RedirectResponse("/", 303)


async def again(request: Request) -> Response:
    get_session(request).clear()
    return RedirectResponse("/", 303)


async def watch(websocket: WebSocket) -> None:
    """Send the score whenever the client asks."""
    session = get_session(websocket)
    await websocket.accept()
    async for _ in websocket.iter_text():
        await session.refresh()  # other requests have played on meanwhile
        await websocket.send_text(str(session.get("score", 0)))


app = Starlette(
    routes=[
        Route("/", question),
        Route("/answer", answer, methods=["POST"]),
        Route("/again", again, methods=["POST"]),
        WebSocketRoute("/watch", watch),
    ],
    middleware=[
        Middleware(SessionMiddleware, manager="sqlite:///quiz.db"),  # many machines: postgresql://... or redis://...
        Middleware(CSRFMiddleware),
    ],
)
