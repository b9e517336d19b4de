"""The whole session in the client's cookie, encrypted (the default) or signed. Nothing is kept on the server.

Know what that means: a copy of the cookie stays valid until its deadline, whatever the server does, unless
``revocation`` is set; two requests at once cannot be merged; a browser keeps 4,096 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from limpet._checks import flag, interval
from limpet._cookie_revocation import Mode, Revocation
from limpet._native import mypyc_attr
from limpet.contract import ClientStore, Record, Store, make_record, supports
from limpet.errors import ConfigurationError
from limpet.keyring import Keyring
from limpet.protocols import Reader
from limpet.sealers.encrypted import EncryptedSealer
from limpet.sealers.signed import SignedSealer

__all__ = ["CookieStore"]

_LONGEST_CACHE: Final = 3600
_PURPOSE: Final = "session"
# version, accessed, expires; then one more than the bytes of the subject, 0 when there is none
_HEAD: Final = struct.Struct(">qqqI")
_START: Final = _HEAD.size
_pack: Final = _HEAD.pack
_unpack: Final = _HEAD.unpack_from
_make: Final = make_record


@mypyc_attr(allow_interpreted_subclasses=True)
class CookieStore:
    """A `ClientStore`: turns a record into a cookie's value and back.

    A store that encrypts never opens a token that is only signed, nor the other way round.

    Args:
        encrypted: False: clients can read what the session holds (and still not change it).
        revocation: What a logout ends beside the browser's own copy. ``"none"``: nothing. ``"denylist"``: all
            cookies since the login, by a note that is kept until their absolute deadline; ``SessionManager.revoke``
            works. ``"epoch"``: all sessions of the subject, on every device, by one note for each subject;
            ``SessionManager.revoke_all`` works. Both cost a read for each request that comes with a session.
        revocation_store: The server-side store of these notes, or its URL.
        revocation_cache: Seconds for which each process believes an answer of that store without asking again, and
            so for how long at most a session that was ended elsewhere is still served.

    Raises:
        ConfigurationError: The settings do not go together.
    """

    def __init__(
        self,
        *,
        encrypted: bool = True,
        revocation: Mode = "none",
        revocation_store: Store | str | None = None,
        revocation_cache: float = 0.0,
    ) -> None:
        self.encrypted = encrypted
        self.revocation: Revocation | None = None
        self.revocation_store: Store | None = None
        if revocation not in ("none", "epoch", "denylist"):
            raise ConfigurationError(f"revocation={revocation!r} is unknown: give 'none', 'epoch' or 'denylist'")
        if (revocation == "none") != (revocation_store is None):
            raise ConfigurationError(
                f"revocation={revocation!r} with {'no' if revocation_store is None else 'a'} revocation_store does not "
                "work: give revocation='denylist' or 'epoch', and a store such as 'sqlite:///ended.db'"
            )
        flag("encrypted", encrypted)
        interval("revocation_cache", revocation_cache, zero=True, most=_LONGEST_CACHE)
        if revocation_cache and revocation_store is None:
            raise ConfigurationError(
                f"revocation_cache={revocation_cache!r} without revocation remembers nothing: give "
                "revocation='denylist' or 'epoch', and revocation_store='sqlite:///ended.db', or leave it out"
            )
        if revocation_store is not None:
            self.revocation_store = _server_side(revocation_store)
            self.revocation = Revocation(revocation, self.revocation_store, round(revocation_cache * 1000))
        self._bound: tuple[Keyring, str] | None = None
        self._sealer: EncryptedSealer | SignedSealer | None = None

    def bind(self, keyring: Keyring, name: str, clock: Callable[[], int]) -> None:
        """Take the keys, the cookie's name that every token is bound to, and the clock in milliseconds since 1970.

        Raises:
            ConfigurationError: The store already has other keys or another name: it belongs to another manager.
        """
        if self._bound is not None and (self._bound[0] is not keyring or self._bound[1] != name):
            raise ConfigurationError(
                f"this CookieStore already seals the cookie {self._bound[1]!r} of another manager: "
                "give every SessionManager a CookieStore of its own"
            )
        sealer = EncryptedSealer if self.encrypted else SignedSealer
        self._bound = keyring, name
        self._sealer = sealer(keyring, purpose=_PURPOSE, name=name, clock=clock)

    def seal(self, record: Record) -> str:
        """Return the cookie's value.

        Raises:
            ConfigurationError: The store has no keys.
        """
        version, payload, accessed, expires, subject = record
        owner = b"" if subject is None else subject.encode("utf-8", "surrogatepass")
        size = 0 if subject is None else len(owner) + 1
        return (self._sealer or self._ready()).seal(_pack(version, accessed, expires, size) + owner + payload)

    def unseal(self, token: str) -> Record | None:
        """Return the record, or None for anything that this store did not seal.

        Raises:
            ConfigurationError: The store has no keys.
        """
        data = (self._sealer or self._ready()).open(token)
        found = None if data is None else _record(token, data)
        return found and found[1]

    def current(self, token: str) -> bool:
        """Tell whether a token that opens was sealed under the newest secret; else it is time to seal it again.

        Raises:
            ConfigurationError: The store has no keys.
        """
        return (self._sealer or self._ready()).current(token)

    def reader(self, cookie: str) -> Reader:
        """Return what finds and unseals the cookie of nearly every request, see `TokenSealer.reader`.

        Raises:
            ConfigurationError: The store has no keys.
        """
        return self._ready().reader(cookie, _record)

    def _ready(self) -> EncryptedSealer | SignedSealer:
        if self._sealer is None:
            raise ConfigurationError(
                "this CookieStore has no keys yet: make a secret with `limpet keygen` and give the store to "
                "SessionManager(store, secret=...)"
            )
        return self._sealer

    def __repr__(self) -> str:
        ends = "" if self.revocation is None else f", revocation={self.revocation.mode!r}"
        return f"CookieStore(encrypted={self.encrypted!r}{ends})"


def _record(token: str, data: bytes) -> tuple[str, Record] | None:
    """Return a token with the record that was sealed in it; None: what was sealed is no record."""
    if len(data) < _START:
        return None
    version, accessed, expires, size = _unpack(data)
    if not size:
        return token, _make((version, data[_START:], accessed, expires, None))
    end = _START + size - 1
    if end > len(data):
        return None
    subject = data[_START:end].decode("utf-8", "surrogatepass")
    return token, _make((version, data[end:], accessed, expires, subject))


def _server_side(store: Store | str) -> Store:
    if isinstance(store, str):
        from limpet.stores._opening import open_store

        opened = open_store(store)
        if not supports(opened, ClientStore):
            return opened
    elif supports(store, Store):
        return store
    raise ConfigurationError(
        f"revocation_store={store!r} is no store on the server: give one such as sqlite:///ended.db"
    )
