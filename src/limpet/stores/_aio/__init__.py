"""What several stores need of asyncio: commands gathered into batches, one client per event loop, blocking calls."""
