"""Compiles the modules that a request goes through, when a wheel is built with ``LIMPET_COMPILE=1``.

mypyc makes C of the very same source, so that there is no second version of anything to keep in step. Without the
variable the wheel is pure: every feature is in it, and every test passes on it. Where a module cannot be compiled the
build fails; it never falls back. ADR 0029 says why, and lists what a module has to do without to be compiled.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPILED: Final = (
    "_arguments.py",
    "_caching.py",
    "_cookies.py",
    "_core/attempt.py",
    "_core/commit.py",
    "_core/conflict.py",
    "_core/context.py",
    "_core/cookie_session.py",
    "_core/engine.py",
    "_wire/ids.py",
    "_core/mapping.py",
    "_core/notes.py",
    "_core/plan.py",
    "_core/reading.py",
    "_wire/record.py",
    "_core/session.py",
    "_core/state.py",
    "_core/storage.py",
    "_wire/tokens.py",
    "_emitter.py",
    "_exchange.py",
    "_middleware.py",
    "_moments.py",
    "_serving.py",
    "_token_headers.py",
    "sealers/_token.py",
    "sealers/encrypted.py",
    "sealers/signed.py",
    "serializers/msgpack.py",
    "stores/cookie.py",
    "stores/memory.py",
    "transports/cookie.py",
)
"""Modules that a request goes through, below ``src/limpet``. A module that is on the way of few requests stays pure."""

REQUIRED: Final = ("mypy[mypyc]>=1.19,<3", "setuptools>=65")

_SETUP: Final = """
import sys
from mypyc.build import mypycify
from setuptools import setup
setup(
    name="limpet",
    packages=[],
    script_args=["build_ext", "--inplace"],
    ext_modules=mypycify(
        ["--config-file=mypy.toml", *sys.argv[1:]], opt_level="{level}", debug_level="0", group_name="limpet"
    ),
)
"""


class CompileHook(BuildHookInterface[Any]):
    """Adds the compiled modules to a wheel, beside their sources."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what the build needs beside hatchling."""
        return list(REQUIRED) if _is_asked_for() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put what came of it into the wheel.

        Raises:
            RuntimeError: It was asked for and cannot be done here.
        """
        if not _is_asked_for():
            return
        if version == "editable":
            raise RuntimeError("LIMPET_COMPILE=1 goes with a wheel: an editable installation runs the source as it is")
        folder = Path(tempfile.mkdtemp(prefix="limpet-compile-"))
        self._folder = folder
        build_data["pure_python"], build_data["infer_tag"] = False, True
        for made in compile_into(Path(self.root), folder):
            build_data["force_include"][str(made)] = str(made.relative_to(folder))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what the compiler left."""
        if _is_asked_for():
            shutil.rmtree(self._folder, ignore_errors=True)


def _is_asked_for() -> bool:
    return os.environ.get("LIMPET_COMPILE", "") not in ("", "0")


def compile_into(root: Path, folder: Path, level: str = "2") -> list[Path]:
    """Compile in a copy of the source; return the libraries, each where it belongs below ``folder``.

    Args:
        root: Where ``src/limpet`` and ``pyproject.toml`` are.
        folder: An empty folder.
        level: What the C compiler is asked for, ``"0"`` to ``"3"``.

    Raises:
        RuntimeError: mypyc or a C compiler is missing, or a module cannot be compiled.
    """
    shutil.copytree(root / "src" / "limpet", folder / "limpet", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    shutil.copy(root / "pyproject.toml", folder / "mypy.toml")  # under its own name, setuptools would read it too
    command = [sys.executable, "-c", _SETUP.format(level=level), *(f"limpet/{name}" for name in COMPILED)]
    environment = {**os.environ, "MYPYPATH": str(folder), "CFLAGS": f"{os.environ.get('CFLAGS', '')} -g0".strip()}
    done = subprocess.run(  # noqa: S603 - the interpreter that builds
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    made = sorted(folder.glob(f"limpet/**/*{suffix}")) + sorted(folder.glob(f"*{suffix}"))
    if done.returncode or len(made) <= len(COMPILED):
        said = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
        raise RuntimeError(
            f"LIMPET_COMPILE=1, and the modules could not be compiled. That takes {' and '.join(REQUIRED)}, a C "
            f"compiler and Python's headers (on Debian: gcc and python3-dev). The end of what was said:\n{said}"
        )
    return made


if __name__ == "__main__":  # for developers: python hatch_build.py FOLDER [LEVEL]
    for library in compile_into(Path(__file__).parent, Path(sys.argv[1]), *sys.argv[2:3]):
        print(library)
