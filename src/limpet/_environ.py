"""What is asked of a WSGI environment."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, TypeAlias

from limpet._serving import as_mount, comes_from_elsewhere
from limpet.bound.visit import Visit
from limpet.protocols import Header

__all__ = ["Environ", "headers_of", "is_cross_site", "mount_of", "path_of", "visit_of"]

Environ: TypeAlias = MutableMapping[str, Any]


def headers_of(environ: Environ) -> list[Header]:
    """Return the request headers of a WSGI environ: lower-case names and values, in bytes."""
    return [
        (name[5:].lower().replace("_", "-").encode("latin-1"), value.encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]


def visit_of(environ: Environ) -> Visit:
    """Return what is to be known of a request about the device of a session."""
    return Visit(environ["REQUEST_METHOD"], path_of(environ), mount_of(environ), headers_of(environ), environ)


def mount_of(environ: Environ) -> str:
    """Return the path under which the application is mounted, as a URL has it."""
    mount: str = environ.get("SCRIPT_NAME", "")
    return as_mount(mount.encode("latin-1").decode("utf-8", "replace"))


def is_cross_site(environ: Environ) -> bool:
    """Tell whether a browser says that another site's page sent a request."""
    site, origin, host = (environ.get(name) for name in ("HTTP_SEC_FETCH_SITE", "HTTP_ORIGIN", "HTTP_HOST"))
    return comes_from_elsewhere(
        None if site is None else site.encode("latin-1"),
        None if origin is None else origin.encode("latin-1"),
        (host or "").encode("latin-1"),
    )


def path_of(environ: Environ) -> str:
    """Return the path below the mount, as text: PEP 3333 has its bytes decoded as Latin-1."""
    path: str = environ.get("PATH_INFO", "")
    return path.encode("latin-1").decode("utf-8", "replace") or "/"
