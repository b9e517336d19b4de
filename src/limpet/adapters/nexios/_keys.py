"""The secret key of an application, as its documents print it."""

from __future__ import annotations

import logging
import warnings
from typing import Any, cast

from limpet.errors import ConfigurationError, WeakSecret
from limpet.keyring import Keyring

__all__ = ["read_keys"]

log = logging.getLogger("limpet")


def read_keys(secret: Any) -> Keyring:
    """Return the keys; a weak secret, as the documents print them, is taken with a warning.

    Raises:
        ConfigurationError: There is none, or it is the URL of a store.
    """
    if secret is None or (isinstance(secret, (str, bytes)) and not secret.strip()):
        raise ConfigurationError(
            f"sessions need secret_key, and it is {'not set' if secret is None else 'empty'}: make one with "
            "`limpet keygen` and set app.config.secret_key, MakeConfig(secret_key=...) or SECRET_KEY"
        )
    if isinstance(secret, Keyring):
        return secret
    try:
        return Keyring(secret)
    except WeakSecret as problem:
        log.warning("secret_key: %s", problem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it was logged
        return Keyring(cast("Any", secret), allow_weak=True)
