"""The response of the framework, with what Nexios' documents call on it and 3.12 lacks."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import datetime
from typing import Any, Literal, Self

import nexios.http
from nexios.http.response import BaseResponse

from limpet.adapters.nexios._requests import manager_of, sealer_for
from limpet.errors import MissingDependency

__all__ = ["Response"]


class Response(nexios.http.Response):
    """The framework's response: ``send``, ``html_template``, ``status=``, signed cookies, sets in JSON."""

    def __init__(self, request: nexios.http.Request) -> None:
        if not self._initialized:  # the framework calls this again for each middleware
            self._waiting: list[dict[str, Any]] = []
        super().__init__(request)

    def text(
        self,
        content: Any,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        status: int | None = None,
    ) -> Self:
        """Answer with plain text; ``status`` is another name of ``status_code``, here and below."""
        super().text(content, status or status_code, dict(headers or {}))
        return self

    def send(self, content: Any = "", status_code: int = 200, *, status: int | None = None) -> Self:
        """Answer with what is given: text, bytes, or a value that becomes JSON."""
        if isinstance(content, (bytes, memoryview)):
            self.resp(content, status or status_code, content_type="application/octet-stream")
            return self
        return (self.text if isinstance(content, str) else self.json)(content, status or status_code)

    def html(
        self,
        content: Any,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        status: int | None = None,
    ) -> Self:
        """Answer with HTML."""
        super().html(content, status or status_code, dict(headers or {}))
        return self

    def json(
        self,
        data: Any,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        indent: int | None = None,
        ensure_ascii: bool = True,
        *,
        status: int | None = None,
    ) -> Self:
        """Answer with JSON; a set is written as a list, a session as an object."""
        super().json(_plain(data), status or status_code, dict(headers or {}), indent, ensure_ascii)
        self._response = self._preserve_headers_and_cookies(self._response)
        return self

    def empty(
        self, status_code: int = 200, headers: Mapping[str, str] | None = None, *, status: int | None = None
    ) -> Self:
        """Answer without a body."""
        super().empty(status or status_code, dict(headers or {}))
        return self

    def redirect(
        self,
        url: str | None = None,
        name: str | None = None,
        status_code: int = 302,
        headers: Mapping[str, str] | None = None,
        *,
        status: int | None = None,
        **path_params: Any,
    ) -> Self:
        """Send the browser to a URL, or to the route of that name."""
        super().redirect(url, name, status or status_code, dict(headers or {}), **path_params)
        return self

    def html_template(
        self, name: str, context: Mapping[str, Any] | None = None, *, status_code: int = 200, **values: Any
    ) -> Self:
        """Answer with a rendered Jinja template.

        The environment is that of ``nexios.templating``, where it was set up; else templates are in ``templates/``.

        Args:
            name: The template's path.
            context: Its values.
            status_code: The status.
            values: More values.

        Raises:
            MissingDependency: Jinja is not installed.
        """
        try:
            import jinja2
            from nexios import templating
        except ModuleNotFoundError as error:
            raise MissingDependency("res.html_template", "nexios") from error
        if templating.engine is None:
            loader = jinja2.FileSystemLoader("templates")
            environment = jinja2.Environment(loader=loader, autoescape=jinja2.select_autoescape())
        else:
            environment = templating.engine.env.overlay(enable_async=False)  # this call does not wait, as documented
        content = environment.get_template(name).render({"request": self._request, **(context or {}), **values})
        return self.html(content, status_code)

    def set_cookie(
        self,
        key: str,
        value: str,
        max_age: int | None = None,
        expires: str | datetime | int | None = None,
        path: str = "/",
        domain: str | None = None,
        secure: bool | None = None,
        httponly: bool | None = None,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
        *,
        signed: bool = False,
    ) -> Self:
        """Set a cookie of the application, before or after there is a body.

        Args:
            key: Its name.
            value: Its value.
            max_age: Seconds that the browser keeps it; None: until it is closed.
            expires: When the browser drops it; ``max_age`` wins.
            path: Below which path the browser sends it.
            domain: None: to this host alone.
            secure: Over https only. None: True, and for a signed cookie as the session's own.
            httponly: Scripts cannot read it. None: False, and True for a signed cookie.
            samesite: As in the framework.
            signed: Sign it under its name, to be read with ``get_cookie(key, signed=True)``. Everybody can read it.

        Raises:
            ConfigurationError: It is to be signed, and there is no secret key.
        """
        if signed:
            manager = manager_of(self._request)
            value = sealer_for(manager, key).seal(value.encode())
            secure = manager.cookie.secure if secure is None else secure
        attributes: dict[str, Any] = {
            "max_age": max_age,
            "expires": expires,
            "path": path,
            "domain": domain,
            "secure": True if secure is None else secure,
            "httponly": signed if httponly is None else httponly,
            "samesite": samesite,
        }
        if self._response is None:
            self._waiting.append({"key": key, "value": value, **attributes})
        else:
            self._response.set_cookie(key, value, **attributes)
        return self

    def get_response(self) -> BaseResponse:
        """Return what is sent; an empty body if there are but cookies."""
        if self._response is None and self._waiting:
            self.empty()
        return super().get_response()

    def _preserve_headers_and_cookies(self, new_response: BaseResponse) -> BaseResponse:
        """Put the cookies that came before there was a body on the response that now has one."""
        waiting, self._waiting = self._waiting, []
        for cookie in waiting:
            new_response.set_cookie(**cookie)
        return new_response


def _plain(value: Any) -> Any:
    """Return a value with its sets as lists, in an order that does not change, and its mappings as dicts."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Set):
        return [_plain(item) for item in sorted(value, key=repr)]
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
