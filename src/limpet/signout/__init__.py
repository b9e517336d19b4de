"""Signing out from outside: an identity provider, or whoever else you trust, ends sessions by a signed message.

::

    from limpet.signout import Issuer, SignOut

    signout = SignOut(manager, Issuer("https://id.example.com", audience="shop", keys=fetch_keys))
    app.mount("/signout", signout.asgi)                                     # an ASGI application
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/signout": signout.wsgi})   # or a WSGI application

======================  =================================================================================
``/back-channel``       OpenID Connect Back-Channel Logout 1.0
``/front-channel``      OpenID Connect Front-Channel Logout 1.0
``/events``             security event tokens that are pushed (RFC 8935): CAEP and RISC
``/revocation``         Global Token Revocation (draft-parecki-oauth-global-token-revocation-06)
======================  =================================================================================

Events that the application polls (RFC 8936) go to `SignOut.polled`. Needs ``limpet[signout]``.
"""

from __future__ import annotations

from limpet.errors import MissingDependency

try:
    import joserfc as _  # noqa: F401 - asked for here, so that its absence is said in a sentence
except ImportError as _error:
    raise MissingDependency("limpet.signout", "signout") from _error

from limpet.signout._endpoint import SignOut
from limpet.signout._issuers import Issuer

__all__ = ["Issuer", "SignOut"]
