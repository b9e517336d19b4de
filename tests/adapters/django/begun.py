"""What several tests of the Django adapter use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, TypeVar

from django.db import connections
from django.test import Client, RequestFactory

from limpet.adapters.django import SessionStore
from limpet.events import Event
from limpet.manager import SessionManager

__all__ = ["Browser", "Configure", "Hook", "asked", "begun", "heard", "in_thread", "visitor"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

Browser: TypeAlias = Any
"""A `django.test.Client`, which has no annotations."""
Configure: TypeAlias = Callable[..., SessionManager]
Hook: TypeAlias = Callable[..., None]


def begun(**data: Any) -> str:
    """Store a session and return its key."""
    store = SessionStore()
    store.update(data)
    store.save()
    key = store.session_key
    assert isinstance(key, str)
    return key


def visitor(**settings: Any) -> Browser:
    """Return a browser that has been nowhere yet."""
    return Client(**settings)


def asked() -> Any:
    """Return a request that no middleware has seen."""
    return RequestFactory().get("/")


def heard(engine: SessionManager) -> list[Event]:
    """Return the list that all events from now on are added to."""
    events: list[Event] = []

    def note(event: Event) -> None:
        events.append(event)

    engine.listen(note)
    return events


async def in_thread(work: Callable[_P, _T], *given: _P.args, **more: _P.kwargs) -> _T:
    """Call a blocking function on a thread, and close what Django's database has opened there for that thread.

    A connection is its thread's. Django closes it when a request ends, but not one of its test client, and one that is
    collected open is a warning from Python 3.13 on.
    """

    def call() -> _T:
        try:
            return work(*given, **more)
        finally:
            connections.close_all()

    return await asyncio.to_thread(call)
