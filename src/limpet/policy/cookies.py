"""`CookiePolicy`: the name and the attributes of the session cookie."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, cast

from limpet._checks import flag, one_of
from limpet.errors import ConfigurationError

__all__ = ["TOKEN", "CookiePolicy", "SameSite"]

SameSite: TypeAlias = Literal["lax", "strict", "none"]

TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A token as RFC 9110, section 5.6.2, spells it: what a cookie's or a header's name consists of."""

_MAX_ATTRIBUTE: Final = 1024  # RFC 6265bis, section 5.6: browsers ignore a longer attribute


@dataclass(frozen=True, kw_only=True, slots=True)
class CookiePolicy:
    """What the session cookie is like. The defaults are the safest that work on one host.

    Attributes:
        name: The cookie's name, sent exactly so. None: derived, see `derive_name`.
        path: Below which path the browser sends it.
        domain: None: to this host alone. A domain: to all its subdomains too.
        secure: Over https only.
        http_only: Scripts cannot read it.
        same_site: ``"lax"``, ``"strict"`` or ``"none"``, in any case.
        partitioned: One cookie for each top-level site (CHIPS), for embedded pages.
        persistent: It survives the closing of the browser, as long as the session can live. ``"remembered"``: only
            after ``login(..., remember=True)``, which is what the tick box "remember me" on a login page means.
        clear_site_data: What else the browser is to forget of this site at a logout: any of ``"cache"``, ``"cookies"``,
            ``"storage"``, ``"executionContexts"``, ``"clientHints"`` and ``"*"`` (W3C Clear Site Data, section 3.1).
        no_store: A page that was made with the session is kept by no cache, the browser's own included:
            ``Cache-Control: no-store`` in place of ``private``, unless the application sends a ``Cache-Control`` of its
            own. So nobody sees it by the button "back" after a logout (OWASP ASVS 5.0, 14.3.2).
        max_size: Bytes that the header with a cookie session may have. Browsers drop a name and value over 4,096 bytes
            (RFC 6265bis, section 5.6), and some front ends a header over that; lower it where a proxy has less room.

    Raises:
        ConfigurationError: A browser would drop such a cookie (RFC 6265bis, sections 4.1.3 and 5.7), or a value
            would spill into another attribute.
    """

    name: str | None = None
    path: str = "/"
    domain: str | None = None
    secure: bool = True
    http_only: bool = True
    same_site: SameSite = "lax"
    partitioned: bool = False
    persistent: bool | Literal["remembered"] = True
    clear_site_data: Sequence[str] = ()
    no_store: bool = False
    max_size: int = 4096

    def __post_init__(self) -> None:
        for each in ("secure", "http_only", "partitioned", "no_store"):
            flag(each, getattr(self, each))
        if self.persistent != "remembered":
            _check_persistent(self.persistent)
        object.__setattr__(self, "clear_site_data", _directives(self.clear_site_data))
        if isinstance(self.max_size, bool) or not isinstance(self.max_size, int) or not 512 <= self.max_size <= 4096:
            raise ConfigurationError(f"max_size={self.max_size!r} is no number of bytes from 512 to 4096")
        object.__setattr__(self, "same_site", _same_site(self.same_site))
        _check_path(self.path)
        if self.domain is not None:
            _check_domain(self.domain)
        if not self.secure:
            for what, given in (('same_site="none"', self.same_site == "none"), ("partitioned=True", self.partitioned)):
                if given:
                    raise ConfigurationError(f"browsers drop a cookie with {what} that is not Secure: set secure=True")
        if self.name is not None:
            self.check_name(self.name)

    def derive_name(self, label: str | None = None, dev: bool = False) -> str:
        """Return the cookie's name: the one that was given, else the strongest prefix that the attributes allow.

        | Attributes | Name |
        | --- | --- |
        | Secure, Path=/, no Domain, HttpOnly | ``__Host-Http-session`` |
        | Secure, Path=/, no Domain | ``__Host-session`` |
        | Secure | ``__Secure-session`` |
        | not Secure, as in development | ``limpet-session`` |

        A script cannot plant the first in a browser that knows the prefix (draft-ietf-httpbis-layered-cookies,
        "Cookie Name Prefixes"); the others take it for a ``__Host-`` name, which no other host can plant (RFC 6265bis,
        section 4.1.3.2). The last has no prefix that browsers protect, and is none that other libraries use.

        Args:
            label: Tells managers of one host apart, whose cookies would else overwrite each other (cookies do not
                separate ports): ``"admin"`` gives ``__Host-Http-session-admin``. A name that was given stays as it is.
            dev: Development over plain http, where a prefix cannot be.

        Raises:
            ConfigurationError: The label is no token, or the given name cannot be used in development.
        """
        policy = self.for_development() if dev else self
        if policy.name is not None:
            return policy.name
        if not policy.secure:
            prefix = "limpet-"
        elif policy.path != "/" or policy.domain is not None:
            prefix = "__Secure-"
        else:
            prefix = "__Host-Http-" if policy.http_only else "__Host-"
        name = f"{prefix}session" if label is None else f"{prefix}session-{label}"
        if label is not None and not _is_token(label):
            raise ConfigurationError(f"label={label!r} is no token: use letters, digits, `-` and `_`, such as admin")
        return name

    def for_development(self) -> CookiePolicy:
        """Return this policy for plain http: not Secure, and so neither partitioned nor ``SameSite=None``.

        Raises:
            ConfigurationError: The name that was given has a prefix that demands Secure.
        """
        if not self.secure:
            return self
        try:
            return replace(
                self,
                secure=False,
                partitioned=False,
                same_site="lax" if self.same_site == "none" else self.same_site,
            )
        except ConfigurationError as error:
            raise ConfigurationError(
                f"the cookie name {self.name!r} cannot be used in development mode, over plain http: "
                "leave name=None (the prefix then comes and goes with Secure) or choose a name without a prefix"
            ) from error

    def fingerprint(self) -> str | None:
        """Return a short text that differs when the attributes do, so that a change reaches cookies that are out.

        None for the default attributes. The name does not count: under another name it is another cookie.
        """
        attributes = [getattr(self, name) for name in _ATTRIBUTES]
        usual = {each.name: each.default for each in fields(self)}
        if attributes == [usual[name] for name in _ATTRIBUTES]:
            return None
        return b64encode(sha256(repr(attributes).encode()).digest()[:6]).decode()

    def farewell(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that go out at a logout beside the one that deletes the cookie."""
        if not self.clear_site_data:
            return []
        return [(b"clear-site-data", ", ".join(f'"{each}"' for each in self.clear_site_data).encode())]

    def check_name(self, name: str) -> None:
        """Check that a cookie of this name and these attributes is one that browsers keep.

        Prefixes count in any case, as in browsers (RFC 6265bis, section 5.7).

        Raises:
            ConfigurationError: It is not.
        """
        if not _is_token(name):
            raise ConfigurationError(
                f"cookie name {name!r} is no token (RFC 6265, section 4.1.1): use letters, digits, `-` and `_`"
            )
        if len(name) > _MAX_ATTRIBUTE:
            raise ConfigurationError(f"a cookie name of {len(name)} bytes leaves no room for its value: shorten it")
        lower = name.lower()
        for prefix, demands in _PREFIXES.items():
            if lower.startswith(prefix):
                for attribute, demanded in demands.items():
                    if getattr(self, attribute) != demanded:
                        raise ConfigurationError(
                            f"browsers drop a cookie named {name!r} unless {attribute}={demanded!r}: "
                            f"set that, or leave name=None for a name that fits"
                        )


# What a browser demands of a cookie whose name begins so. A name that begins with the last begins with the second too.
# The last two are of the successor of RFC 6265bis (draft-ietf-httpbis-layered-cookies).
_PREFIXES: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "__secure-": {"secure": True},
        "__host-": {"secure": True, "path": "/", "domain": None},
        "__http-": {"secure": True, "http_only": True},
        "__host-http-": {"http_only": True},
    }
)


_ATTRIBUTES: Final = ("path", "domain", "secure", "http_only", "same_site", "partitioned", "persistent")
_SITE_DATA: Final = ("cache", "cookies", "storage", "executionContexts", "clientHints", "*")


def _check_persistent(value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f'persistent={value!r} is unknown: give True, False or "remembered"')


def _directives(given: object) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError(f"clear_site_data={given!r} is no list: write clear_site_data=({given!r},)")
    found = tuple(cast("Iterable[str]", given))
    for each in found:
        one_of("clear_site_data", each, _SITE_DATA)
    return found


def _is_token(value: object) -> bool:
    return isinstance(value, str) and TOKEN.fullmatch(value) is not None


def _same_site(value: object) -> str:
    value = value.lower() if isinstance(value, str) else value
    one_of("same_site", value, ("lax", "strict", "none"))
    return cast("str", value)


def _check_path(path: object) -> None:
    if not isinstance(path, str) or not re.fullmatch(r"/[ -:<-~]*", path):
        raise ConfigurationError(
            f"cookie path {path!r} is not one: it begins with `/` and has no `;`, control or non-ASCII characters; "
            "percent-encode those"
        )
    if len(path) > _MAX_ATTRIBUTE:
        raise ConfigurationError(f"browsers ignore a cookie path over {_MAX_ATTRIBUTE} bytes ({len(path)}): shorten it")


def _check_domain(domain: object) -> None:
    if (
        not isinstance(domain, str)
        or not re.fullmatch(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", domain)
        or len(domain) > _MAX_ATTRIBUTE
    ):
        raise ConfigurationError(
            f"cookie domain {domain!r} is not one: give a host name alone, such as example.com (no scheme, port or "
            "path; a name with other letters in its xn-- form), or None for this host"
        )
