"""An archive against a dictionary: in whatever order things are done, what was acknowledged is there, byte for byte."""

from __future__ import annotations

import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from objects import make_object, uid

import hilum
from hilum.config import Settings, StorageSettings
from hilum.errors import HilumError, NotFound

SETTINGS = Settings(storage=StorageSettings(reserve_bytes=0))
SLOTS = st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2))
STEPS = st.one_of(
    st.tuples(st.just("store"), SLOTS, st.integers(0, 2), st.sampled_from(["never", "always", "if-changed"])),
    st.tuples(st.just("delete"), SLOTS, st.sampled_from(["study", "series", "instance"])),
    st.tuples(st.sampled_from(["rebuild", "compact", "reopen", "verify"])),
)


class Model:
    """Current bytes and all versions of each SOP Instance UID."""

    def __init__(self) -> None:
        self.current: dict[tuple[int, int, int], bytes] = {}
        self.versions: dict[tuple[int, int, int], set[bytes]] = {}

    def store(self, slot: tuple[int, int, int], data: bytes, policy: str) -> str:
        known = self.versions.setdefault(slot, set())
        if data in known:
            return "DUPLICATE"
        known.add(data)
        if slot not in self.current:
            self.current[slot] = data
            return "STORED"
        if policy == "never":
            return "CONFLICT_KEPT"
        self.current[slot] = data
        return "REPLACED"

    def delete(self, slot: tuple[int, int, int], level: str) -> int:
        depth = {"study": 1, "series": 2, "instance": 3}[level]
        doomed = [other for other in self.current if other[:depth] == slot[:depth]]
        gone = sum(len(self.versions[other]) for other in doomed)
        for other in doomed:
            del self.current[other], self.versions[other]
        return gone


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=14))
def test_any_order_of_things(steps: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "archive"
        archive = hilum.open(root, settings=SETTINGS)
        model = Model()
        for step in [*steps, ("rebuild",), ("verify",)]:
            archive = act(archive, model, root, *step)
        compare(archive, model)
        archive.close()


def act(archive: hilum.Archive, model: Model, root: Path, what: object, *details: object) -> hilum.Archive:
    if what == "store":
        slot, version, policy = details
        data = make_object(*slot, comment="x" * version)  # type: ignore[misc, operator]
        status = archive.store(data, on_conflict=policy).status.name  # type: ignore[arg-type]
        assert status == model.store(slot, data, str(policy))  # type: ignore[arg-type]
    elif what == "delete":
        slot, level = details
        study, series, instance = slot  # type: ignore[misc]
        name = {"study": uid(1, study), "series": uid(2, study, series), "instance": uid(3, study, series, instance)}
        gone = model.delete(slot, str(level))  # type: ignore[arg-type]
        if gone:
            assert archive.delete(level, name[str(level)]).objects == gone  # type: ignore[arg-type]
        else:
            with pytest.raises(NotFound):
                archive.delete(level, name[str(level)])  # type: ignore[arg-type]
    elif what == "rebuild":
        archive.rebuild_index()
    elif what == "compact":
        archive.compact(least_dead=0)
    elif what == "verify":
        assert archive.verify().problems == []
    else:
        archive.close()
        return hilum.open(root, settings=SETTINGS)
    return archive


def compare(archive: hilum.Archive, model: Model) -> None:
    assert archive.statistics().instances == len(model.current)
    for slot, data in model.current.items():
        instance = archive.instance(uid(3, *slot))
        assert instance.read_bytes() == data
        others = {version.read_bytes() for version in archive.versions(uid(3, *slot))}
        assert others == model.versions[slot] - {data}
    assert {s.study_instance_uid for s in archive.studies()} == {uid(1, slot[0]) for slot in model.current}


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 900), st.integers(1, 255))
def test_garbage_is_refused_with_an_error_of_ours(data: bytes, at: int, flip: int) -> None:
    damaged = bytearray(make_object())
    damaged[at % len(damaged)] ^= flip
    with tempfile.TemporaryDirectory() as folder, hilum.open(Path(folder) / "a", settings=SETTINGS) as archive:
        for junk in (data, bytes(128) + b"DICM" + data, bytes(damaged)):
            try:
                result = archive.store(junk)
            except HilumError:
                continue
            assert archive.instance(result.sop_instance_uid).read_bytes() == junk
