"""The part of the server that is not hot: health, metrics, the viewer page, ``/api``; Starlette."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from hilum.errors import HilumError
from hilum.web.assets import Assets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from hilum.web.metrics import Metrics

__all__ = ["STATIC", "create_app"]

STATIC: Final = Path(__file__).parent / "static"
VENDOR: Final = Path(__file__).parent / "vendor"


def create_app(
    *,
    api: ASGIApp,
    metrics: Metrics,
    ready: Callable[[], str],
    gauges: Callable[[], Mapping[str, tuple[str, float]]] = dict,
    background: Sequence[Callable[[], Awaitable[None]]] = (),
    on_stop: Callable[[], None] = lambda: None,
    static: Path = STATIC,
) -> Starlette:
    """Everything beside the hot mounts.

    Parameters
    ----------
    api : ASGI application
        Mounted at ``/api``.
    ready : callable
        Empty when the server can work, else why not; may block.
    gauges : callable
        What ``/metrics`` reads now; may block.
    background : sequence of coroutine functions
        Run while the server runs, cancelled at its end.
    on_stop : callable
        Called once at the end.
    """
    viewer = Assets(static)

    async def healthz(request: Request) -> Response:
        request.scope["hilum.route"] = "/healthz"
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        request.scope["hilum.route"] = "/readyz"
        try:
            reason = await asyncio.to_thread(ready)
        except HilumError as error:
            reason = str(error)
        if reason:
            return PlainTextResponse(f"{reason}\n", 503, headers={"retry-after": "2"})
        return PlainTextResponse("ready\n")

    async def metrics_page(request: Request) -> Response:
        request.scope["hilum.route"] = "/metrics"
        metrics.flush()
        body, media_type = await asyncio.to_thread(lambda: metrics.exposition(gauges()))
        return Response(body, media_type=None, headers={"content-type": media_type})

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(run()) for run in background]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            on_stop()

    async def api_or_module(scope: Any, receive: Any, send: Any) -> None:
        """Answer by the viewer, which has modules in a folder of that name too, or by the API."""
        if viewer.find(scope["path"]) is not None:
            await viewer(scope, receive, send)
            return
        scope["hilum.route"] = "/api"
        await api(scope, receive, send)

    routes = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics_page),
        Mount("/api", api_or_module),
        Mount("/vendor/openseadragon", Assets(VENDOR / "openseadragon", prefix="/vendor/openseadragon")),
        Mount("/", viewer),
    ]
    return Starlette(routes=routes, lifespan=lifespan)
