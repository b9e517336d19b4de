"""The examples, run by real servers."""
