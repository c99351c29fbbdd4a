"""Slides by HTTP as other libraries would serve them: Starlette under uvicorn, one worker, their own default caches.

`PEER=wsidicom|wsidicom-bytes|large_image SLIDE=FOLDER uvicorn tile_peers:app`, then ``/X,Y,SIDE`` in pixels of the
largest level. `wsidicom-bytes` sends tiles as they are stored, for tiles only.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image
    from starlette.requests import Request

SLIDE = Path(os.environ["SLIDE"])


def jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=90)
    return stream.getvalue()


def wsidicom_reader() -> Callable[[int, int, int], bytes]:
    import wsidicom

    slide = wsidicom.WsiDicom.open(SLIDE)

    def read(x: int, y: int, side: int) -> bytes:
        if x % side or y % side:
            return jpeg(slide.read_region((x, y), 0, (side, side)))
        return jpeg(slide.read_tile(0, (x // side, y // side)))

    return read


def stored_reader() -> Callable[[int, int, int], bytes]:
    import wsidicom

    slide = wsidicom.WsiDicom.open(SLIDE)
    return lambda x, y, side: slide.read_encoded_tile(0, (x // side, y // side))


def large_image_reader() -> Callable[[int, int, int], bytes]:
    import large_image_source_dicom

    source = large_image_source_dicom.DICOMFileTileSource(str(SLIDE / "1.dcm"), encoding="JPEG", jpegQuality=90)
    level = source.levels - 1

    def read(x: int, y: int, side: int) -> bytes:
        if x % side or y % side:
            region = {"left": x, "top": y, "width": side, "height": side, "units": "base_pixels"}
            return bytes(source.getRegion(region=region, encoding="JPEG")[0])
        return bytes(source.getTile(x // side, y // side, level))

    return read


READERS = {"wsidicom": wsidicom_reader, "wsidicom-bytes": stored_reader, "large_image": large_image_reader}
read = READERS[os.environ["PEER"]]()


def tile(request: Request) -> Response:
    x, y, side = map(int, request.path_params["place"].split(","))
    return Response(read(x, y, side), media_type="image/jpeg")


app = Starlette(routes=[Route("/{place}", tile)])
