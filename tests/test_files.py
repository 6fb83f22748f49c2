import errno
import os
import stat

import pytest

from glasswork.errors import RunError
from glasswork.files import remove_temporaries, write_atomically


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "result.bin"
    path.write_bytes(b"old")
    return path


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def refuse(error):
    def call(*arguments, **options):
        raise error

    return call


def test_several_pieces_are_written_one_after_the_other(old):
    write_atomically(old, b"new", memoryview(b"er content")[:2], b"")
    assert old.read_bytes() == b"newer"
    assert names(old.parent) == ["result.bin"]


def test_a_reader_who_has_the_old_file_open_keeps_it(old):
    with old.open("rb") as reader:
        write_atomically(old, b"new")
        assert reader.read() == b"old"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
@pytest.mark.parametrize("step", ["glasswork.files._write_through", "os.fsync", "pathlib.Path.replace"])
def test_a_failure_at_any_step_leaves_the_old_file_and_nothing_else(old, monkeypatch, step, error):
    def fail(path, *_):
        if step == "glasswork.files._write_through":
            path.write_bytes(b"n")  # the disk was full after one byte
        raise error

    monkeypatch.setattr(step, fail)
    with pytest.raises(RunError if isinstance(error, OSError) else type(error)):
        write_atomically(old, b"new")
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["result.bin"]


def test_the_bytes_are_on_the_disk_before_the_name_is_theirs(old, monkeypatch):
    steps = []
    fsync = os.fsync
    monkeypatch.setattr("os.fsync", lambda file: (steps.append((old.read_bytes(), is_folder(file))), fsync(file)))
    write_atomically(old, b"new")
    assert steps == [(b"old", False), (b"new", True)]


def is_folder(descriptor):
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def test_the_temporary_file_is_hidden_and_in_the_same_folder(old, monkeypatch):
    seen = []
    monkeypatch.setattr("os.fsync", lambda _: seen.append(names(old.parent)))
    write_atomically(old, b"new")
    temporary, kept = seen[0]
    assert temporary.startswith(".")
    assert kept == "result.bin"


def test_what_a_killed_process_left_is_removed_and_nothing_else(old, monkeypatch):
    seen = []
    monkeypatch.setattr("os.fsync", lambda _: seen.append(names(old.parent)))
    write_atomically(old, b"new")
    left = seen[0][0]
    for name in (left, "mine.tmp", ".mine.tmp", "0" * 32 + ".tmp"):
        (old.parent / name).write_bytes(b"")
    remove_temporaries(old.parent)
    assert names(old.parent) == sorted([".mine.tmp", "0" * 32 + ".tmp", "mine.tmp", "result.bin"])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_permissions_are_those_of_any_new_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "new", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == mode


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_stays_a_link_and_its_target_is_replaced(old):
    link = old.parent / "link"
    link.symlink_to(old)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert old.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "the disk is full; free some space or choose another disk"),
        (errno.EDQUOT, "the disk quota is used up; free some space or choose another disk"),
        (errno.EROFS, "the disk is read-only; choose a folder on another disk"),
        (errno.EACCES, "permission is denied; choose a folder you may write to"),
        (errno.EPERM, "permission is denied; choose a folder you may write to"),
        (errno.EIO, "Input/output error; choose another place"),
    ],
)
def test_a_refusal_of_the_system_is_one_sentence_with_its_remedy(old, monkeypatch, code, sentence):
    monkeypatch.setattr("os.fsync", refuse(OSError(code, os.strerror(code))))
    with pytest.raises(RunError) as caught:
        write_atomically(old, b"new")
    assert str(caught.value) == f"{old} cannot be written: {sentence}"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("absent/file", "its folder does not exist; make the folder first"),
        ("result.bin/file", "a part of its path is a file; choose another folder"),
        ("folder", "a folder of that name exists; choose another name"),
        ("n" * 300, "the name is too long; choose a shorter one"),
    ],
)
def test_a_path_that_cannot_be_is_refused_with_its_remedy(old, name, sentence):
    (old.parent / "folder").mkdir()
    with pytest.raises(RunError) as caught:
        write_atomically(old.parent / name, b"new")
    assert str(caught.value) == f"{old.parent / name} cannot be written: {sentence}"
    assert names(old.parent) == ["folder", "result.bin"]
    assert names(old.parent / "folder") == []


def test_a_line_break_in_the_name_does_not_break_the_sentence(tmp_path):
    with pytest.raises(RunError, match=r"a\\nb/file cannot be written"):
        write_atomically(tmp_path / "a\nb" / "file", b"new")


def test_a_system_that_cannot_sync_a_folder_is_no_failure(old, monkeypatch):
    monkeypatch.setattr("os.open", refuse(PermissionError(errno.EACCES, "Permission denied")))
    write_atomically(old, b"new")
    assert old.read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_pipe_or_a_device_does_not_become_a_file(old):
    os.mkfifo(old.parent / "pipe")
    with pytest.raises(RunError, match="a device or a pipe of that name exists; choose another name"):
        write_atomically(old.parent / "pipe", b"new")
    assert not (old.parent / "pipe").is_file()
    assert names(old.parent) == ["pipe", "result.bin"]
