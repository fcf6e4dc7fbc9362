import hashlib
import json
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from evq_ext import Batch, RowParser
from evq_server.files.source import prepare

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "server" / "evq_server" / "sample"
WORKBOOK = SAMPLE / "participants.xlsx"
TRUTH: dict[str, Any] = json.loads((SAMPLE / "truth.json").read_text("utf-8"))


def _make_sample(folder: Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "make_sample.py", folder], check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    _make_sample(folder)
    return folder


def test_the_script_makes_the_sample_that_is_bundled(made: Path) -> None:
    assert json.loads((made / "truth.json").read_text("utf-8")) == TRUTH
    # The parts are compared, and not the archives: another zlib packs the same bytes in another way.
    with ZipFile(made / "participants.xlsx") as new, ZipFile(WORKBOOK) as bundled:
        assert new.namelist() == bundled.namelist()
        assert [new.getinfo(name).date_time for name in new.namelist()] == [
            bundled.getinfo(name).date_time for name in bundled.namelist()
        ]
        for name in new.namelist():
            assert new.read(name) == bundled.read(name), name


def test_the_script_makes_the_same_bytes_again(made: Path, tmp_path: Path) -> None:
    _make_sample(tmp_path)
    assert (tmp_path / "participants.xlsx").read_bytes() == (made / "participants.xlsx").read_bytes()


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """What the core makes of the bundled sample."""
    source = prepare(WORKBOOK, tmp_path_factory.mktemp("work"), on_progress=lambda _: None)
    parser = RowParser(
        source.columns, delimiter=source.delimiter, skip_records=source.skip_records, number_by=source.number_by
    )
    return parser.feed(source.path.read_bytes())


def test_an_import_of_the_sample_finds_its_truth(batch: Batch) -> None:
    assert batch.count == TRUTH["valid"]
    assert len(batch.rejects) == TRUTH["rejected"]
    assert len(batch.duplicates) == TRUTH["duplicates"]
    assert TRUTH["valid"] + TRUTH["rejected"] + TRUTH["duplicates"] == TRUTH["rows"] == 2_000
    assert Counter(error.code for reject in batch.rejects for error in reject.errors) == TRUTH["reasons"]


def test_the_accepted_addresses_of_the_sample_are_its_truth(batch: Batch) -> None:
    offsets = memoryview(batch.columns["email"].offsets).cast("I")
    data = batch.columns["email"].data
    emails = sorted(data[low:high] for low, high in pairwise(offsets))
    assert hashlib.sha256(b"\n".join(emails)).hexdigest() == TRUTH["emails_sha256"]
