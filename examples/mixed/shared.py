"""What the three applications have to agree on: the store, the secret, the cookie and the life of a session."""

from __future__ import annotations

import os

from limpet import CookiePolicy, SessionManager, SessionPolicy

STORE = os.environ.get("LIMPET_STORE", "sqlite:///sessions.db")
SECRET = os.environ["LIMPET_SECRET"]
COOKIE = "sessionid"
LIFE = {"idle_timeout": 8 * 3600, "absolute_timeout": 7 * 86_400}

PEOPLE = {"ann": "1", "bob": "2"}
"""Who may log in, and the primary keys of these users in Django. An example has no passwords."""

PAGE = """<!doctype html>
<title>{framework}</title>
<h1>{framework}</h1>
<p id="who">{who}</p>
<p id="count">{count}</p>
<form method="post" action="/{path}/login">{token}<input name="name" required><button>Log in</button></form>
<form method="post" action="/{path}/add">{token}<button>Add</button></form>
<form method="post" action="/{path}/logout">{token}<button>Log out</button></form>
<a href="/django/">Django</a> <a href="/flask/">Flask</a> <a href="/fastapi/">FastAPI</a>
"""


def manager() -> SessionManager:
    """Return a manager like the one that Django makes of its settings."""
    return SessionManager(
        STORE,
        secret=SECRET,
        short_ids=True,  # Django keeps ids in columns of 40 characters
        namespace=COOKIE,
        policy=SessionPolicy(**LIFE, rotate_on=()),
        cookie=CookiePolicy(name=COOKIE, secure=False),  # behind TLS: leave secure out
    )
