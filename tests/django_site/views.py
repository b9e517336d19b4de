"""What a test asks of a session, in a view that blocks and in one that does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from django.contrib.auth import aget_user, alogin, alogout, get_user_model, login, logout
from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

__all__ = ["AHOOKS", "HOOKS", "Me", "ado", "do"]

HOOKS: dict[str, Callable[[Any], Any]] = {}
"""By name, what a test wants a blocking view to do with its request; what it returns is the answer."""
AHOOKS: dict[str, Callable[[Any], Awaitable[Any]]] = {}
"""The same for an asynchronous view."""
_BACKEND = "django.contrib.auth.backends.ModelBackend"


def _set(request: Any) -> Any:
    request.session.update(request.GET.dict())
    return dict(request.session.items())


def _read(request: Any) -> Any:
    return {key: value for key, value in request.session.items() if not key.startswith("_")}


def _login(request: Any) -> Any:
    user = get_user_model().objects.get(username=request.GET["name"])
    login(request, user, backend=_BACKEND)
    return request.session.session_key


def _logout(request: Any) -> Any:
    logout(request)


def _who(request: Any) -> Any:
    return request.user.get_username()


def _key(request: Any) -> Any:
    return request.session.session_key


def _increment(request: Any) -> Any:
    return request.session.limpet.increment("n")


def _nested(request: Any) -> Any:
    request.session["cart"]["tea"] = request.session["cart"].get("tea", 0) + 1
    return request.session["cart"]


HOOKS.update(
    set=_set,
    read=_read,
    login=_login,
    logout=_logout,
    who=_who,
    key=_key,
    increment=_increment,
    nested=_nested,
    nothing=lambda request: None,
)


async def _aset(request: Any) -> Any:
    await request.session.aupdate(request.GET.dict())
    return dict(await request.session.aitems())


async def _aread(request: Any) -> Any:
    return {key: value for key, value in await request.session.aitems() if not key.startswith("_")}


async def _alogin(request: Any) -> Any:
    user = await get_user_model().objects.aget(username=request.GET["name"])
    await alogin(request, user, backend=_BACKEND)
    return request.session.session_key


async def _alogout(request: Any) -> Any:
    await alogout(request)


async def _awho(request: Any) -> Any:
    return (await aget_user(request)).get_username()


async def _aincrement(request: Any) -> Any:
    return await request.session.limpet.aincrement("n")


AHOOKS.update(set=_aset, read=_aread, login=_alogin, logout=_alogout, who=_awho, increment=_aincrement)


def _answer(found: Any, status: int) -> HttpResponse:
    return found if isinstance(found, HttpResponse) else JsonResponse(found, safe=False, status=status)


@csrf_exempt  # type: ignore[untyped-decorator]  # Django has no annotations
def do(request: Any, name: str) -> HttpResponse:
    """Do what is named, and answer what comes of it."""
    return _answer(HOOKS[name](request), int(request.GET.get("status", 200)))


@csrf_exempt  # type: ignore[untyped-decorator]  # Django has no annotations
async def ado(request: Any, name: str) -> HttpResponse:
    """Do what is named, and answer what comes of it."""
    return _answer(await AHOOKS[name](request), int(request.GET.get("status", 200)))


class Me(APIView):  # type: ignore[misc]  # Django REST framework has no annotations
    """Says who is logged in, and counts how often that was changed."""

    authentication_classes = (SessionAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        """Say who is logged in."""
        return Response({"name": request.user.get_username(), "seen": request.session.get("seen", 0)})

    def post(self, request: Request) -> Response:
        """Count."""
        return Response({"seen": request.session.limpet.increment("seen")})
