"""How a record lies in Redis, and the scripts that change it.

One string per record: a head of fixed length, the subject, the payload. Measured against a hash with five fields
(150 bytes of payload): 192 instead of 464 bytes of memory, and a load costs half the CPU, because one string is
parsed instead of five. ``SETRANGE`` on the head moves the deadlines without touching the payload.

=======  =====  ==================================================================
offset   bytes  what
=======  =====  ==================================================================
0        1      1, the version of this layout
1        8      version, big-endian and signed like all numbers here
9        8      accessed
17       8      expires
25       4      length of the subject, or -1 for none
29              the subject in UTF-8, then the payload
=======  =====  ==================================================================

A value of ours that something else overwrote is still a record to its readers: one with an empty payload, which no
serializer reads, and with a version that stands for just these bytes (a digest of them, or a fixed number for a key
that holds no string at all). So the manager meets a corrupt record, and its ``delete(key, version)`` removes exactly
that.

The index by subject is a sorted set per subject: members are keys, scores are the server's own time at which the record
expires, so that no client's clock decides what falls out of it. Its key holds a SHA-1 of the subject, because that
is what a script can compute. A collision would be harmless: `find` looks at the subject inside each record.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any, Final, NamedTuple

from limpet.contract import NEVER, Record, make_record

__all__ = [
    "CREATE",
    "CREATE_URGENTLY",
    "DELETE",
    "ENLIST",
    "ENLIST_AGAIN",
    "NO_STRING",
    "PAGE",
    "REPLACE",
    "TOUCH",
    "UPDATE",
    "Command",
    "Script",
    "digest",
    "life",
    "pack_record",
    "unpack_record",
]

_HEAD: Final = struct.Struct(">Bqqqi")
_LAYOUT: Final = 1
_WRONG_TYPE: Final = -(2**63)
_FOREVER: Final = 2**53
"""A life in milliseconds from which on a record is simply kept; numbers in scripts are exact up to here."""

NO_STRING: Final = Record(_WRONG_TYPE, b"", 0)
"""What stands for a key that holds a list, a set or a hash."""


def pack_record(record: Record) -> bytes:
    """Return the string that keeps this record."""
    subject = None if record.subject is None else record.subject.encode("utf-8", "surrogatepass")
    length = -1 if subject is None else len(subject)
    head = _HEAD.pack(_LAYOUT, record.version, record.accessed, record.expires, length)
    return head + (subject or b"") + record.payload


def unpack_record(value: bytes) -> Record:
    """Return the record that a string keeps, or a corrupt one for a string that `pack_record` did not write."""
    if len(value) < _HEAD.size or value[0] != _LAYOUT:
        digest = hashlib.sha1(value, usedforsecurity=False).digest()
        return Record(int.from_bytes(digest[:8], "big", signed=True), b"", 0)
    _, version, accessed, expires, length = _HEAD.unpack_from(value)
    start = _HEAD.size + max(length, 0)
    try:
        subject = value[_HEAD.size : start].decode("utf-8", "surrogatepass") if length >= 0 else None
    except UnicodeDecodeError:
        return Record(version, b"", 0)
    if length < -1 or start > len(value):
        return Record(version, b"", 0)
    return make_record((version, value[start:], accessed, expires, subject))


def digest(subject: str) -> str:
    """Return what stands for a subject in the name of its index; a script computes the same from a record."""
    return hashlib.sha1(subject.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def life(expires: int, now: int) -> int | str:
    """Return how long a record lives from now on, in milliseconds, or nothing when it is kept for ever."""
    if expires == NEVER or expires - now >= _FOREVER:
        return ""
    return max(expires - now, 1)


class Script(NamedTuple):
    """A script and the name that the server knows it by."""

    source: str
    sha: str


class Command(NamedTuple):
    """One command: its words, and the script that they name."""

    words: tuple[Any, ...]
    script: Script | None = None

    def in_full(self) -> tuple[Any, ...]:
        """Return the words with the script's text instead of its name, for a server that does not know it yet."""
        return self.words if self.script is None else ("EVAL", self.script.source, *self.words[2:])


# What moves a deadline, deletes, notes an end, or takes the place of a record that ends takes hardly any memory, or
# frees some. A server that is full with ``maxmemory-policy noeviction`` carries it out only if the script says so.
# https://redis.io/docs/latest/develop/programmability/lua-api/#script_flags
_ALLOW_OOM: Final = "allow-oom"


def _script(*parts: str, flags: str = "") -> Script:
    source = "\n".join((f"#!lua flags={flags}", *parts) if flags else parts)
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


# Every script answers 1 for done, 0 for absent, 2 for a key that holds no string, or with the value that is there now.
# In a cluster the index lies on another node than the record, and the base of index keys is empty. There a touch or
# delete is done when it answers with a list: the subject whose index is the caller's to change, and the life that the
# record has left. An update that would give the record to another subject answers so too and is *not* done, until the
# caller has enlisted it there and asks again.
#
# ``WAIT`` asks the replicas for the writes of its own connection. An attempt that follows an unconfirmed one, maybe on
# another connection, would find its work done, write nothing and be confirmed at once. With 'confirm' it writes what
# changes nothing.

_READ: Final = """
local function read(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'table' and not string.find(value.err, 'WRONGTYPE', 1, true) then error(value) end
  return value
end
local function headed(value)
  return type(value) == 'string' and #value >= 29 and string.byte(value, 1) == 1
end
local function version(value)
  if type(value) == 'table' then return '\\128\\0\\0\\0\\0\\0\\0\\0' end
  if headed(value) then return string.sub(value, 2, 9) end
  local digest = string.sub(redis.sha1hex(value), 1, 16)
  return (string.gsub(digest, '..', function(pair) return string.char(tonumber(pair, 16)) end))
end
local function subject(value)
  if not headed(value) then return nil end
  local length = struct.unpack('>i4', value, 26)
  if length < 0 then return nil end
  return string.sub(value, 30, 29 + length)
end
local function later(one, other)
  if struct.unpack('>i8', one) < struct.unpack('>i8', other) then return other end
  return one
end
local function remaining(key)
  local life = redis.call('PTTL', key)
  if life < 0 then return '' end
  return life
end
local function outlive(key, life)
  if life == '' then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, life, 'GT') end
end
"""

# An hour: entries are dropped only when their record is long gone, also if a failover brought another clock. Each call
# drops a few: the server serves nobody else meanwhile.
_ENLIST: Final = """
local function enlist(index, member, life, exactly)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if life == '' then
    redis.call('ZADD', index, '+inf', member)
  elseif exactly then
    redis.call('ZADD', index, string.format('%.0f', now + life), member)
  else
    redis.call('ZADD', index, 'GT', string.format('%.0f', now + life), member)
  end
  local over = redis.call('ZRANGEBYSCORE', index, '-inf', string.format('%.0f', now - 3600000), 'LIMIT', 0, 100)
  if #over > 0 then redis.call('ZREM', index, unpack(over)) end
  local last = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')[2]
  if last == 'inf' then
    redis.call('PERSIST', index)
  else
    redis.call('PEXPIREAT', index, string.format('%.0f', last + 3600000))
  end
end
"""

_CREATE: Final = """
-- KEYS: record, index (optional). ARGV: value, life, member, 'confirm' or ''
local there = read(KEYS[1])
if type(there) == 'table' then return 2 end
if there then
  if ARGV[4] == 'confirm' then redis.call('SETRANGE', KEYS[1], 0, string.sub(there, 1, 1)) end
  return there
end
if ARGV[2] == '' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
if KEYS[2] then enlist(KEYS[2], ARGV[3], ARGV[2]) end
return 1
"""
CREATE: Final = _script(_READ, _ENLIST, _CREATE)
CREATE_URGENTLY: Final = _script(_READ, _ENLIST, _CREATE, flags=_ALLOW_OOM)

_UPDATE: Final = """
-- KEYS: record, index (optional). ARGV: value, life, member, expected version, base of index keys, 'enlist first' or ''
local there = read(KEYS[1])
if not there then return 0 end
if version(there) ~= ARGV[4] then
  if type(there) == 'table' then return 2 end
  if as_given and version(there) == version(ARGV[1]) then
    redis.call('SETRANGE', KEYS[1], 0, string.sub(there, 1, 1))  -- done before, and perhaps not confirmed
  end
  return there
end
local value = ARGV[1]
local before = subject(there)
local after = subject(value)
if ARGV[6] == 'enlist first' and after ~= before then return {after, remaining(KEYS[1])} end
if headed(there) and not as_given then
  local accessed = later(string.sub(value, 10, 17), string.sub(there, 10, 17))
  local expires = later(string.sub(value, 18, 25), string.sub(there, 18, 25))
  value = string.sub(value, 1, 9) .. accessed .. expires .. string.sub(value, 26)
  redis.call('SET', KEYS[1], value, 'KEEPTTL')
  outlive(KEYS[1], ARGV[2])
elseif ARGV[2] == '' then
  redis.call('SET', KEYS[1], value)
else
  redis.call('SET', KEYS[1], value, 'PX', ARGV[2])
end
if ARGV[5] ~= '' and before and before ~= after then
  redis.call('ZREM', ARGV[5] .. redis.sha1hex(before), ARGV[3])
end
if KEYS[2] then enlist(KEYS[2], ARGV[3], remaining(KEYS[1]), as_given) end
return 1
"""
UPDATE: Final = _script(_READ, _ENLIST, "local as_given = false", _UPDATE)
REPLACE: Final = _script(_READ, _ENLIST, "local as_given = true", _UPDATE, flags=_ALLOW_OOM)

TOUCH: Final = _script(
    _READ,
    _ENLIST,
    """
-- KEYS: record. ARGV: accessed and expires as they are kept, life, member, base of index keys
local there = read(KEYS[1])
if not headed(there) then
  if there then return 1 end
  return 0
end
local accessed = later(string.sub(ARGV[1], 1, 8), string.sub(there, 10, 17))
local times = accessed .. later(string.sub(ARGV[1], 9, 16), string.sub(there, 18, 25))
if times ~= string.sub(there, 10, 25) then redis.call('SETRANGE', KEYS[1], 9, times) end
outlive(KEYS[1], ARGV[2])
local whose = subject(there)
if whose then
  if ARGV[4] == '' then return {whose, remaining(KEYS[1])} end
  enlist(ARGV[4] .. redis.sha1hex(whose), ARGV[3], remaining(KEYS[1]))
end
return 1
""",
    flags=_ALLOW_OOM,
)

DELETE: Final = _script(
    _READ,
    """
-- KEYS: record. ARGV: version or '', member, base of index keys, 'confirm' or ''
local there = read(KEYS[1])
if not there then
  if ARGV[4] == 'confirm' then
    redis.call('SET', KEYS[1], '')
    redis.call('DEL', KEYS[1])
  end
  return 0
end
if ARGV[1] ~= '' and version(there) ~= ARGV[1] then
  if type(there) == 'table' then return 2 end
  return there
end
redis.call('DEL', KEYS[1])
local whose = subject(there)
if not whose then return 1 end
if ARGV[3] == '' then return {whose} end
redis.call('ZREM', ARGV[3] .. redis.sha1hex(whose), ARGV[2])
return 1
""",
    flags=_ALLOW_OOM,
)

# A page of an index: what ``ZSCAN`` looks at next. A script asks for it because clients turn the reply of the command
# itself into something of their own.
PAGE: Final = _script(
    """
-- KEYS: index. ARGV: cursor, about how many
local found = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local members = {}
for at = 1, #found[2], 2 do members[#members + 1] = found[2][at] end
return {found[1], members}
""",
)

_ONE_ENTRY: Final = """
-- KEYS: index. ARGV: member, life
enlist(KEYS[1], ARGV[1], ARGV[2])
return 1
"""
ENLIST: Final = _script(_ENLIST, _ONE_ENTRY)
ENLIST_AGAIN: Final = _script(_ENLIST, _ONE_ENTRY, flags=_ALLOW_OOM)
"""The same for an entry that is there most likely, so that a touch moves it also while the server's memory is full."""
