"""The breakages: mistakes that session libraries have really made, put into ours one at a time."""

from __future__ import annotations

from typing import Final

from tests.mutants.blocking import BLOCKING
from tests.mutants.bound import BOUND
from tests.mutants.breakage import Breakage
from tests.mutants.engine import ENGINE
from tests.mutants.signout import SIGNOUT

__all__ = ["BREAKAGES"]


SEC: Final = "security/test_"
TAMPERING: Final = f"{SEC}s11_tampering.py::test_no_flipped_bit_and_no_truncation_is_accepted"

TOKENS: Final = (
    Breakage(
        "the MAC is not compared",
        "sealers/signed.py",
        "SignedSealer._reveal",
        "return data if compare_digest(__MORE__) else None",
        "return data",
        TAMPERING,
    ),
    Breakage(
        "the MAC is compared with ==",
        "sealers/signed.py",
        "SignedSealer._reveal",
        "compare_digest(__A__, __B__)",
        "__A__ == __B__",
        f"{SEC}s36_timing.py",
    ),
    Breakage(
        "the MAC is cut to 16 bytes",
        "sealers/signed.py",
        "SignedSealer._reveal",
        "compare_digest(__A__, __B__)",
        "compare_digest(__A__[:16], __B__[:16])",
        f"{SEC}s36_timing.py",
    ),
    Breakage(
        "base64 with other unused bits is accepted",
        "_wire/tokens.py",
        "b64read",
        "padding is None or __X__",
        "padding is None",
        TAMPERING,
    ),
    Breakage(
        "the cookie's name is not part of the key",
        "sealers/_token.py",
        "TokenSealer._refresh",
        "self._keyring.derive(purpose, self._name)",
        'self._keyring.derive(purpose, "")',
        "sealers/test_sealers.py",
    ),
    Breakage(
        "the cookie's name is nowhere in the token",
        "sealers/_token.py",
        "TokenSealer.__init__",
        "self._name = name",
        'self._name = ""',
        f"{SEC}s25_purpose.py::test_a_token_is_bound_to_its_cookie",
    ),
    Breakage(
        "the purpose is not part of the key",
        "sealers/_token.py",
        "TokenSealer.__init__",
        "self._purpose = purpose",
        'self._purpose = ""',
        f"{SEC}s25_purpose.py",
    ),
    Breakage(
        "what does not decrypt is taken as it is",
        "sealers/encrypted.py",
        "XAES256GCM.decrypt",
        "try:\n    __MORE__\nexcept self._invalid:\n    return None",
        "try:\n    __MORE__\nexcept self._invalid:\n    return data",
        "sealers/test_sealers.py",
    ),
    Breakage(
        "the associated data is left out",
        "sealers/encrypted.py",
        "EncryptedSealer._reveal",
        "key[0].decrypt(__NONCE__, __BODY__, key[1])",
        "key[0].decrypt(__NONCE__, __BODY__, b'')",
        "sealers/test_sealers.py",
    ),
    Breakage(
        "signed and encrypted tokens share their mode",
        "sealers/encrypted.py",
        "EncryptedSealer.mode",
        'b"E"',
        'b"S"',
        "sealers/test_sealers.py",
    ),
    Breakage(
        "the end date of a key is ignored",
        "sealers/_token.py",
        "TokenSealer.open",
        "self._clock() >= until",
        "self._clock() < 0",
        f"{SEC}keyring_life.py",
    ),
    Breakage(
        "the oldest key seals",
        "sealers/_token.py",
        "TokenSealer._refresh",
        "prepared[0]",
        "prepared[-1]",
        f"{SEC}keyring_life.py",
    ),
    Breakage(
        "a weak secret is taken",
        "keyring.py",
        "_read",
        "not allow_weak",
        "False",
        f"{SEC}s23_weak_secrets.py",
    ),
    Breakage(
        "the straight way in takes the last of two cookies",
        "sealers/_token.py",
        "TokenSealer.reader.read",
        "rest is not None or __X__",
        "__X__",
        f"{SEC}s19_duplicates.py",
    ),
    Breakage(
        "the straight way in does not look whether the name comes again",
        "sealers/_token.py",
        "TokenSealer.reader.read",
        "rest is None or rest.find(name) >= 0",
        "rest is None",
        f"{SEC}s19_duplicates.py",
    ),
    Breakage(
        "the straight way in takes a cookie whose name only ends like ours",
        "sealers/_token.py",
        "TokenSealer.reader.read",
        "rest is not None or __X__",
        "rest is not None",
        f"{SEC}s20_disguised_names.py",
    ),
)
"""Of signatures, encryption, keys, and the cookies that carry them."""

RESPONSES: Final = (
    Breakage(
        "a response with a cookie may be cached",
        "_caching.py",
        "mark_response",
        "_NO_STORE if no_store or token is not None else _PRIVATE",
        "_NO_STORE if no_store else _PRIVATE",
        f"{SEC}s26_caches.py",
    ),
    Breakage(
        "Vary is left out",
        "_caching.py",
        "mark_response",
        'marked.append((b"vary", vary))',
        "",
        f"{SEC}s26_caches.py",
    ),
    Breakage(
        "white space of any kind is dropped around a cookie's name",
        "_cookies.py",
        "values",
        'left.strip(b" \\t")',
        "left.strip()",
        f"{SEC}s20_disguised_names.py",
    ),
    Breakage(
        "a deletion leaves the attributes out",
        "_cookies.py",
        "CookieWriter.__init__",
        'f"{name}=; Max-Age=0; Expires={_EPOCH}; {static}"',
        'f"{name}=; Max-Age=0; Expires={_EPOCH}; Path=/"',
        f"{SEC}s29_deletion.py",
    ),
)
"""Of cookies and headers."""

RECORDS: Final = (
    Breakage(
        "update writes where there is nothing",
        "stores/memory.py",
        "MemoryStore.update",
        "if current is None:\n    return ABSENT\nif __X__:\n    return current",
        "if current is None:\n    current = record\nelif __X__:\n    return current",
        "stores/test_memory.py",
    ),
    Breakage(
        "update takes any version",
        "stores/memory.py",
        "MemoryStore.update",
        "current.version != expected",
        "current.version == 0",
        f"{SEC}s06_lost_update.py::test_fifty_writers_of_fifty_keys_leave_fifty_keys",
    ),
    Breakage(
        "a damaged record is not noticed",
        "_wire/record.py",
        "unpack",
        'payload[:_HEAD] != serializer.format + _crc32(body).to_bytes(4, "big")',
        "payload[:1] != serializer.format",
        f"{SEC}s14_bombs.py::test_a_flipped_bit_in_a_row_is_never_decoded",
    ),
    Breakage(
        "a record whose deadline is text is read",
        "_wire/record.py",
        "_taken",
        "type(value) is not kind",
        "kind is None",
        f"{SEC}s14_bombs.py",
    ),
    Breakage(
        "a file store does not sync before it renames",
        "stores/file/folder.py",
        "Folder._write",
        "os.fsync(handle)",
        "",
        "faults/test_f07_power_loss.py::test_f07_a_file_is_synced_before_the_response",
    ),
    Breakage(
        "a short write is taken for a whole one",
        "stores/file/folder.py",
        "Folder._write",
        "os.write(handle, rest)",
        "os.write(handle, rest) and len(rest)",
        "faults/test_f08_disk_full.py::test_f08_disk_full",
    ),
    Breakage(
        "other users may look into the folder of a file store",
        "stores/file/folder.py",
        "Folder.make",
        "os.makedirs(self.path, mode=0o700, exist_ok=True)",
        "os.makedirs(self.path, mode=0o755, exist_ok=True)",
        f"{SEC}s21_paths.py",
    ),
    Breakage(
        "a write to redis whose connection was lost is made once more",
        "stores/redis/line.py",
        "Asked.may_be_repeated",
        "not self.raw and self.script is None",
        "not self.raw",
        "stores/test_redis_shared.py::test_a_frozen_connection_is_given_up",
    ),
    Breakage(
        "a call to redis is sent though its caller has gone",
        "stores/redis/line.py",
        "Line._send",
        "asked.again or not asked.answer.done()",
        "True",
        "stores/test_redis_shared.py::test_who_goes_away_takes_nobody_along",
    ),
    Breakage(
        "a connection to redis is given up though it speaks",
        "stores/redis/line.py",
        "Line.expire",
        "late and now - self._since >= timeout - _TICK",
        "self._asked",
        "stores/test_redis_shared.py::test_too_late_is_no_reason_to_hang_up_while_others_are_answered",
    ),
    Breakage(
        "a silent connection to redis is kept",
        "stores/redis/line.py",
        "Line.expire",
        "late and now - self._since >= timeout - _TICK",
        "False",
        "stores/test_redis_connections.py::test_a_reply_that_never_comes",
    ),
    Breakage(
        "a connection to redis takes any number of calls",
        "stores/redis/line.py",
        "Line.put",
        "self._is_full or len(sent) + len(unsent) >= self._most",
        "self._is_full",
        "stores/test_redis_shared.py::test_no_more_than_so_many_are_under_way",
    ),
    Breakage(
        "what all calls need is read from redis before what is their own",
        "stores/redis/line.py",
        "Line._send",
        "for words, one in common.items():\n    packed.append(self._owner.pack(words))\n    sent.append(one)",
        "for words, one in common.items():\n    packed.insert(0, self._owner.pack(words))\n    sent.appendleft(one)",
        "stores/test_redis_shared.py::test_what_all_need_is_read_once_and_last",
    ),
    Breakage(
        "what is not encrypted is read at rest",
        "stores/encrypted.py",
        "EncryptedStore.from_store",
        "self._sealer.open(key, record) or record._replace(payload=_UNREADABLE)",
        "self._sealer.open(key, record) or record",
        "stores/test_encrypted.py",
    ),
    Breakage(
        "a payload at rest is not bound to its key",
        "sealers/at_rest.py",
        "_associated",
        "_TAG + head + key.encode()",
        "_TAG + head",
        "stores/test_encrypted.py",
    ),
    Breakage(
        "an imported signature is not compared",
        "importers/django.py",
        "_loads",
        "not colon or not any(__X__)",
        "not colon or not secrets or any([]) and not any(__X__)",
        "importers/test_importers.py",
    ),
    Breakage(
        "what one user saved goes into what begins after another's login",
        "_importing.py",
        "_heir",
        "not gone.heir",
        "False",
        "laws/test_moving_in.py",
    ),
    Breakage(
        "a sweep goes by the clock of whoever is ahead",
        "manager.py",
        "SessionManager._sweep",
        "self.clock() - marks.SKEW",
        "self.clock()",
        "laws/test_clocks.py",
    ),
)
"""Of stores, of what they keep, and of what other libraries left."""

BREAKAGES: Final = (*TOKENS, *RESPONSES, *RECORDS, *ENGINE, *BLOCKING, *SIGNOUT, *BOUND)
"""All of them; every one must be noticed."""
