"""The blocking side: WSGI, threads, forks."""
