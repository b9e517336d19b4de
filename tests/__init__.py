"""The suite: one promise per test; the folders mirror the package."""
