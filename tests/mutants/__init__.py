"""Breakages of one expression or statement, each with the test that must notice it: ``python -m tests.mutants``."""
