"""What keeps others out: who may look, forms that were not of this page, and the headers of every answer.

The page has no session of its own and need not share one with its operators, who may come by basic authentication or
by their address. So a form's token is tied to a random secret in a cookie of its own and to what the form does: a
token for ending one session ends no other.

Sources: OWASP Cross-Site Request Forgery Prevention Cheat Sheet ("Signed Double-Submit Cookie"); W3C Fetch Metadata;
Gluck, Harris, Prado: "BREACH: Reviving the CRIME Attack", section 3.4 (no two pages show the same token).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

__all__ = ["Seal", "headers", "is_foreign"]

_NONCE: Final = 16  # characters
_SECRET: Final = 43  # characters of 32 bytes in base64url


class Seal:
    """Makes tokens that only this browser's own pages can hold.

    Args:
        request: The request, which may bring the cookie with the secret.
        secure: The cookie is for https only.
    """

    def __init__(self, request: Request, *, secure: bool) -> None:
        # The prefix keeps other hosts of the same domain from planting one (RFC 6265bis, section 4.1.3.2).
        self._name = "__Host-Http-limpet-admin" if secure else "limpet-admin"
        self._secure = secure
        held = request.cookies.get(self._name, "")
        self._is_new = len(held) != _SECRET or not held.isascii()
        self._secret = secrets.token_urlsafe(32) if self._is_new else held

    def token(self, *purpose: str) -> str:
        """Return a token for one purpose, another text at each call."""
        nonce = secrets.token_hex(_NONCE // 2)
        return nonce + self._digest(nonce, purpose)

    def fits(self, token: str, *purpose: str) -> bool:
        """Tell whether it is a token of this browser for this purpose."""
        nonce, digest = token[:_NONCE], token[_NONCE:]
        good = self._digest(nonce, purpose)
        return not self._is_new and hmac.compare_digest(digest.encode("utf-8", "replace"), good.encode())

    def hand_out(self, response: Response) -> None:
        """Set the cookie, if the browser has none."""
        if self._is_new:
            response.set_cookie(self._name, self._secret, secure=self._secure, httponly=True, samesite="lax")

    def _digest(self, nonce: str, purpose: tuple[str, ...]) -> str:
        parts = [part.encode("utf-8", "surrogatepass") for part in (nonce, *purpose)]
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.new(self._secret.encode(), message, hashlib.sha256).hexdigest()


def is_foreign(request: Request) -> bool:
    """Tell whether a browser says that another site's page sent this. Programs that are no browsers say nothing."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()


def headers(*, styles: Iterable[str] = (), scripts: Iterable[str] = ()) -> dict[str, str]:
    """Return the headers of every answer; these styles and scripts, and no other, may be in its page."""
    policy = {
        "default-src": "'none'",
        "style-src": _hashes(styles),
        "script-src": _hashes(scripts),
        "img-src": "data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {sources}" for name, sources in policy.items()),
        "cache-control": "no-store",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "same-origin",  # with no-referrer, browsers would send `Origin: null` with forms
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",  # for browsers before frame-ancestors
    }


def _hashes(texts: Iterable[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
