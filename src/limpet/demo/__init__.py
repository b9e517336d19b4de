"""A small web application that shows what sessions do; ``limpet demo`` serves it.

It is made of what any application has: `create_app` puts a `SessionMiddleware` around a few FastAPI routes. Only
`limpet.demo.watch` is unusual: it looks over the session manager's shoulder, so that the page can tell what an
answer cost.
"""

from __future__ import annotations

from limpet.demo.app import create_app

__all__ = ["create_app"]
