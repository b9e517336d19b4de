"""Real servers for the tests that need them: uvicorn in a thread, nginx as a caching proxy in front."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from limpet.asgi import ASGIApp
from tests.servers.process import ServerProcess, free_port, wait_until

__all__ = ["NGINX", "caching_proxy", "served"]

NGINX = Path("/usr/sbin/nginx")

_CONFIGURATION = """
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/temp;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=pages:1m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_http_version 1.1;
            proxy_cache pages;
            proxy_cache_key $request_uri;
            proxy_cache_valid any 10m;
            add_header X-Cache $upstream_cache_status always;
        }}
    }}
}}
"""


@contextmanager
def served(app: ASGIApp, **options: Any) -> Iterator[int]:
    """Serve an application over real HTTP, at the ``port`` that is given or a free one; yields the port."""
    port = options.pop("port", None) or free_port()
    settings = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="on", **options)
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, "the start of uvicorn", 10)
        yield port
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def caching_proxy(behind: int, folder: Path) -> Iterator[str]:
    """Run nginx with ``proxy_cache`` in front of a port; yields its URL."""
    assert NGINX.exists(), "this test needs nginx: apt-get install -y --no-install-recommends nginx-light"
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, behind=behind, user=user))
    process = ServerProcess([str(NGINX), "-c", str(configuration), "-e", str(folder / "error.log")], folder)
    process.start()
    try:
        wait_until(lambda: _listens(port), "the start of nginx", 10)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
