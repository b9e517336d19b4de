"""The settings of a manager: how long sessions live and how they change (`SessionPolicy`), what the cookie is
like (`CookiePolicy`).

Both are frozen and checked once, at construction: a setting that cannot work is refused with a sentence that says
what to write instead.
"""

from limpet.policy.cookies import TOKEN, CookiePolicy, SameSite
from limpet.policy.sessions import Duration, Merge, SessionPolicy, slack_ms

__all__ = ["TOKEN", "CookiePolicy", "Duration", "Merge", "SameSite", "SessionPolicy", "slack_ms"]
