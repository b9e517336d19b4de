"""The scripts of `make lint`."""
