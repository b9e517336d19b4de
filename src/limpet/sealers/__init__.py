"""Turn bytes into tokens that only a holder of the keys can make: `signed` (readable) and `encrypted` (not)."""
