"""S27: what a store holds can be sent as a cookie (CVE-2019-16782)."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from limpet._wire.tokens import b64decode
from tests.counts import count
from tests.security.site import ANONYMOUS, SECRET, WatchedSite


def found(needles: set[bytes], heap: bytes) -> list[bytes]:
    """Return the needles whose first 16 bytes are somewhere in the heap, in one walk for any number of them."""
    starts = {needle[:16]: needle for needle in needles}
    windows = (heap[at : at + 16] for at in range(len(heap) - 15))
    return [starts[window] for window in windows if window in starts]


@pytest.mark.parametrize("secret", [None, SECRET], ids=["plain", "signed"])
@pytest.mark.parametrize("kind", ["memory", "file", "sqlite"])
async def test_a_dump_holds_no_id(
    tmp_path: Path, kind: str, secret: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """After a hundred logins: no row, file, log line or event holds a cookie's value, an id, or a part of one."""
    caplog.set_level(logging.DEBUG)
    place = {"memory": None, "file": f"file:{tmp_path}/kept", "sqlite": f"sqlite:///{tmp_path}/kept.db"}[kind]
    site = WatchedSite(store=place, secret=secret)
    tokens: list[str] = []
    for _ in range(count(100, 10_000)):
        tokens.append((await site.ask("/write")).given)
        tokens.append((await site.ask("/login", tokens[-1])).given)
    await site.manager.shutdown()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    heap = b"\0".join(path.read_bytes() + path.name.encode() for path in files)
    heap += b"".join(key.encode() + record.payload + str(record).encode() for key, record in site.rows.items())
    heap += caplog.text.encode() + repr(site.heard).encode()
    assert b"ann" in heap
    needles: set[bytes] = set()
    for token in tokens:
        raw = site.manager.engine.ids.verify(token)
        body = b64decode(token)
        assert raw is not None
        assert body is not None
        needles |= {token.encode(), raw, raw.hex().encode(), body, token[8:40].encode()}
    assert found(needles, heap) == []
    assert found(needles, heap + tokens[-1].encode()) != []


@pytest.mark.parametrize("secret", [None, SECRET], ids=["plain", "signed"])
async def test_a_stored_key_is_no_cookie(secret: str | None) -> None:
    """The key of a row, whole, cut or in base64url, opens nothing."""
    site = WatchedSite(secret=secret)
    await site.ask("/login")
    (key,) = site.rows
    for value in (key, key[:43], key[:32], bytes.fromhex(key), key.upper()):
        assert (await site.ask("/dump", value)).text == ANONYMOUS
