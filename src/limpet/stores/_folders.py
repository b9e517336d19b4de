"""What is said of a folder that a store on this machine has made."""

from __future__ import annotations

import logging

__all__ = ["log_made"]

log = logging.getLogger("limpet")


def log_made(folder: str) -> None:
    """Log that a folder was missing and was made: under a mistyped path a store begins empty."""
    log.info("the folder %s did not exist, and was made for the sessions", folder)
