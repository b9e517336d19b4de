"""An adapter whose framework is not installed says what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
try:
    import {module}
except ImportError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("module", "absent", "extra"),
    [
        ("limpet.adapters.starlette", "starlette", "starlette"),
        ("limpet.adapters.starlette.middleware.sessions", "starlette", "starlette"),
        ("limpet.adapters.fastapi", "fastapi", "fastapi"),
        ("limpet.adapters.litestar", "litestar", "litestar"),
        ("limpet.adapters.blacksheep", "blacksheep", "blacksheep"),
        ("limpet.adapters.blacksheep.sessions.memory", "blacksheep", "blacksheep"),
        ("limpet.adapters.blacksheep.server", "itsdangerous", "blacksheep"),
        ("limpet.adapters.flask", "flask", "flask"),
        ("limpet.adapters.django", "django", "django"),
        ("limpet.adapters.quart", "quart", "quart"),
        ("limpet.adapters.aiohttp", "aiohttp", "aiohttp"),
        ("limpet.adapters.nexios", "nexios", "nexios"),
        ("limpet.adapters.nexios.session.middleware", "nexios", "nexios"),
    ],
)
def test_the_extra_is_named(module: str, absent: str, extra: str) -> None:
    """Importing the adapter, or any module of it, is an error that names the extra."""
    program = PROGRAM.format(absent={absent}, module=module)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("MissingDependency")
    assert f"pip install 'limpet[{extra}]'" in done.stdout
