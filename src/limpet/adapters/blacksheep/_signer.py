"""Cookie sessions under a signer of the application's own."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final, Protocol
from urllib.parse import quote, unquote

from itsdangerous import BadData

from limpet.contract import Record

__all__ = ["Signer", "SignerStore"]

_MARK: Final = "limpet."  # a text of another purpose, signed with the same keys, is no session
_HEAD: Final = struct.Struct(">qqq")  # version, accessed, expires; then the length of the subject
_SIZE: Final = struct.Struct(">i")


class Signer(Protocol):
    """What is needed of ``itsdangerous.Serializer``."""

    def dumps(self, obj: Any) -> Any:
        """Return the signed text of an object."""
        ...

    def loads(self, s: Any) -> Any:
        """Return the object of a signed text, or raise ``itsdangerous.BadData``."""
        ...


class SignerStore:
    """A `ClientStore` over an ``itsdangerous`` serializer, which is used as it is.

    It signs and does not encrypt: clients can read what the session holds. Its tokens are bound to its own salt and
    not to the cookie's name, so each cookie needs a salt of its own.
    """

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def seal(self, record: Record) -> str:
        """Return the cookie's value."""
        subject = b"" if record.subject is None else record.subject.encode("utf-8", "surrogatepass")
        head = _HEAD.pack(record.version, record.accessed, record.expires)
        size = _SIZE.pack(-1 if record.subject is None else len(subject))
        token = self._signer.dumps(_MARK + urlsafe_b64encode(head + size + subject + record.payload).decode())
        # Some serializers write quotes, which cookies cannot hold; what is safe already stays as it is.
        return quote(token, safe="~!*'()/:=+")

    def unseal(self, token: str) -> Record | None:
        """Return the record, or None for anything that the signer does not vouch for."""
        try:
            text = self._signer.loads(unquote(token))
        except BadData:
            return None
        if not isinstance(text, str) or not text.startswith(_MARK):
            return None
        try:
            return _parse(urlsafe_b64decode(text.removeprefix(_MARK)))
        except (ValueError, struct.error):  # signed, and not by this class
            return None

    def current(self, token: str) -> bool:
        """Say yes: a signer does not tell which of its keys it was."""
        return True

    def __repr__(self) -> str:
        return f"SignerStore({type(self._signer).__name__})"


def _parse(data: bytes) -> Record:
    version, accessed, expires = _HEAD.unpack_from(data)
    (size,) = _SIZE.unpack_from(data, _HEAD.size)
    start = _HEAD.size + _SIZE.size
    end = start + max(size, 0)
    subject = None if size < 0 else data[start:end].decode("utf-8", "surrogatepass")
    return Record(version, data[end:], accessed, expires, subject)
