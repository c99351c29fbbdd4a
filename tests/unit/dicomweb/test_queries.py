"""Queries of volumes and bodies of measurements: what cannot be is refused by its name, whatever was written."""

from __future__ import annotations

import pytest

from hilum.dicomweb.measure_query import parse_body, parse_pairs
from hilum.dicomweb.volume_query import parse_volume_query
from hilum.errors import UsageError


@pytest.mark.parametrize("name", ["threshold", "spacing", "error"])
@pytest.mark.parametrize("text", ["9" * 400, "-" + "9" * 400, "1e400", "NaN", "Infinity", "true", '"1"', "[1]"])
def test_what_is_no_finite_number_is_refused(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"{name} must be a finite number"):
        parse_body(f'{{"{name}": {text}}}'.encode())


@pytest.mark.parametrize("text", ["9" * 400, "-1", "1.0", "1e2", "2147483648", "true"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="bins must be a whole number"):
        parse_body(f'{{"bins": {text}}}'.encode())


@pytest.mark.parametrize("body", ["9" * 5000, '{"bins": ' + "9" * 5000 + "}", "[" * 100_000, "[]", "", "\udcff"])
def test_what_is_no_object_is_refused(body: str) -> None:
    with pytest.raises(UsageError, match="the body"):
        parse_body(body.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("text", ["9" * 5000, "nan", "inf", "1,2", "²", ""])
def test_the_same_of_a_query(text: str) -> None:
    with pytest.raises(UsageError, match="threshold"):
        parse_pairs([("threshold", text)])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timepoint", "1" * 4500),
        ("timepoint", "10000000000"),
        ("timepoint", "0"),
        ("timepoint", "²"),
        ("animationstepsize", "1e-320"),
        ("animationrate", "1e-9"),
        ("swivelrange", "0"),
        ("mprslab", "inf"),
    ],
)
def test_numbers_of_a_volume_query(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=name):
        parse_volume_query([(name, value)])
