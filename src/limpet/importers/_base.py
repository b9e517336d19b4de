"""What all importers have in common: an end date, a cookie, whose session it is, and what becomes of the data."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from inspect import isawaitable
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from limpet._checks import CENTURY, interval
from limpet._cookies import delete_cookie, find
from limpet._moments import milliseconds
from limpet._wire.tokens import b64decode
from limpet.errors import ConfigurationError, MissingDependency
from limpet.keyring import refuse_guessable, shown
from limpet.policy import CookiePolicy
from limpet.protocols import Header, Imported

__all__ = [
    "Convert",
    "CookieImporter",
    "Opened",
    "TimedCookies",
    "Unsigned",
    "check_old_secret",
    "fetched",
    "itsdangerous",
    "unsigned",
]

T = TypeVar("T")

Convert: TypeAlias = Callable[[dict[str, Any]], Mapping[str, Any] | None]
"""Takes what an old session holds; returns what the new one is to hold, or None to take nothing over."""


class Opened(NamedTuple):
    """An old session, as its library kept it.

    Attributes:
        data: What it held, whatever that is.
        at: When it was last signed or saved, in milliseconds since 1970; None: that cannot be told.
    """

    data: Any
    at: int | None = None


class Unsigned(NamedTuple):
    """What a signature with a time was over.

    Attributes:
        value: The bytes.
        at: When they were signed, in milliseconds since 1970.
    """

    value: bytes
    at: int


class CookieImporter(ABC):
    """Base of the importers. An `limpet.protocols.Importer`.

    Args:
        until: From then on nothing is read any more: a date (its first moment in UTC) or a time with a zone.
        cookie: The name of the old cookie.
        path: Below which path it was set, so that it can be deleted.
        domain: For which domain it was set, if it was.
        forget: Delete the old cookie once its session has moved. False keeps it for an old release that still runs
            beside this one. A logout deletes it either way.
        subject: The key that says whose session it is; its value, as a string, becomes `Session.subject`.
        convert: Changes what is taken over, or refuses it by returning None.

    Raises:
        ConfigurationError: The end date has no zone or is none, or the cookie cannot be.
    """

    origin: str

    def __init__(
        self,
        *,
        until: date,
        cookie: str,
        path: str = "/",
        domain: str | None = None,
        forget: bool = True,
        subject: str | None = None,
        convert: Convert | None = None,
    ) -> None:
        self.until: int = milliseconds("until", until)
        self.cookie = cookie
        self.forget = forget
        self._subject = subject
        self._convert = convert
        policy = CookiePolicy(path=path, domain=domain, secure=cookie.lower().startswith(("__host-", "__secure-")))
        self._clear = (b"set-cookie", delete_cookie(cookie, policy))

    def find(self, headers: Sequence[Header]) -> Sequence[str]:
        """Return the distinct values of the old cookie."""
        return find(headers, self.cookie.encode())

    async def read(self, token: str, now: int) -> Imported | None:
        """Return the old session, or None for anything that the old library would not accept."""
        opened = await self._open(token, now)
        if opened is None:
            return None
        data = opened.data
        if type(data) is not dict or not all(type(key) is str for key in data):
            return None
        subject = data.get(self._subject) if self._subject is not None else None
        kept = data if self._convert is None else self._convert(data)
        if not kept:
            return None
        named = str(subject) if isinstance(subject, (str, int)) and subject != "" else None
        return Imported(kept, named, opened.at)

    def clear(self) -> Header:
        """Return the header that deletes the old cookie."""
        return self._clear

    def __repr__(self) -> str:
        return f"{type(self).__name__}(cookie={self.cookie!r}, until={datetime.fromtimestamp(self.until / 1000, UTC)})"

    @abstractmethod
    async def _open(self, token: str, now: int) -> Opened | None:
        """Return the old session, or None."""


class TimedCookies(CookieImporter):
    """Base of the importers of what one secret and itsdangerous have signed with a time.

    Args:
        secret: The secret of the old application.
        max_age: Seconds that a session may be old. None: any age.
        options: As for every importer.
    """

    salt: bytes

    def __init__(self, secret: str, *, max_age: int | None, **options: Any) -> None:
        super().__init__(**options)
        itsdangerous()
        self._secret = check_old_secret(secret)
        interval("max_age", max_age, most=CENTURY, none="for any age")
        self._max_age = max_age

    def signed(self, token: str, now: int) -> Unsigned | None:
        """Return what was signed, or None."""

        def signer(library: Any) -> Any:
            return library.TimestampSigner(self._secret, salt=self.salt, digest_method=hashlib.sha1)

        return unsigned(signer, token, now, self._max_age)


def check_old_secret(secret: T) -> T:
    """Return the secret of the old application, as text where an object hides it.

    What is no secret is refused: then anybody could make cookies that are taken over.

    Args:
        secret: As it was given: ``str``, ``bytes`` or the framework's own class, or several of them.

    Raises:
        ConfigurationError: It is missing or empty, as where the environment lacks it, or it is none (see
            `refuse_guessable`).
    """
    given = [shown(one) for one in secret] if isinstance(secret, (list, tuple)) else shown(secret)
    several = given if isinstance(given, list) else [given]
    texts = [one if isinstance(one, bytes) else str("" if one is None else one) for one in several]
    if not all(text.strip() for text in texts or [""]):
        raise ConfigurationError(
            "the secret of the old application is missing or empty, so that anybody could make sessions of it: give "
            "the one that it signs with, or leave the importer out"
        )
    refuse_guessable(texts)
    return cast("T", given)


async def fetched(fetch: Callable[[str], Awaitable[Any]], key: str, kinds: tuple[type, ...]) -> Any:
    """Return what a function of the application found under a key, or None.

    Args:
        fetch: The function.
        key: What it is asked for.
        kinds: What it may return.

    Raises:
        ConfigurationError: It is no coroutine function, or it returned something else.
        StoreUnavailable: It said so.
    """
    answer: Any = fetch(key)
    awaited = isawaitable(answer)
    found: Any = await answer if awaited else answer
    name = getattr(fetch, "__name__", type(fetch).__name__)
    if not awaited:
        raise ConfigurationError(f"{name} is no coroutine function: write `async def {name}(...)`")
    if found is not None and not isinstance(found, kinds):
        wanted = " or ".join("a dict" if kind is Mapping else kind.__name__ for kind in kinds)
        raise ConfigurationError(
            f"{name} returned {type(found).__name__}: it is to return the old session as {wanted}, or None where there "
            "is none"
        )
    return found


def itsdangerous() -> Any:
    """Return the module ``itsdangerous``.

    Importers that need it ask when they are made: not the first visitor who comes with an old cookie finds it missing.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        import itsdangerous as library
    except ModuleNotFoundError as error:
        raise MissingDependency("reading sessions that itsdangerous has signed", "importers") from error
    return library


def unsigned(make: Callable[[Any], Any], token: str, now: int, max_age: float | None) -> Unsigned | None:
    """Return what an itsdangerous signer with a timestamp has signed, or None.

    Args:
        make: Takes the module ``itsdangerous``, returns the signer.
        token: The signed text.
        now: Milliseconds since 1970.
        max_age: Seconds that it may be old. None: any age.
    """
    library = itsdangerous()
    if b64decode(token.rpartition(".")[2]) is None:
        return None  # another spelling of a signature that may be right
    try:
        value, signed_at = make(library).unsign(token.encode("latin-1"), return_timestamp=True)
    except library.BadData:
        return None
    age = now / 1000 - signed_at.timestamp()
    if max_age is not None and not -60 <= age <= max_age:
        return None
    return Unsigned(value, int(signed_at.timestamp()) * 1000)
