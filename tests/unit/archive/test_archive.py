from __future__ import annotations

import datetime as dt
import hashlib
import json
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest
from objects import make_object, uid

import hilum
from hilum import StoreStatus
from hilum.errors import DataError, NotFound, Unavailable, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from hilum.config import Settings


def store(archive: hilum.Archive, count: int = 3, study: int = 1) -> list[bytes]:
    objects = [make_object(study, 1, i + 1) for i in range(count)]
    archive.store_many(objects)
    return objects


# Opening


def test_new_archive_is_reopened_with_its_identity(root: Path, settings: Settings) -> None:
    with hilum.open(root, settings=settings) as first:
        store(first)
    with hilum.open(str(root), settings=settings) as second:
        assert second.uuid == first.uuid
        assert second.statistics().instances == 3
    assert json.loads((root / "hilum.json").read_text())["format"] == 1


def test_missing_archive(root: Path) -> None:
    with pytest.raises(NotFound, match="there is no archive"):
        hilum.open(root, create=False)
    with pytest.raises(NotFound, match="there is no archive"):
        hilum.open(root, read_only=True)
    assert not root.exists()


def test_folder_with_something_else(root: Path) -> None:
    root.mkdir()
    (root / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="not an archive, and not empty"):
        hilum.open(root)
    assert [p.name for p in root.iterdir()] == ["holiday.jpg"]


def test_other_format_version(root: Path, settings: Settings) -> None:
    hilum.open(root, settings=settings).close()
    identity = json.loads((root / "hilum.json").read_text())
    (root / "hilum.json").write_text(json.dumps({**identity, "format": 7}))
    with pytest.raises(DataError, match="an archive of format 7; this version of hilum reads and writes format 1"):
        hilum.open(root, settings=settings)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "uuid": "x"}', "\xff"])
def test_damaged_identity(root: Path, text: str) -> None:
    root.mkdir()
    (root / "hilum.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"hilum\.json: damaged"):
        hilum.open(root)


def test_read_only_archive_takes_nothing(root: Path, settings: Settings) -> None:
    with hilum.open(root, settings=settings) as archive:
        objects = store(archive)
    with hilum.open(root, read_only=True, settings=settings) as archive:
        assert archive.instance(uid(3, 1, 1, 1)).read_bytes() == objects[0]
        for refused in (
            lambda: archive.store(objects[0]),
            lambda: archive.store_many(objects),
            lambda: archive.import_paths([root.parent]),
            lambda: archive.delete("study", uid(1, 1)),
            archive.compact,
            archive.rebuild_index,
        ):
            with pytest.raises(Unavailable, match="opened for reading only"):
                refused()


def test_closed_archive_refuses(root: Path, settings: Settings) -> None:
    archive = hilum.open(root, settings=settings)
    archive.close()
    archive.close()
    with pytest.raises(UsageError, match="the archive is closed"):
        archive.store(make_object())


def test_two_create_one_archive_at_once(root: Path, settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: hilum.open(root, settings=settings).uuid, range(8)))
    assert len(set(opened)) == 1
    assert [p.name for p in root.glob("hilum.json*")] == ["hilum.json"]


# Storing


def test_what_comes_out_is_what_went_in(archive: hilum.Archive) -> None:
    data = make_object()
    result = archive.store(data)
    assert result.status is StoreStatus.STORED
    assert result.sha256 == hashlib.sha256(data).digest()
    instance = archive.instance(result.sop_instance_uid)
    assert instance.read_bytes() == data
    assert instance.sha256 == hashlib.sha256(data).hexdigest()
    assert instance.size == len(data)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_and_pieces(archive: hilum.Archive, kind: type) -> None:
    data = make_object()
    archive.store(kind(data))
    assert archive.store([data[:400], memoryview(data)[400:]]).status is StoreStatus.DUPLICATE


def test_same_bytes_again_write_nothing(archive: hilum.Archive) -> None:
    data = make_object()
    archive.store(data)
    before = archive.statistics()
    assert [r.status for r in archive.store_many([data] * 5)] == [StoreStatus.DUPLICATE] * 5  # type: ignore[union-attr]
    assert archive.statistics() == before


def test_duplicates_within_one_commit(archive: hilum.Archive) -> None:
    data = make_object()
    results = archive.store_many([data, data, make_object(comment="other"), data, make_object(comment="other")])
    assert [r.status.name for r in results] == [  # type: ignore[union-attr]
        "STORED", "DUPLICATE", "CONFLICT_KEPT", "DUPLICATE", "DUPLICATE",
    ]  # fmt: skip
    assert archive.statistics().versions == 1


@pytest.mark.parametrize(
    ("policy", "status", "current"),
    [("never", "CONFLICT_KEPT", 0), ("always", "REPLACED", 1), ("if-changed", "REPLACED", 1)],
)
def test_conflicts_keep_both(archive: hilum.Archive, policy: str, status: str, current: int) -> None:
    objects = [make_object(), make_object(comment="corrected")]
    archive.store(objects[0])
    assert archive.store(objects[1], on_conflict=policy).status.name == status  # type: ignore[arg-type]
    assert archive.instance(uid(3, 1, 1, 1)).read_bytes() == objects[current]
    assert [v.read_bytes() for v in archive.versions(uid(3, 1, 1, 1))] == [objects[1 - current]]
    for data in objects:
        assert archive.store(data, on_conflict="never").status is StoreStatus.DUPLICATE
    assert archive.statistics().versions == 1


@pytest.mark.parametrize("in_one_commit", [True, False])
def test_if_changed_ignores_preamble_and_meta(archive: hilum.Archive, in_one_commit: bool) -> None:
    plain, touched = make_object(), make_object(preamble=b"II*\0" + bytes(124))
    if in_one_commit:
        results = archive.store_many([plain, touched], on_conflict="if-changed")
        assert [r.status.name for r in results] == ["STORED", "DUPLICATE"]  # type: ignore[union-attr]
    else:
        archive.store(plain)
        assert archive.store(touched, on_conflict="if-changed").status is StoreStatus.DUPLICATE
    assert archive.instance(uid(3, 1, 1, 1)).read_bytes() == plain
    assert archive.store(touched, on_conflict="never").status is StoreStatus.CONFLICT_KEPT


def test_unknown_policy(archive: hilum.Archive) -> None:
    with pytest.raises(UsageError, match="on_conflict must be one of never, always, if-changed"):
        archive.store(make_object(), on_conflict="sometimes")  # type: ignore[arg-type]


def test_bad_objects_do_not_spoil_the_batch(archive: hilum.Archive) -> None:
    good = make_object()
    results = archive.store_many([b"", good, b"not dicom at all", good[:-10]])
    assert [type(r).__name__ for r in results] == ["DataError", "StoreResult", "DataError", "DataError"]
    with pytest.raises(DataError):
        archive.store(b"junk")


def test_every_cut_of_an_object_is_refused_or_is_whole(archive: hilum.Archive) -> None:
    data = make_object(size=16)
    whole = {}
    for cut in range(0, len(data)):
        with suppress(DataError):
            whole[archive.store(data[:cut], on_conflict="always").sha256] = data[:cut]
    assert len(whole) < 16  # cuts between two elements leave an object without the rest
    assert all(len(cut) < len(data) - 512 for cut in whole.values())
    versions = [archive.instance(uid(3, 1, 1, 1)), *archive.versions(uid(3, 1, 1, 1))]
    assert {bytes.fromhex(v.sha256): v.read_bytes() for v in versions} == whole


def test_large_file_is_streamed(archive: hilum.Archive, tmp_path: Path) -> None:
    data = make_object(size=256, frames=300)
    assert len(data) > archive.settings.ingest.stream_above_bytes
    path = tmp_path / "large.dcm"
    path.write_bytes(data)
    assert archive.store_file(path).status is StoreStatus.STORED
    assert archive.store_file(path).status is StoreStatus.DUPLICATE
    instance = archive.instance(uid(3, 1, 1, 1))
    assert instance.sha256 == hashlib.sha256(data).hexdigest()
    assert hashlib.sha256(instance.read_bytes()).hexdigest() == instance.sha256
    changed = make_object(size=256, frames=300, comment="changed")
    path.write_bytes(changed)
    assert archive.store_file(path, on_conflict="if-changed").status is StoreStatus.REPLACED
    path.write_bytes(make_object(size=256, frames=300, comment="changed", preamble=b"x" * 128))
    assert archive.store_file(path, on_conflict="if-changed").status is StoreStatus.DUPLICATE
    assert instance.frame(299)[0, 0] == 299_000 % 4096
    assert archive.verify().ok


def test_many_threads_store_each_object_once(archive: hilum.Archive) -> None:
    objects = [make_object(1 + i % 3, 1, 1 + i) for i in range(60)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(archive.store, objects * 4))
    statuses = [r.status for r in results]
    assert statuses.count(StoreStatus.STORED) == 60
    assert statuses.count(StoreStatus.DUPLICATE) == 180
    assert archive.statistics().instances == 60
    for data in objects:
        assert archive.store(data).status is StoreStatus.DUPLICATE


def _store_in_process(root: Path, settings: Settings, first: int) -> None:
    with hilum.open(root, settings=settings) as archive:
        for i in range(10):
            archive.store(make_object(1, 1, first + i))


def test_many_processes_write_one_archive(root: Path, settings: Settings) -> None:
    context = multiprocessing.get_context("spawn")
    hilum.open(root, settings=settings).close()
    workers = [context.Process(target=_store_in_process, args=(root, settings, 1 + 5 * k)) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    with hilum.open(root, settings=settings) as archive:
        assert archive.statistics().instances == 20
        assert archive.verify().ok


def test_fork_goes_on_storing(archive: hilum.Archive) -> None:
    store(archive, 2)
    child = os.fork()
    if child == 0:
        try:
            archive.store(make_object(7, 1, 1))
            os._exit(0 if archive.statistics().instances == 3 else 2)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    archive.store(make_object(8, 1, 1))
    assert {s.study_instance_uid for s in archive.studies()} == {uid(1, n) for n in (1, 7, 8)}


def test_submit_does_not_wait(archive: hilum.Archive) -> None:
    futures = [archive.submit(make_object(1, 1, i + 1)) for i in range(20)]
    assert {f.result().status for f in futures} == {StoreStatus.STORED}
    with pytest.raises(DataError):
        archive.submit(b"junk")


def test_close_commits_what_waits(root: Path, settings: Settings) -> None:
    archive = hilum.open(root, settings=settings)
    futures = [archive.submit(make_object(1, 1, i + 1)) for i in range(20)]
    archive.close()
    assert all(f.done() for f in futures)
    with hilum.open(root, settings=settings) as again:
        assert again.statistics().instances == 20


# Finding


def test_studies_series_instances(archive: hilum.Archive) -> None:
    archive.store_many([make_object(s, r, i) for s in (1, 2) for r in (1, 2) for i in (1, 2, 3)])
    assert len(archive.studies()) == 2
    assert len(archive.series()) == 4
    assert len(archive.instances()) == 12
    (study,) = archive.studies(patient_id="P2")
    assert (study.patient_name, study.study_date, study.number_of_series) == ("Family2^Given", "20240131", 2)
    assert study.modalities_in_study == ["CT"]
    assert [s.series_number for s in study.series] == [1, 2]
    assert [i.instance_number for i in study.series[1].instances] == [1, 2, 3]
    assert len(study.instances) == 6
    (patient,) = archive.patients(PatientID="P1")
    assert patient.number_of_studies == 1
    assert [s.study_instance_uid for s in patient.studies] == [uid(1, 1)]
    assert study.get("accession_number") == "A2"
    for thing in (study, study.series[0], study.instances[0], patient, study.series[0].frames, archive):
        assert "Family" not in repr(thing)


def test_keys_as_python_values(archive: hilum.Archive) -> None:
    archive.store_many([make_object(n, date=f"202401{n:02d}") for n in range(1, 10)])
    assert len(archive.studies(study_date=(dt.date(2024, 1, 3), dt.date(2024, 1, 5)))) == 3
    assert len(archive.studies(study_date=(None, dt.date(2024, 1, 5)))) == 5
    assert len(archive.studies(study_date="20240108-")) == 2
    assert len(archive.studies(study_date=dt.datetime(2024, 1, 8, 12))) == 1
    assert len(archive.studies(patient_name="family*")) == 9
    assert len(archive.studies(study_instance_uid=[uid(1, 1), uid(1, 2)])) == 2
    assert len(archive.studies(patient_id=None, accession_number="")) == 9
    assert [s.patient_id for s in archive.studies(limit=2, offset=1)] == ["P8", "P7"]
    assert [s.patient_id for s in archive.studies(limit=1, order="study_date")] == ["P1"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"patient_idd": "1"}, "there is no attribute 'patient_idd'; did you mean PatientID"),
        ({"qwertyuiop": "1"}, "there is no attribute 'qwertyuiop'$"),
        ({"patient_id": ("1", "2")}, "patient_id: a pair is a range"),
        ({"study_date": dt.time(1)}, "study_date: a time does not fit"),
        ({"study_time": dt.date(2024, 1, 1)}, "study_time: needs a time"),
        ({"patient_id": b"1"}, "patient_id: cannot match a bytes"),
        ({"order": "nothing"}, "there is no attribute 'nothing'"),
    ],
)
def test_wrong_keys(archive: hilum.Archive, keys: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        archive.studies(**keys)  # type: ignore[arg-type]


def test_things_that_are_not_there(archive: hilum.Archive) -> None:
    assert archive.studies() == []
    for missing in (
        lambda: archive.study("1.2"),
        lambda: archive.instance("1.2"),
        lambda: archive.retrieve.records("1.2"),
        lambda: archive.retrieve.records("1.2", "1.3"),
        lambda: archive.retrieve.records("1.2", "1.3", "1.4"),
        lambda: archive.delete("study", "1.2"),
    ):
        with pytest.raises(NotFound):
            missing()


# Frames


def test_frames_of_instance_and_series(archive: hilum.Archive) -> None:
    archive.store_many([make_object(1, 1, i + 1, frames=2) for i in range(3)])
    (series,) = archive.series()
    frames = series.frames
    assert len(frames) == 6
    assert frames[0].shape == (8, 8)
    assert frames[0].dtype == np.uint16
    assert frames[-1][0, 1] == 1001
    assert [int(f[0, 0]) for f in frames[1:4]] == [1000, 0, 1000]
    assert frames.stack().shape == (6, 8, 8)
    assert [int(f[0, 0]) for f in frames] == [0, 1000] * 3
    instance = series.instances[0]
    assert instance.number_of_frames == 2
    assert np.array_equal(instance.frame(1), np.arange(1000, 1064, dtype=np.uint16).reshape(8, 8))
    assert instance.render(1).startswith(b"\x89PNG")
    assert instance.render(0, format="jpeg", quality=50, width=4, window=(0, 100)).startswith(b"\xff\xd8")
    with pytest.raises(UsageError, match=r"there is no frame 2 \(from 0\): the object has 2"):
        instance.frame(2)
    with pytest.raises(UsageError):
        instance.frame(-1)
    with pytest.raises(IndexError):
        frames[6]
    with pytest.raises(UsageError, match="the format is none of"):
        instance.render(format="bmp")


def test_stack_needs_equal_frames(archive: hilum.Archive) -> None:
    archive.store_many([make_object(1, 1, 1), make_object(1, 1, 2, size=4)])
    with pytest.raises(DataError, match="the first is uint16"):
        archive.series()[0].frames.stack()
    with pytest.raises(UsageError, match="no frames to stack"):
        hilum.Frames([]).stack()


def test_dataset_and_json(archive: hilum.Archive) -> None:
    archive.store(make_object())
    (instance,) = archive.instances()
    assert instance.dataset().PatientID == "P1"
    document = json.loads(instance.json("http://x/bulk"))
    assert document["00100020"]["Value"] == ["P1"]
    assert document["7FE00010"]["BulkDataURI"] == "http://x/bulk/7FE00010"
    assert document["00083002"]["Value"] == ["1.2.840.10008.1.2.1"]


# Events


def test_events_tell_what_happened_in_order(archive: hilum.Archive) -> None:
    store(archive, 2)
    archive.store(make_object(comment="x"))
    archive.delete("instance", uid(3, 1, 1, 2))
    events = archive.events()
    assert [e.kind.name for e in events] == ["STORED", "CONFLICT", "DELETED"]
    assert [e.sequence for e in events] == [1, 2, 3]
    assert archive.events(since=2) == events[2:]
    assert archive.events(limit=1) == events[:1]
    assert list(archive.follow(timeout=0)) == events


def test_follow_waits_for_more(archive: hilum.Archive) -> None:
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.extend(e.sequence for e in archive.follow(timeout=1.0)))
    thread.start()
    archive.store(make_object(1, 1, 1))
    archive.store(make_object(1, 1, 2))
    thread.join()
    assert seen == [1, 2]


@pytest.mark.parametrize("frames", [2, 40])
def test_bulk_data_small_and_mapped(archive: hilum.Archive, frames: int) -> None:
    size = 256 if frames > 2 else 8
    archive.store(make_object(size=size, frames=frames))
    record = archive.instances()[0].record
    value = archive.retrieve.bulkdata(record, "7FE00010")
    assert len(value) == 2 * size * size * frames
    assert value[:8] == np.arange(4, dtype="<u2").tobytes()
    length, pieces = archive.retrieve.bulkdata_stream(record, "7FE00010")
    assert b"".join(pieces) == value
    assert length == len(value)
    assert archive.retrieve.bulkdata(record, "00100020") == b"P1"
    with pytest.raises(NotFound):
        archive.retrieve.bulkdata(record, "00100021")
    with pytest.raises(UsageError):
        archive.retrieve.bulkdata(record, "../../etc/passwd")


def test_metadata_and_its_caches(root: Path, settings: Settings) -> None:
    with hilum.open(root, settings=settings) as archive:
        store(archive, 3)
        records = archive.retrieve.records(uid(1, 1))
        body = archive.retrieve.metadata(records, "http://one/dicom-web")
        assert [d["00080018"]["Value"][0] for d in json.loads(body)] == [uid(3, 1, 1, i) for i in (1, 2, 3)]
        uri = json.loads(body)[0]["7FE00010"]["BulkDataURI"]
        assert uri.startswith(f"http://one/dicom-web/studies/{uid(1, 1)}/series/{uid(2, 1, 1)}/instances/")
        assert archive.retrieve.metadata(records, "http://two") == body.replace(b"http://one/dicom-web", b"http://two")
        etag = archive.retrieve.metadata_etag(records)
    with hilum.open(root, settings=settings) as archive:
        records = archive.retrieve.records(uid(1, 1))
        assert archive.retrieve.metadata(records, "http://one/dicom-web") == body
        assert archive.retrieve.metadata_etag(records) == etag
        archive.store(make_object(comment="x"), on_conflict="always")
        records = archive.retrieve.records(uid(1, 1))
        assert archive.retrieve.metadata_etag(records) != etag
        assert b'"x"' in archive.retrieve.metadata(records, "http://one")


def test_stored_frames_and_ranges(archive: hilum.Archive) -> None:
    data = make_object(frames=3)
    archive.store(data)
    archive.store(make_object(1, 1, 2))
    retrieve = archive.retrieve
    first, second = retrieve.records(uid(1, 1))
    assert retrieve.stored_frame(first, 1) == data[-256:-128]
    assert retrieve.frame_size(first, 1) == 128
    assert retrieve.read(first, 128, 4) == b"DICM"
    assert b"".join(retrieve.stream(first, 100, 500, chunk=64)) == data[100:600]
    with pytest.raises(UsageError):
        retrieve.stream(first, 0, len(data) + 1)
    assert retrieve.representative([first, second]) is second
    assert retrieve.lookup([uid(3, 1, 1, 1), "1.2"]) == [first, None]
