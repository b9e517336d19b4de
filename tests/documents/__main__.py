"""``python -m tests.documents FOLDER``: one line per Python block; exit code 1 if one does not run that should."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.documents.blocks import read
from tests.documents.run import run

_SUFFIXES = frozenset({".md", ".markdown", ".txt"})


def main(arguments: list[str]) -> int:
    """Run every block of every document in the folders or files named."""
    paths = [Path(argument) for argument in arguments]
    if not paths or not all(path.exists() for path in paths):
        print("usage: make documents DOCS=folder-of-markdown", file=sys.stderr)
        return 2
    files = [path for path in paths if path.is_file()]
    files += sorted(file for path in paths if path.is_dir() for file in path.iterdir() if file.suffix in _SUFFIXES)
    blocks = [block for file in files for block in read(file)]
    # A process for each: frameworks keep routers and settings per process.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        results = list(pool.map(run, blocks))
    for block, result in zip(blocks, results, strict=True):
        word = "runs" if result.runs else "mistaken" if result.mistake else "FAILS"
        notes = f"  [{', '.join(dict.fromkeys(result.notes))}]" if result.notes else ""
        print(f"{block.document} block {block.number} (line {block.line}): {word}: {result.says}{notes}")
    failed = sum(not result.runs and not result.mistake for result in results)
    mistaken = sum(result.mistake for result in results)
    print(f"{len(blocks)} blocks: {sum(r.runs for r in results)} run, {mistaken} mistaken in themselves, {failed} fail")
    return 1 if failed or not blocks else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
