"""The breakages: mistakes that session libraries have really made, put into ours one at a time."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["BREAKAGES", "Breakage"]


class Breakage(NamedTuple):
    """One wrong line.

    Attributes:
        what: What would be wrong with it.
        file: Below ``src/holdfast``.
        old: The right text, which is there exactly once.
        new: The wrong text.
        test: Below ``tests``; it has to fail.
    """

    what: str
    file: str
    old: str
    new: str
    test: str


SEC: Final = "security/test_"

BREAKAGES: Final = (
    Breakage(
        "the MAC is not compared",
        "sealers/signed.py",
        "return data if compare_digest(state.finalize(), body[-_MAC_BYTES:]) else None",
        "return data",
        f"{SEC}s11_tampering.py::test_no_flipped_bit_and_no_truncation_is_accepted",
    ),
    Breakage(
        "the MAC is compared with ==",
        "sealers/signed.py",
        "compare_digest(state.finalize(), body[-_MAC_BYTES:])",
        "state.finalize() == body[-_MAC_BYTES:]",
        f"{SEC}s36_timing.py",
    ),
    Breakage(
        "the MAC is cut to 16 bytes",
        "sealers/signed.py",
        "compare_digest(state.finalize(), body[-_MAC_BYTES:])",
        "compare_digest(state.finalize()[:16], body[-_MAC_BYTES:][:16])",
        f"{SEC}s36_timing.py",
    ),
    Breakage(
        "base64 with other unused bits is accepted",
        "_core/tokens.py",
        "if padding is None or (left and data[-1] not in _LAST[left]):",
        "if padding is None:",
        f"{SEC}s11_tampering.py::test_no_flipped_bit_and_no_truncation_is_accepted",
    ),
    Breakage(
        "the cookie's name is not part of the key",
        "sealers/_token.py",
        "self._keyring.derive(purpose, self._name)",
        'self._keyring.derive(purpose, "")',
        "sealers/test_sealers.py",
    ),
    Breakage(
        "the cookie's name is nowhere in the token",
        "sealers/_token.py",
        "        self._name = name\n",
        '        self._name = ""\n',
        f"{SEC}s25_purpose.py::test_a_token_is_bound_to_its_cookie",
    ),
    Breakage(
        "the purpose is not part of the key",
        "sealers/_token.py",
        "        self._purpose = purpose\n",
        '        self._purpose = ""\n',
        f"{SEC}s25_purpose.py",
    ),
    Breakage(
        "what does not decrypt is taken as it is",
        "sealers/encrypted.py",
        "        except self._invalid:\n            return None",
        "        except self._invalid:\n            return data",
        "sealers/test_sealers.py",
    ),
    Breakage(
        "the associated data is left out",
        "sealers/encrypted.py",
        "return key[0].decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], key[1])",
        "return key[0].decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], b'')",
        "sealers/test_sealers.py",
    ),
    Breakage(
        "signed and encrypted tokens share their mode",
        "sealers/encrypted.py",
        'mode: ClassVar[bytes] = b"E"',
        'mode: ClassVar[bytes] = b"S"',
        "sealers/test_sealers.py",
    ),
    Breakage(
        "the end date of a key is ignored",
        "sealers/_token.py",
        "if until is not None and self._clock() >= until:",
        "if until is not None and self._clock() < 0:",
        f"{SEC}keyring_life.py",
    ),
    Breakage(
        "the oldest key seals",
        "sealers/_token.py",
        "text, newest, _ = prepared[0]",
        "text, newest, _ = prepared[-1]",
        f"{SEC}keyring_life.py",
    ),
    Breakage(
        "a weak secret is taken",
        "_core/keyring.py",
        "        if not allow_weak:\n",
        "        if False:\n",
        f"{SEC}s23_weak_secrets.py",
    ),
    Breakage(
        "a session is alive at its deadline",
        "_core/manager.py",
        "return now >= plan.deadline(contents, accessed, self.policy)",
        "return now > plan.deadline(contents, accessed, self.policy)",
        f"{SEC}s09_expiry.py",
    ),
    Breakage(
        "the straight way in takes a session at its idle deadline",
        "_core/plain.py",
        "not 0 <= now - accessed < engine.safe_idle",
        "not 0 <= now - accessed <= engine.safe_idle",
        f"{SEC}s09_expiry.py",
    ),
    Breakage(
        "the straight way in takes a session at its absolute deadline",
        "_core/plain.py",
        "or now - contents.created >= engine.safe_age",
        "or now - contents.created > engine.safe_age",
        f"{SEC}s10_absolute_timeout.py",
    ),
    Breakage(
        "the straight way in does not look at a deadline of the session's own",
        "_core/plain.py",
        "        or contents.ends is not None\n    ):\n        return False\n",
        "    ):\n        return False\n",
        "core/test_plain.py",
    ),
    Breakage(
        "the straight way in takes the last of two cookies",
        "sealers/_token.py",
        "if rest is not None or (at and",
        "if (at and",
        "core/test_plain.py",
    ),
    Breakage(
        "the straight way in does not look whether the name comes again",
        "sealers/_token.py",
        "if rest is None or rest.find(name) >= 0:",
        "if rest is None:",
        "core/test_plain.py",
    ),
    Breakage(
        "the straight way in takes a cookie whose name only ends like ours",
        "sealers/_token.py",
        'if rest is not None or (at and line[at - 2 : at] != b"; "):',
        "if rest is not None:",
        "core/test_plain.py",
    ),
    Breakage(
        "activity moves the absolute deadline",
        "_core/plan.py",
        "limit = NEVER if span is None else contents.created + span",
        "limit = NEVER if span is None else contents.created + 2 * span",
        f"{SEC}s10_absolute_timeout.py",
    ),
    Breakage(
        "update writes where there is nothing",
        "stores/memory.py",
        "                return ABSENT\n            if current.version != expected:",
        "                current = record\n            elif current.version != expected:",
        f"{SEC}s05_logout_race.py::test_a_write_after_the_logout_stores_nothing",
    ),
    Breakage(
        "update takes any version",
        "stores/memory.py",
        "if current.version != expected:",
        "if current.version == 0:",
        f"{SEC}s06_lost_update.py::test_fifty_writers_of_fifty_keys_leave_fifty_keys",
    ),
    Breakage(
        "the old id is kept at login",
        "_core/plan.py",
        "        return Plan(False, Step.MOVE)",
        "        return Plan(False, Step.UPDATE)",
        f"{SEC}s02_login_changes_the_id.py",
    ),
    Breakage(
        "a key that stands for a login changes no id",
        "_core/commit.py",
        "rotates = self._rotates(contents)",
        "rotates = False",
        f"{SEC}s02_login_changes_the_id.py",
    ),
    Breakage(
        "the old row stays after a change of id",
        "_core/rotation.py",
        "delete = partial(engine.server.delete, key, old.version)",
        "delete = partial(engine.server.delete, key, 0)",
        f"{SEC}s03_rotation.py::test_the_old_id_is_dead_at_once",
    ),
    Breakage(
        "a logout deletes the cookie alone",
        "_core/commit.py",
        'outcome = await engine.write("delete", partial(engine.server.delete, key, version), key)',
        "outcome = None",
        f"{SEC}s04_logout.py",
    ),
    Breakage(
        "the store is keyed by the id itself",
        "_core/manager.py",
        "return sha256(self._key_prefix + raw).hexdigest()",
        "return raw.hex()",
        f"{SEC}s27_ids_at_rest.py::test_a_dump_holds_no_id[memory-plain]",
    ),
    Breakage(
        "ids are not signed where there is a secret",
        "_core/manager.py",
        "if self.id_sealer is None:\n            return tokens.decode_id(token)",
        "if True:\n            return tokens.decode_id(token)",
        f"{SEC}s07_store_flood.py",
    ),
    Breakage(
        "an empty session is stored",
        "_core/plan.py",
        "create = Step.CREATE if now.worth_saving else Step.NOTHING",
        "create = Step.CREATE",
        f"{SEC}s07_store_flood.py",
    ),
    Breakage(
        "`in` does not count as a use",
        "_core/session.py",
        "    def __contains__(self, key: object) -> bool:\n        self._read()\n",
        "    def __contains__(self, key: object) -> bool:\n        self._state and self._engine.unseal(self)\n",
        f"{SEC}s26_caches.py",
    ),
    Breakage(
        "a response with a cookie may be cached",
        "_core/caching.py",
        "marked.append(_PRIVATE if token is None else _NO_STORE)",
        "marked.append(_PRIVATE)",
        f"{SEC}s26_caches.py",
    ),
    Breakage(
        "Vary is left out",
        "_core/caching.py",
        '        marked.append((b"vary", vary))\n',
        "",
        f"{SEC}s26_caches.py",
    ),
    Breakage(
        "white space of any kind is dropped around a cookie's name",
        "_core/cookies.py",
        'header[before:at].strip(b" \\t")',
        'header[before:at].decode("latin-1").strip()',
        f"{SEC}s20_disguised_names.py",
    ),
    Breakage(
        "a deletion leaves the attributes out",
        "_core/cookies.py",
        "Max-Age=0; Expires={_EPOCH}; {static}",
        "Max-Age=0; Expires={_EPOCH}; Path=/",
        f"{SEC}s29_deletion.py",
    ),
    Breakage(
        "a cookie that is too large is sent",
        "_core/sealing.py",
        "if size > COOKIE_LIMIT:",
        "if size > 10 * COOKIE_LIMIT:",
        f"{SEC}s15_cookie_too_large.py",
    ),
    Breakage(
        "two valid cookies: the last one wins",
        "_core/manager.py",
        "if len(live) > 1:",
        "if len(live) > 9:",
        f"{SEC}s19_duplicates.py",
    ),
    Breakage(
        "a damaged record is not noticed",
        "_core/record.py",
        'if payload[:_HEAD] != serializer.format + zlib.crc32(body).to_bytes(4, "big"):',
        "if payload[:1] != serializer.format:",
        f"{SEC}s14_bombs.py::test_a_flipped_bit_in_a_row_is_never_decoded",
    ),
    Breakage(
        "the usual save takes a login for a change of values",
        "_core/plain.py",
        "        session._rare is not None\n        or session._phase\n",
        "        session._phase\n",
        "core/test_plain.py",
    ),
    Breakage(
        "the usual save does not look at keys that stand for a login",
        "_core/plain.py",
        "if value is not None and type(value) not in FROZEN:",
        "if value is None and not engine:",
        "core/test_plain.py",
    ),
    Breakage(
        "a save that was given up is taken for another request's",
        "_core/plain.py",
        "        session._tried = {record.version: {}}\n",
        "",
        "races/test_cancelled.py",
    ),
    Breakage(
        "a record whose deadline is text is read",
        "_core/record.py",
        "if type(value) is not kind or (",
        "if kind is None or (",
        f"{SEC}s14_bombs.py",
    ),
    Breakage(
        "a nested change is not noticed",
        "_core/session.py",
        "        value = self._data[key]\n        if type(value) not in FROZEN:\n            self._exposed = True",
        "        value = self._data[key]",
        f"{SEC}s31_nested_changes.py",
    ),
    Breakage(
        "the repr shows the data",
        "_core/session.py",
        "return f\"<Session {self._key[:8] if self._key else 'new'}>\"",
        'return f"<Session {self._data}>"',
        f"{SEC}s30_secrets_stay_secret.py",
    ),
    Breakage(
        "a file store does not sync before it renames",
        "stores/_files.py",
        "                    os.fsync(handle)\n",
        "                    pass\n",
        "faults/test_f07_power_loss.py::test_f07_a_file_is_synced_before_the_response",
    ),
    Breakage(
        "a short write is taken for a whole one",
        "stores/_files.py",
        "rest = rest[os.write(handle, rest) :]",
        "rest = rest[os.write(handle, rest) and len(rest) :]",
        "faults/test_f08_disk_full.py::test_f08_disk_full",
    ),
    Breakage(
        "other users may look into the folder of a file store",
        "stores/_files.py",
        "os.makedirs(self.path, mode=0o700, exist_ok=True)",
        "os.makedirs(self.path, mode=0o755, exist_ok=True)",
        f"{SEC}s21_paths.py",
    ),
    Breakage(
        "a revoked cookie is believed",
        "_core/sealing.py",
        "    if found is None or await revocation.is_live(engine, found.contents, found.record.subject):\n",
        "    if True:\n",
        f"{SEC}s33_cookies_that_end.py",
    ),
    Breakage(
        "a cookie of before the login keeps its lineage",
        "_core/revocation.py",
        "if todo.step is not Step.NOTHING and (signs_in or moves or commit.contents.lineage is None):",
        "if todo.step is not Step.NOTHING and (moves or commit.contents.lineage is None):",
        f"{SEC}s33_cookies_that_end.py",
    ),
    Breakage(
        "what is not encrypted is read at rest",
        "_core/at_rest.py",
        "return self._sealer.open(key, record) or record._replace(payload=_UNREADABLE)",
        "return self._sealer.open(key, record) or record",
        "stores/test_at_rest.py",
    ),
    Breakage(
        "a payload at rest is not bound to its key",
        "sealers/at_rest.py",
        "_TAG + head + key.encode() +",
        "_TAG + head +",
        "stores/test_at_rest.py",
    ),
    Breakage(
        "an old cookie is read after its importer's end date",
        "_core/importing.py",
        "if now < each.until and",
        "if now and",
        "importers/test_importers.py",
    ),
    Breakage(
        "a logout leaves the old library's cookie",
        "_core/importing.py",
        "    if old.dropped:\n",
        "    if not old:\n",
        "importers/test_importers.py",
    ),
    Breakage(
        "an imported signature is not compared",
        "importers/django.py",
        "if not colon or not any(",
        "if not colon or not secrets or any([]) and not any(",
        "importers/test_importers.py",
    ),
)
"""All of them; every one must be noticed."""
