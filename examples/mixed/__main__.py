"""Starts the three applications and nginx in front of them: ``make mixed``, then http://127.0.0.1:8080/django/."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MISSING = (
    "nginx is not installed, which stands in front of the three applications here. Install it with "
    "`apt-get install nginx-light` (Debian, Ubuntu) or `brew install nginx` (macOS)"
)
CONFIGURATION = """daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        location = / {{ return 302 /django/; }}
        location /django/ {{ proxy_pass http://127.0.0.1:{django}; }}    # gunicorn
        location /flask/ {{ proxy_pass http://127.0.0.1:{flask}; }}      # gunicorn
        location /fastapi/ {{ proxy_pass http://127.0.0.1:{fastapi}; }}  # uvicorn
    }}
}}
"""


def main() -> None:
    """Run until Ctrl-C, or until one of the four has ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="nginx's; the three after it are the applications'")
    parser.add_argument("--folder", type=Path, default=Path(".limpet/mixed"), help="for the databases")
    options = parser.parse_args()
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if nginx is None:
        raise SystemExit(MISSING)
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    secret = folder / "secret"
    if not secret.exists():
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(32))
    django, flask, fastapi = (options.port + number for number in (1, 2, 3))
    (folder / "nginx.conf").write_text(
        CONFIGURATION.format(folder=folder, port=options.port, django=django, flask=flask, fastapi=fastapi)
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.setdefault("LIMPET_SECRET", secret.read_text())
    python = [sys.executable, "-m"]
    gunicorn = [
        *python,
        "gunicorn",
        "--workers",
        "2",
        "--threads",
        "4",
        "--log-level",
        "warning",
        "--no-control-socket",
    ]
    subprocess.run(
        [sys.executable, "-c", "from examples.mixed.django_site import prepare; prepare()"],
        cwd=folder,
        env=environment,
        check=True,
    )
    commands = (
        [*gunicorn, "--bind", f"127.0.0.1:{django}", "examples.mixed.django_site:app"],
        [*gunicorn, "--bind", f"127.0.0.1:{flask}", "examples.mixed.flask_site:app"],
        [*python, "uvicorn", "--port", str(fastapi), "--log-level", "warning", "examples.mixed.fastapi_site:app"],
        [nginx, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")],
    )
    running = [subprocess.Popen(command, cwd=folder, env=environment) for command in commands]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"http://127.0.0.1:{options.port}/ serves Django, Flask and FastAPI with one session; Ctrl-C ends it")
    try:
        os.wait()
    except KeyboardInterrupt:
        pass
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


if __name__ == "__main__":
    main()
