"""Sessions of another library, as browsers still have them."""

from __future__ import annotations

import base64
import json
from datetime import date
from typing import Any

import itsdangerous

from limpet.importers import StarletteCookies
from tests.laws.farm import Farm
from tests.site import Browser

__all__ = ["OLD", "importers", "old_browser"]

OLD = "the old starlette secret"


class _Signer(itsdangerous.TimestampSigner):
    """Signs as of a time that a test chose."""

    moment = 0

    def get_timestamp(self) -> int:
        return self.moment


def old_browser(site: Farm, user: str = "ann", age: float = 0, **more: Any) -> Browser:
    """Return a browser with the cookie of an old session, as Starlette signed it so many seconds ago."""
    signer = _Signer(OLD)
    signer.moment = round(site.clock.now / 1000 - age)
    data = base64.b64encode(json.dumps({"user": user, **more}).encode())
    return Browser({"session": signer.sign(data).decode()}, header=site.header)


def importers(*, forget: bool, max_age: int = 14 * 86_400, subject: str | None = "user") -> dict[str, Any]:
    """Return the settings of a site that takes old sessions over."""
    until = date(2030, 1, 31)
    return {
        "importers": [StarletteCookies(OLD, until=until, subject=subject, forget=forget, max_age=max_age)],
    }
