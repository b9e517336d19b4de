"""A poll on aiohttp: vote once, see the numbers, log in with your vote.

Run it with ``LIMPET_DEV=1 python -m examples.aiohttp_app`` and open http://127.0.0.1:8000/.
"""

from __future__ import annotations

import html
import sys

from aiohttp import web

from limpet.adapters.aiohttp import csrf_middleware, get_session, setup
from limpet.csrf import csrf_token

PAGE = """<!doctype html>
<title>Poll</title>
<h1>{name}: tea or coffee?</h1>
<p>Your vote: {vote}, changed {changes} times</p>
<form method="post" action="/vote">{token}<input name="vote" required><button>Vote</button></form>
<form method="post" action="/login">{token}<input name="name" required><button>Log in</button></form>
<form method="post" action="/logout">{token}<button>Log out</button></form>
"""


async def page(request: web.Request) -> web.Response:
    session = await get_session(request)
    token = f'<input type="hidden" name="csrf_token" value="{csrf_token(session)}">'
    name, vote = session.get("name", "Stranger"), session.get("vote", "none")
    text = PAGE.format(name=html.escape(name), vote=html.escape(vote), changes=session.get("changes", 0), token=token)
    return web.Response(text=text, content_type="text/html")


async def vote(request: web.Request) -> web.Response:
    session = await get_session(request)
    session["vote"] = str((await request.post())["vote"])
    session.increment("changes")
    raise web.HTTPFound("/")


async def login(request: web.Request) -> web.Response:
    session = await get_session(request)
    name = str((await request.post())["name"])
    session.login(name)
    session["name"] = name
    raise web.HTTPFound("/")


async def logout(request: web.Request) -> web.Response:
    (await get_session(request)).logout()
    raise web.HTTPFound("/")


app = web.Application()
setup(app, manager="sqlite:///poll.db")
app.middlewares.append(csrf_middleware())
app.router.add_get("/", page)
app.router.add_post("/vote", vote)
app.router.add_post("/login", login)
app.router.add_post("/logout", logout)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]) if sys.argv[1:] else 8000)
