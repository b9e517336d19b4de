"""One-line breakages, each with the test that must notice it: ``python -m tests.mutants``."""
