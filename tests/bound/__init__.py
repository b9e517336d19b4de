"""Sessions that are bound to devices."""
