"""The 2D pipeline against slow twins in NumPy: every bit depth and sign, every step, in any combination."""

from __future__ import annotations

from typing import Any

import numpy as np
import picture_twin as twin
import render_twin
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import Array, describe, draw, plane_of

from hilum.pixels.description import RenderingAttributes
from hilum.pixels.pipeline import render_pixels
from hilum.pixels.settings import Lut, Overlay, RenderSettings, Rescale, Shutter, Window

LITTLE = "1.2.840.10008.1.2.1"
FULL_8 = Window(127.5, 255, "LINEAR_EXACT")  # 8-bit values as they are
EXAMPLES = settings(max_examples=120)

sizes = st.tuples(st.integers(1, 40), st.integers(1, 90))
seeds = st.integers(0, 2**32 - 1)


def noise(seed: int, size: tuple[int, int], dtype: str = "u1") -> Array:
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max, size, dtype, endpoint=True)


def blob(seed: int, size: tuple[int, int]) -> Array:
    """Some pixels, in runs."""
    random = np.random.default_rng(seed)
    return np.repeat(random.random((size[0], -(-size[1] // 3))) < 0.3, 3, axis=1)[:, : size[1]]


@st.composite
def windows(draw_: Any) -> Window:
    function = draw_(st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))
    width = draw_(st.floats(1, 2e5) | st.integers(1, 5000))
    return Window(draw_(st.floats(-7e4, 7e4) | st.integers(-3000, 3000)), width, function)


@EXAMPLES
@given(
    seed=seeds,
    size=sizes,
    container=st.sampled_from(["u1", "i1", "<u2", "<i2", "<u4", "<i4"]),
    stored_bits=st.integers(1, 32),
    spare=st.integers(0, 31),
    window=windows(),
    rescale=st.tuples(st.floats(0.01, 50) | st.floats(-50, -0.01), st.floats(-5000, 5000)),
    invert=st.booleans(),
    bits=st.sampled_from([8, 16]),
)
def test_stored_bits_signs_windows(
    seed: int,
    size: tuple[int, int],
    container: str,
    stored_bits: int,
    spare: int,
    window: Window,
    rescale: tuple[float, float],
    invert: bool,
    bits: Any,
) -> None:
    frame = noise(seed, size, container)
    width = 8 * frame.dtype.itemsize
    stored_bits = min(stored_bits, width)
    low_bit = spare % (width - stored_bits + 1)
    pixels = describe(frame, bits_stored=stored_bits, high_bit=low_bit + stored_bits - 1)
    how = RenderSettings(window=window, modality=Rescale(*rescale), invert=invert, bits=bits)
    shown = render_pixels(frame.tobytes(), LITTLE, pixels, RenderingAttributes(), how)
    values = frame.astype(np.int64) >> low_bit & (1 << stored_bits) - 1
    if frame.dtype.kind == "i":
        values -= (values >> stored_bits - 1) << stored_bits
    full = 2**bits - 1
    exact = render_twin.window(values * rescale[0] + rescale[1], window.center, window.width, window.function)
    expected = (255 - exact if invert else exact) / 255 * full
    # Float arithmetic of 24 bits; thresholds of steep windows lie within one stored value.
    steep = abs(rescale[0]) * full / max(window.width - 1, 0.1)
    assert np.quantile(np.abs(shown - expected), 0.9, method="lower") <= 0.51 + 2e-7 * full * max(1.0, steep)
    assert shown.dtype == f"u{bits // 8}"
    if steep < full / 1000:
        assert np.abs(shown - expected).max() <= 1.01 + steep * 1e-3


@EXAMPLES
@given(
    seed=seeds,
    size=sizes,
    target=st.tuples(st.integers(1, 60), st.integers(1, 100)),
    cubic=st.booleans(),
    rotation=st.sampled_from([0, 90, 180, 270]),
    flip=st.booleans(),
    colour=st.booleans(),
)
def test_scaling_rotation_flip(
    seed: int, size: tuple[int, int], target: tuple[int, int], cubic: bool, rotation: Any, flip: bool, colour: bool
) -> None:
    random = np.random.default_rng(seed)
    frame = random.integers(0, 256, (*size, 3) if colour else size, "u1")
    how = RenderSettings(
        width=target[1],
        height=target[0],
        interpolation="cubic" if cubic else "linear",
        rotation=rotation,
        flip=flip,
        window=FULL_8,
    )
    shown = draw(frame, how, photometric="RGB" if colour else "MONOCHROME2")
    straight = shown.shape[:2] if rotation % 180 == 0 else shown.shape[1::-1]
    factor = min(
        target[1] / (size[1] if rotation % 180 == 0 else size[0]),
        target[0] / (size[0] if rotation % 180 == 0 else size[1]),
    )
    assert straight == tuple(max(round(n * factor + 1e-9), 1) for n in size)
    scaled = np.clip(twin.scale(frame.astype(float), *straight, cubic), 0, 255)
    expected = twin.orient(scaled, rotation, flip)
    # 8-bit grey is mapped by a table of whole values.
    assert np.abs(shown.astype(float) - expected).max() <= 0.51


@EXAMPLES
@given(seed=seeds, size=sizes, area=st.tuples(*[st.integers(-30, 120)] * 4), rotation=st.sampled_from([0, 90]))
def test_displayed_areas_reach_outside(
    seed: int, size: tuple[int, int], area: tuple[int, int, int, int], rotation: Any
) -> None:
    frame = noise(seed, size)
    left, right = sorted(area[::2])
    top, bottom = sorted(area[1::2])
    shown = draw(frame, RenderSettings(displayed_area=area, rotation=rotation, window=FULL_8))
    whole = np.pad(frame, 200)
    expected = whole[top + 199 : bottom + 200, left + 199 : right + 200]
    np.testing.assert_array_equal(shown, twin.orient(expected, rotation, False))


@EXAMPLES
@given(
    seed=seeds,
    size=sizes,
    entries=st.lists(st.integers(0, 65535), min_size=1, max_size=300),
    lut_bits=st.integers(8, 16),
    window=windows(),
    bits=st.sampled_from([8, 16]),
)
def test_presentation_luts(
    seed: int, size: tuple[int, int], entries: list[int], lut_bits: int, window: Window, bits: Any
) -> None:
    frame = noise(seed, size, "<i2")
    table = tuple(entry >> 16 - lut_bits for entry in entries)
    how = RenderSettings(window=window, presentation=Lut(table, bits=lut_bits), bits=bits)
    shown = draw(frame, how, photometric="MONOCHROME1")  # of which a presentation LUT takes the place
    full = 2**bits - 1
    voi = render_twin.window(frame.astype(float), window.center, window.width, window.function) / 255 * full
    expected = twin.quantise(twin.presentation_lut(voi, full, table, lut_bits))
    # Where the VOI output lies halfway between two entries either is right.
    off = np.abs(np.modf(voi / full * (len(table) - 1))[0] - 0.5) > 1e-6
    assert np.abs(shown - expected)[off].max(initial=0) <= 1


shutters = st.builds(
    Shutter,
    rectangle=st.none() | st.tuples(*[st.integers(-5, 60)] * 4).map(lambda e: (*sorted(e[:2]), *sorted(e[2:]))),
    circle=st.none() | st.tuples(st.integers(-5, 45), st.integers(-5, 95), st.integers(0, 60)),
    polygon=st.just(())
    | st.lists(st.tuples(st.integers(-5, 45), st.integers(-5, 60)), min_size=3, max_size=7).map(tuple),
    value=st.integers(0, 65535),
)


@EXAMPLES
@given(seed=seeds, size=sizes, shutter=shutters, aspect=st.sampled_from([1.0, 0.5, 1.5]), bits=st.sampled_from([8, 16]))
def test_shutters(seed: int, size: tuple[int, int], shutter: Shutter, aspect: float, bits: Any) -> None:
    frame = noise(seed, size)
    how = RenderSettings(shutter=shutter, window=FULL_8, square_pixels=False, pixel_aspect=aspect, bits=bits)
    hidden = np.zeros(size, bool)
    if shutter.rectangle is not None:
        hidden |= twin.rectangle(size, shutter.rectangle)
    if shutter.circle is not None:
        hidden |= twin.circle(size, shutter.circle, aspect)
    if shutter.polygon:
        hidden |= twin.polygon(size, shutter.polygon)
    value = shutter.value if bits == 16 else int(twin.quantise(np.array(shutter.value / 257)))
    expected = np.where(hidden, value, frame.astype(int) * (257 if bits == 16 else 1))
    np.testing.assert_array_equal(draw(frame, how), expected)


@EXAMPLES
@given(
    seed=seeds,
    size=sizes,
    plane=sizes,
    origin=st.tuples(st.integers(-50, 50), st.integers(-50, 50)),
    outline=st.sampled_from([None, False, True]),
    colour=st.none() | st.tuples(*[st.integers(0, 255)] * 3),
    value=st.integers(0, 65535),
    factor=st.sampled_from([0.0, 0.4, 1.7]),
)
def test_overlays(
    seed: int,
    size: tuple[int, int],
    plane: tuple[int, int],
    origin: tuple[int, int],
    outline: bool | None,
    colour: tuple[int, int, int] | None,
    value: int,
    factor: float,
) -> None:
    frame, mask = noise(seed, size), blob(seed, plane)
    overlay = Overlay(plane_of(mask, origin), value, colour, outline)
    how = RenderSettings(overlays=(overlay,), window=FULL_8, scale=factor)
    shown = draw(frame, how)
    picture = twin.quantise(twin.scale(frame.astype(float), *shown.shape[:2]))
    if colour is not None:
        picture = np.stack([picture] * 3, axis=-1)
    placed = render_twin.place(twin.outline(mask) if outline else mask, origin[0] - 1, origin[1] - 1, size)
    ink = colour if colour is not None else twin.quantise(np.array(value / 257))
    expected = twin.paint(picture, placed, ink, *shown.shape[:2])
    # Scaled: one step of the picture, and half a step where paint that covers part of a pixel is rounded.
    assert np.abs(shown - expected).max() <= (0 if factor == 0 else 1.51)


@EXAMPLES
@given(
    seed=seeds,
    size=st.tuples(st.integers(2, 40), st.integers(2, 90)),
    kind=st.sampled_from(["<i2", "<u2", "<i4", "f4", "f8"]),
    low=st.floats(0, 49),
    high=st.floats(51, 100),
)
def test_windows_by_percentiles(seed: int, size: tuple[int, int], kind: str, low: float, high: float) -> None:
    random = np.random.default_rng(seed)
    frame = (random.standard_normal(size) ** 3 * 3000).clip(-32768 if kind[1] != "u" else 0, 32767).astype(kind)
    first, last = twin.percentile_window(frame, low, high)
    shown = draw(frame, RenderSettings(percentiles=(low, high)))
    if first == last:
        assert shown.max() == 0
        return
    expected = np.clip((frame.astype(float) - first) / (last - first), 0, 1) * 255
    assert np.abs(shown - expected).max() <= 0.51


@EXAMPLES
@given(seed=seeds, size=sizes, window=windows(), entries=st.integers(1, 300), invert=st.booleans())
def test_pseudo_colour(seed: int, size: tuple[int, int], window: Window, entries: int, invert: bool) -> None:
    random = np.random.default_rng(seed)
    frame = random.integers(-3000, 3000, size, "<i2")
    palette = random.integers(0, 256, (3, entries))
    tables = tuple(Lut(tuple(int(v) for v in channel), bits=8) for channel in palette)
    shown = draw(frame, RenderSettings(window=window, palette=tables, invert=invert))  # type: ignore[arg-type]
    voi = render_twin.window(frame.astype(float), window.center, window.width, window.function) / 255
    position = (1 - voi if invert else voi) * (entries - 1)
    clear = np.abs(np.modf(position)[0] - 0.5) > entries * 1e-5
    expected = palette.T[twin.quantise(position).astype(int)]
    np.testing.assert_array_equal(shown[clear], expected[clear])
