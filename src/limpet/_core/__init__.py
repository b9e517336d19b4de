"""The engine: no framework, no driver, no event loop. Its front, `engine`, says in which order to read it."""
