"""Where settings come from when the application gives none: the environment, and the folder of development mode."""

from __future__ import annotations

import os
import re
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Final

from limpet._moments import milliseconds
from limpet.errors import ConfigurationError
from limpet.keyring import generate_secret

__all__ = [
    "development_secret",
    "development_store",
    "host_since_boot",
    "is_development",
    "secrets_from_environment",
    "store_from_environment",
    "unsigned_until",
]

FOLDER: Final = Path(".limpet")
_NO_STORE: Final = (
    "no session store is configured. Give SessionManager (or LIMPET_STORE) one of these: "
    "sqlite:///sessions.db (one machine, nothing to install), redis://localhost:6379/0 or "
    "postgresql://localhost/app (many machines). For development set LIMPET_DEV=1 or pass dev=True"
)


def is_development(dev: bool | None) -> bool:
    """Return the switch that was given, else what ``LIMPET_DEV`` says. Nothing else is looked at.

    Raises:
        ConfigurationError: ``LIMPET_DEV`` is neither yes nor no.
    """
    if dev is not None:
        return dev
    said = os.environ.get("LIMPET_DEV", "").strip().lower()
    if said in {"1", "true", "yes", "on"}:
        return True
    if said in {"", "0", "false", "no", "off"}:
        return False
    raise ConfigurationError(f"LIMPET_DEV={said!r} is neither yes nor no: set it to 1 or 0")


def store_from_environment(dev: bool) -> str:
    """Return the URL in ``LIMPET_STORE``; in development a file in `FOLDER` when there is none.

    Raises:
        ConfigurationError: There is none, and this is not development; the message lists three.
    """
    url = os.environ.get("LIMPET_STORE", "").strip()
    if url:
        return url
    if not dev:
        raise ConfigurationError(_NO_STORE)
    return development_store()


def secrets_from_environment() -> list[str]:
    """Return the secrets in ``LIMPET_SECRET``, newest first; they are separated by white space."""
    text = os.environ.get("LIMPET_SECRET", "")
    if re.search(r"(^|\s),|,(\s|$)", text):
        raise ConfigurationError("LIMPET_SECRET has commas between its secrets: separate them by white space alone")
    return text.split()


def unsigned_until(given: date | None) -> int:
    """Return until when ids without a signature are accepted, in milliseconds since 1970; 0: they are not.

    Args:
        given: What the application says; None: what ``LIMPET_UNSIGNED_UNTIL`` says.

    Raises:
        ConfigurationError: It is neither a date nor a time with a zone.
    """
    if given is not None:
        return milliseconds("unsigned_until", given)
    text = os.environ.get("LIMPET_UNSIGNED_UNTIL", "").strip()
    if not text:
        return 0
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"LIMPET_UNSIGNED_UNTIL={text!r} is no date: write 2030-01-31") from None
    return milliseconds("LIMPET_UNSIGNED_UNTIL", until if ":" in text else until.date())


def development_store() -> str:
    """Return the URL of development's database, its folder made."""
    _folder()
    return f"sqlite:///{FOLDER}/sessions.db"


def development_secret() -> str:
    """Return the secret of this project folder, made on first use and shared by every process that runs here."""
    path = _folder() / "secret"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    draft = path.with_name(f"secret.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(generate_secret() + "\n")
    try:
        os.link(draft, path)  # the first process wins, and no other sees half a file
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()


def announce(store: str) -> None:
    """Print the one banner of development mode."""
    if "LIMPET_DEV_ANNOUNCED" not in os.environ:
        os.environ["LIMPET_DEV_ANNOUNCED"] = "1"  # children of a reloader stay quiet
        print(
            f"limpet: development mode, cookies without Secure, sessions in {store}. Not for production.",
            file=sys.stderr,
        )


def _folder() -> Path:
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    ignore = FOLDER / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return FOLDER


def host_since_boot() -> str:
    """Return what all processes on this host have in common since it started, and no other host has.

    Their monotonic clocks count from one moment, so that two of their times can be compared. Where the system does not
    tell when it started, the name begins with ``~`` and stands for the host alone.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        import platform
        import uuid

        return f"~{platform.node()}-{uuid.getnode():x}"
