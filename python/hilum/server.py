"""The composition root of ``hilum serve``: reads settings, builds every part, connects them, runs the processes."""

from __future__ import annotations

import asyncio
import functools
import gc
import ipaddress
import logging
import os
import resource
import socket
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from hilum.errors import Unavailable, UsageError
from hilum.web.processes import Child, Life, supervise, wait_for_end
from hilum.web.samples import samples_folder

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from hilum.archive.archive import Archive
    from hilum.config import DimseSettings, Settings
    from hilum.dicomweb.paging import PagingMemory
    from hilum.dimse.identity import Users
    from hilum.dimse.places import Places
    from hilum.web.gateway import Gateway
    from hilum.web.metrics import Metrics

__all__ = ["ServeOptions", "build_app", "check_exposure", "serve"]

LOGGER = logging.getLogger("hilum.server")
_DRAIN_S: Final = 8
_ARRIVING_BYTES: Final = 192 << 20
"""Objects in memory of a DICOM process while they arrive and wait for their commit."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What ``hilum serve`` is asked for beside the settings."""

    archive: Path
    access_log: str = ""
    """``-`` for standard error, else a file; empty: only failures."""
    announce: Callable[[str], None] = field(default=print)
    """Told the addresses when all workers answer."""


def check_exposure(settings: Settings) -> None:
    """Refuse to listen where others can reach us without TLS and a token (P45).

    Raises
    ------
    UsageError
        Says which setting is missing, or the flag that overrides.
    """
    http, dimse = settings.http, settings.dimse
    if http.insecure:
        return
    if not _is_loopback(http.host) and not (http.tls_certificate and http.tls_key and http.token):
        raise UsageError(
            f"http.host {http.host} can be reached from elsewhere: set http.tls_certificate, http.tls_key "
            "and http.token, or allow it by name with --insecure"
        )
    protected = dimse.tls_certificate and dimse.tls_key and dimse.tls_trusted
    if dimse.enabled and not _is_loopback(dimse.host) and not protected:
        raise UsageError(
            f"dimse.host {dimse.host} can be reached from elsewhere: set dimse.tls_certificate, dimse.tls_key "
            "and dimse.tls_trusted, or allow it by name with --insecure"
        )


def _check_dimse(settings: Settings) -> None:
    """Find mistakes in the peers and certificates before anything is started."""
    if settings.dimse.enabled:
        from hilum.archive.coerce import parse_rules
        from hilum.dimse.peers import parse_peers

        parse_peers(settings.dimse.peers)
        parse_rules(settings.dimse.coerce)
        _users(settings.dimse)
        if bool(settings.dimse.tls_certificate) != bool(settings.dimse.tls_key):
            raise UsageError("dimse.tls_certificate and dimse.tls_key belong together")
        if settings.dimse.tls_revoked and not settings.dimse.tls_trusted:
            raise UsageError("dimse.tls_revoked needs dimse.tls_trusted")
        if settings.dimse.tls_bind_titles and not (settings.dimse.tls_certificate and settings.dimse.tls_trusted):
            raise UsageError("dimse.tls_bind_titles needs dimse.tls_certificate, dimse.tls_key and dimse.tls_trusted")
        _dicom_tls(settings.dimse)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int, copies: int = 1) -> list[socket.socket]:
    """Sockets bound to one address, one for each process that will listen (``SO_REUSEPORT``).

    Raises
    ------
    Unavailable
        The address is in use or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sockets: list[socket.socket] = []
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:  # another server that shares its port would go unseen
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            port = probe.getsockname()[1]
        for _ in range(copies):
            listener = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((host, port))
    except OSError as error:
        for listener in sockets:
            listener.close()
        raise Unavailable(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return sockets


def build_app(
    archive: Archive,
    settings: Settings,
    *,
    metrics: Metrics,
    paging: PagingMemory,
    access_log: str = "",
    background: Callable[[], Any] | None = None,
) -> Gateway:
    """Build the ASGI application over an open archive.

    Parameters
    ----------
    archive : Archive
        Opened by this process.
    paging : PagingMemory
        Shared by the workers.
    background : coroutine function, optional
        Runs while the application runs.
    """
    from hilum.archive.tiles import Tiler
    from hilum.dicomweb import openapi
    from hilum.dicomweb.app import DicomWeb, DicomWebSettings
    from hilum.dicomweb.measured import Measured
    from hilum.dicomweb.status import http_status
    from hilum.dicomweb.tiles import Iiif, Tiles
    from hilum.dicomweb.uri import WadoUri
    from hilum.dicomweb.zarr import Zarr
    from hilum.web.access_log import AccessLog
    from hilum.web.admin_api import create_api
    from hilum.web.app import create_app
    from hilum.web.gateway import Gateway, GatewaySettings

    http = settings.http
    pool = ThreadPoolExecutor(http.threads, thread_name_prefix="hilum-work")
    log = AccessLog(access_log)
    version = metadata.version("hilum")
    web = DicomWebSettings(
        public_url=http.public_url.rstrip("/"),
        max_results=http.max_results,
        max_body_bytes=http.max_body_bytes,
        max_queue=http.threads * 16,
    )
    dicomweb = DicomWeb(archive, web, pool, paging, functools.partial(metrics.observe_store, "stow"))
    api = create_api(archive, version, openapi.paths("/dicom-web"), http_status)

    async def flush() -> None:
        while True:
            await asyncio.sleep(1)
            log.flush()
            metrics.flush()

    def stop() -> None:
        log.close()
        metrics.flush()
        pool.shutdown(wait=False, cancel_futures=True)

    def ready() -> str:
        archive.statistics()
        return ""

    def gauges() -> dict[str, tuple[str, float]]:
        found, disk = archive.statistics(), os.statvfs(archive.root)
        return {
            "hilum_archive_studies": ("Studies in the archive", found.studies),
            "hilum_archive_instances": ("Instances in the archive", found.instances),
            "hilum_archive_bytes": ("Bytes of all packs", found.pack_bytes),
            "hilum_index_bytes": ("Bytes of the index", found.index_bytes),
            "hilum_disk_free_bytes": ("Free space where the archive lies", disk.f_bavail * disk.f_frsize),
        }

    tasks = [flush] if background is None else [flush, background]
    rest = create_app(api=api, metrics=metrics, ready=ready, gauges=gauges, background=tasks, on_stop=stop)
    gateway = GatewaySettings(cors_origins=http.cors_origins, token=http.token)
    tiler = Tiler(archive.retrieve, archive.index, settings.cache.decoded_memory_bytes)
    mounts: dict[str, Any] = {
        "/dicom-web": dicomweb,
        "/wado": WadoUri(dicomweb),
        "/iiif": Iiif(archive, tiler, dicomweb.pool, http.public_url),
        "/tiles": Tiles(archive, tiler, dicomweb.pool, http.public_url),
        "/volumes": Measured(archive, dicomweb.pool),
        "/zarr": Zarr(archive, dicomweb.pool),
    }
    return Gateway(mounts, rest, gateway, metrics, log)


def serve(settings: Settings, options: ServeOptions) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status.

    Raises
    ------
    HilumError
        The archive cannot be opened, the address is in use, or listening there is not allowed.
    """
    check_exposure(settings)
    _check_dimse(settings)
    _silence_libraries()
    _raise_descriptor_limit()
    _check_archive(options.archive, settings)
    workers = settings.http.workers or os.cpu_count() or 1
    listeners = bind(settings.http.host, settings.http.port, workers)
    dimse = settings.dimse
    dicom = bind(dimse.host, dimse.port, dimse.acceptors) if dimse.enabled else []
    try:
        with samples_folder() as samples:
            return _supervise(settings, options, listeners, dicom, samples)
    finally:
        for listener in (*listeners, *dicom):
            listener.close()


def _supervise(
    settings: Settings,
    options: ServeOptions,
    listeners: list[socket.socket],
    dicom: list[socket.socket],
    samples: Path,
) -> int:
    """Run the processes; ``samples`` is the folder of their metrics."""
    from hilum.web import metrics

    metrics.prepare(samples)
    _import_early()
    from hilum.dicomweb.paging import PagingMemory

    paging = PagingMemory()
    children = [
        Child(f"http-{index}", functools.partial(_run_http, settings, options, listener, paging))
        for index, listener in enumerate(listeners)
    ]
    if dicom:
        from hilum.dimse.places import Places

        places = Places.of(settings.dimse)
        children += [
            Child(f"dicom-{index}", functools.partial(_run_dimse, settings, options, listener, places, index == 0))
            for index, listener in enumerate(dicom)
        ]
    return supervise(children, on_ready=lambda: _announce(settings, options, listeners, dicom))


def _announce(settings: Settings, options: ServeOptions, http: list[socket.socket], dicom: list[socket.socket]) -> None:
    host, port = http[0].getsockname()[:2]
    scheme = "https" if settings.http.tls_certificate else "http"
    shown = f"[{host}]" if ":" in host else host
    line = f"hilum: {scheme}://{shown}:{port}/ (DICOMweb at /dicom-web, API at /api/docs)"
    if dicom:
        line += f", DICOM {settings.dimse.ae_title} at port {dicom[0].getsockname()[1]}"
    options.announce(line)


def _check_archive(path: Path, settings: Settings) -> None:
    """Open and close the archive once: made, recovered or refused here, with one message, not one per worker."""
    import hilum
    from hilum.archive.incoming import Incoming

    hilum.open(path, settings=settings).close()
    Incoming(path / "incoming").remove_leftovers()


def _import_early() -> None:
    """Import what every worker needs, once, before the fork."""
    with suppress(ImportError):
        import uvloop  # noqa: F401


def _silence_libraries() -> None:
    """Keep what pydicom says of odd values, and the values in it, out of the log (P59)."""
    import pydicom  # noqa: F401 - it sets the level of its logger when it is imported

    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="pydicom")
    warnings.filterwarnings("ignore", module="pynetdicom")


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))
    LOGGER.debug("descriptor limit was %d of %d", soft, hard)


def _run_http(
    settings: Settings, options: ServeOptions, listener: socket.socket, paging: PagingMemory, life: Life
) -> int:
    """One HTTP worker."""
    import uvicorn

    import hilum
    from hilum.web.metrics import Metrics
    from hilum.web.protocol import Limits, guarded, watch

    archive = hilum.open(options.archive, settings=settings)
    server: uvicorn.Server

    async def background() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(life.parent_fd, _end, server)
        life.ready()
        await watch(lambda: server.server_state.connections)

    app = build_app(
        archive, settings, metrics=Metrics(), paging=paging, access_log=options.access_log, background=background
    )
    config = uvicorn.Config(
        app,
        http=guarded(Limits()),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_DRAIN_S,
        ssl_certfile=settings.http.tls_certificate,
        ssl_keyfile=settings.http.tls_key,
    )
    server = uvicorn.Server(config)
    _spare_the_collector()
    try:
        server.run(sockets=[listener])
    finally:
        archive.close()
    return 0


def _spare_the_collector() -> None:
    """Keep what was imported and built until now out of every later collection of garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _end(server: Any) -> None:
    server.should_exit = True


def _dicom_tls(dimse: DimseSettings) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Contexts for the DICOM port and for associations that we request."""
    from hilum.dimse.tls import client_context, server_context

    if dimse.tls_certificate is None or dimse.tls_key is None:
        if dimse.tls_trusted is None:
            return None, None
        return None, client_context(dimse.tls_trusted, revoked=dimse.tls_revoked, check_name=False)
    certificate, key = dimse.tls_certificate, dimse.tls_key
    port = server_context(certificate, key, dimse.tls_trusted, dimse.tls_revoked)
    return port, client_context(dimse.tls_trusted, certificate, key, dimse.tls_revoked, check_name=False)


def _users(dimse: DimseSettings) -> Users:
    """Who may be told as user of an association."""
    from hilum.dimse.identity import Users
    from hilum.dimse.tokens import Tokens

    tokens = None
    if dimse.jwt_keys is not None:
        tokens = Tokens(dimse.jwt_keys, dimse.jwt_issuer, dimse.jwt_audience, dimse.jwt_title_claim)
    elif dimse.jwt_issuer or dimse.jwt_audience or dimse.jwt_title_claim:
        raise UsageError("dimse.jwt_issuer, jwt_audience and jwt_title_claim need dimse.jwt_keys")
    return Users(dimse.users, required=dimse.require_user, tokens=tokens)


def _run_dimse(
    settings: Settings, options: ServeOptions, listener: socket.socket, places: Places, first: bool, life: Life
) -> int:
    """Run a DICOM process; the `first` one also sends reports and tells complete studies."""
    import hilum
    from hilum.archive.coerce import Coercing, parse_rules, rules_of
    from hilum.archive.completion import StudyCompletion
    from hilum.archive.incoming import Incoming
    from hilum.archive.refusals import Refusals
    from hilum.archive.volumes import VolumesAhead
    from hilum.dimse.admission import Admission
    from hilum.dimse.commitment import CommitmentService
    from hilum.dimse.peers import parse_peers
    from hilum.dimse.query import FindService
    from hilum.dimse.retrieve import GetService, MoveService
    from hilum.dimse.server import DimseServer
    from hilum.dimse.services import Services
    from hilum.dimse.storage import StoreHandler
    from hilum.web.metrics import Metrics

    metrics = Metrics()
    observe = metrics.observe_dimse
    archive = hilum.open(options.archive, settings=settings)
    most = settings.ingest.max_object_bytes
    incoming = Incoming(options.archive / "incoming", memory_bytes=_ARRIVING_BYTES, max_object_bytes=most)
    rules = parse_rules(settings.dimse.coerce)
    handler = StoreHandler(Coercing(archive, rules), functools.partial(metrics.observe_store, "c-store"))
    dimse = settings.dimse
    peers = parse_peers(dimse.peers)
    refusals = Refusals(archive.root)

    def note(title: str, address: str, service: str, reason: str) -> None:
        refusals.add(title, address, service, reason)
        metrics.observe_refusal(service, title if title in peers else "")

    admission = Admission(
        peers,
        dimse.calling_ae_titles,
        known_only=dimse.known_peers_only,
        bind_titles=dimse.tls_bind_titles,
        users=_users(dimse),
        coerces=lambda title: bool(rules_of(rules, title)),
        note=note,
    )
    port_tls, peer_tls = _dicom_tls(dimse)
    look_s = 1.0 if dimse.acceptors > 1 else 3600.0
    commitment = CommitmentService(archive, dimse.ae_title, peers, tls=peer_tls, look_s=look_s)
    services = Services(
        {
            "find": FindService(archive, dimse.ae_title, dimse.max_results, functools.partial(observe, "c-find")),
            "get": GetService(archive, functools.partial(observe, "c-get")),
            "move": MoveService(
                archive,
                dimse.ae_title,
                peers,
                parallel=dimse.move_associations,
                retries=dimse.move_retries,
                tls=peer_tls,
                observe=functools.partial(observe, "c-move"),
            ),
            "commit": commitment,
        },
        admission.may,
        lambda link, service, reason: note(link.calling_ae_title, link.peer_address, service, reason),
    )
    handler.watch(lambda title, address, reason: note(title, address, "store", reason), admission.may)
    server = DimseServer(
        dimse, listener, handler, incoming, metrics.observe_association, services, admission, port_tls, places=places
    )
    server.start()
    if first:
        commitment.start()
    completion = StudyCompletion(archive, settings.ingest.study_complete_seconds)
    ahead = VolumesAhead(archive)
    completes = first and bool(settings.ingest.study_complete_seconds)
    if completes:
        completion.start()
        if settings.volumes.ahead:
            ahead.start()
    _spare_the_collector()
    try:
        wait_for_end(life)
    finally:
        server.stop(_DRAIN_S - 1)
        commitment.stop()
        if completes:
            if settings.volumes.ahead:
                ahead.stop()
            completion.stop()
        archive.close()
    return 0
