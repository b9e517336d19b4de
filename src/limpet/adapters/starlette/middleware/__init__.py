"""`starlette.middleware` under the prefix: our ``sessions``, and Starlette's own of everything else."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through

__getattr__ = fall_through(__name__, "starlette.middleware")
