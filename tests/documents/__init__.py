"""Runs the Python blocks of session documents against the adapters: ``make documents DOCS=folder``.

Every block is taken as it stands; only the prefix is put into its import lines. Names that a block leaves to its reader
get a stand-in, and every one is listed.
"""
