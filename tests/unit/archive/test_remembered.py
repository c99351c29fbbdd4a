from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from objects import make_object, uid

import hilum

if TYPE_CHECKING:
    from pathlib import Path

STUDY, SERIES = uid(1, 1), uid(2, 1, 1)


def test_a_series_is_remembered_until_something_happens_to_its_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hilum.open(tmp_path / "a") as archive:
        archive.store_many([make_object(instance=n) for n in (2, 1)])
        asked = []
        index = archive.index
        instances = index.instances
        monkeypatch.setattr(index, "instances", lambda *key: asked.append(key) or instances(*key))
        first = archive.series_records(STUDY, SERIES)
        assert first == instances(STUDY, SERIES) and len(first) == 2
        for number in range(300):
            archive.store(make_object(study=2, series=1, instance=number + 1))
            if number in (0, 299):
                assert archive.series_records(STUDY, SERIES) == first
        assert len(asked) == 2  # more events than are looked at: asked again
        archive.store(make_object(instance=3))
        assert [r.sop_instance_uid for r in archive.series_records(STUDY, SERIES)] == [
            uid(3, 1, 1, n) for n in (1, 2, 3)
        ]
        archive.delete("instance", uid(3, 1, 1, 2))
        assert [r.sop_instance_uid for r in archive.series_records(STUDY, SERIES)] == [uid(3, 1, 1, n) for n in (1, 3)]
        archive.series_records(STUDY, SERIES).clear()
        assert len(archive.series_records(STUDY, SERIES)) == 2
        archive.delete("study", STUDY)
        for _ in range(2):
            with pytest.raises(hilum.NotFound):
                archive.series_records(STUDY, SERIES)
