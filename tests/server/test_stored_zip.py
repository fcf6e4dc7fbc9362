import io
import os
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest

from evq_server.files.stored_zip import StoredZip


def test_what_is_added_is_read_back_with_its_name(tmp_path: Path) -> None:
    contents = {"00000001.png": b"\x89PNG", "empty": b"", "참가자.csv": "이름,이메일".encode()}
    with (tmp_path / "all.zip").open("w+b") as file:
        archive = StoredZip(file, io.BytesIO())
        for name, data in contents.items():
            archive.add(name, data)
        archive.copy("copied", io.BytesIO(bytes(1 << 20)))
        archive.close()
    with ZipFile(tmp_path / "all.zip") as read:
        assert read.testzip() is None
        assert {name: read.read(name) for name in contents} == contents
        assert read.read("copied") == bytes(1 << 20)
        assert {entry.compress_type for entry in read.infolist()} == {ZIP_STORED}


def test_the_same_files_make_the_same_archive() -> None:
    archives = []
    for _ in range(2):
        file = io.BytesIO()
        archive = StoredZip(file, io.BytesIO())
        archive.add("a", b"1")
        archive.close()
        archives.append(file.getvalue())
    assert archives[0] == archives[1]


@pytest.mark.parametrize("count", [0, 1, 65_534, 65_535, 65_536])
def test_more_files_than_a_plain_archive_counts_are_all_there(count: int) -> None:
    file = io.BytesIO()
    archive = StoredZip(file, io.BytesIO())
    for number in range(count):
        archive.add(f"{number:05d}.png", b"x")
    archive.close()
    with ZipFile(file) as read:
        assert read.namelist() == [f"{number:05d}.png" for number in range(count)]
        assert all(read.read(name) == b"x" for name in read.namelist()[-2:])
    assert (b"PK\6\6" in file.getvalue()) == (count >= 65_535)  # older readers need no zip64 below that


def test_files_beyond_4_gib_are_found(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    with path.open("w+b") as file:
        archive = StoredZip(file, io.BytesIO())
        archive.add("first", b"1")
        file.seek(1 << 32, os.SEEK_SET)  # a hole takes no room on the disk
        archive._offset = 1 << 32
        archive.add("beyond", b"2")
        archive.close()
    with ZipFile(path) as read:
        assert (read.read("first"), read.read("beyond")) == (b"1", b"2")
