"""What several tests of the Django adapter use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from django.test import Client, RequestFactory

from limpet.adapters.django import SessionStore
from limpet.events import Event
from limpet.manager import SessionManager

__all__ = ["Browser", "Configure", "Hook", "asked", "begun", "heard", "visitor"]

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
