"""The file `test_reading.py` of the tutorial, word for word. Checked by `make lint`, run by nobody."""

from limpet.testing import client

from reading import app

ANN = {"name": "ann", "password": "correct horse battery staple"}


def test_books_stay_at_login_and_go_at_logout() -> None:
    with client(app) as browser:
        browser.post("/books/Emma")
        assert browser.post("/login", data=ANN).json() == "hello, ann"
        assert browser.get("/books").json() == ["Emma"]
        browser.post("/logout")
        assert browser.get("/books").json() == []
        assert browser.get("/me").status_code == 401


def test_another_device_can_be_signed_out() -> None:
    with client(app) as laptop, client(app) as phone:
        laptop.post("/login", data=ANN)
        phone.post("/login", data=ANN)
        assert len(laptop.get("/devices").json()) == 2
        assert laptop.post("/logout-elsewhere").json() == 1
        assert phone.get("/me").status_code == 401
        assert laptop.get("/me").json() == "ann"
