"""Flask-Admin, unchanged: the tokens of its forms and its messages lie in the session."""

from __future__ import annotations

from pathlib import Path

import flask
from flask_admin import Admin
from flask_admin.contrib.fileadmin import FileAdmin
from flask_admin.form import SecureForm

from tests.packages.flask_site import KINDS, field, make_app


class Files(FileAdmin):  # type: ignore[misc]
    form_base_class = SecureForm

    def is_accessible(self) -> bool:
        return "admin" in flask.session

    def inaccessible_callback(self, name: str, **options: object) -> tuple[str, int]:
        return "no admin", 403


@KINDS
def test_folders_are_made_by_its_forms(kind: str, tmp_path: Path) -> None:
    """Who is let in by the session makes a folder with a form's token, and is shown what came of it once."""
    files = tmp_path / "files"
    files.mkdir()
    app = make_app(kind, tmp_path)
    Admin(app, name="files").add_view(Files(str(files), name="Files", endpoint="files"))
    browser = app.test_client()
    assert browser.get("/admin/files/mkdir/").status_code == 403
    with browser.session_transaction() as held:
        held["admin"] = True
    token = field(browser.get("/admin/files/mkdir/").text, "csrf_token")
    assert "CSRF" in browser.post("/admin/files/mkdir/", data={"name": "forged"}, follow_redirects=True).text
    done = browser.post("/admin/files/mkdir/", data={"name": "made", "csrf_token": token}, follow_redirects=True)
    assert "Successfully created directory: made" in done.text
    assert [path.name for path in files.iterdir()] == ["made"]
    assert "Successfully" not in browser.get("/admin/files/").text
