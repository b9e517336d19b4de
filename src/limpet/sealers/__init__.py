"""Turn bytes into tokens that nobody without the keys can make: `signed` (readable) and `encrypted` (not)."""
