"""Sessions that are bound to the device that they began on, so that a stolen cookie is worth nothing after minutes.

Device Bound Session Credentials: a browser that can makes a key pair which cannot leave its device, and shows at short
intervals that it holds it. ``SessionManager(..., bound=True)`` is all there is to set; `BoundPolicy` says more.

Read in this order: `policy` (what can be set), `fields` (headers), `proofs` (what a browser signs), `tokens` (what we
hand out), `endpoints` (where a browser registers its key and shows that it has it), `guard` (who is let in).

Source: W3C, Device Bound Session Credentials, Editor's Draft of 17 February 2026 (https://w3c.github.io/webappsec-dbsc/).
"""

from limpet.bound.policy import BoundPolicy, Login

__all__ = ["BoundPolicy", "Login"]
