"""Files are replaced in one step, whoever writes them."""

import errno
import os
import re
import stat
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ctran
from ctran.files import atomic, atomic_folder, is_leftover, write_bytes, write_text

UMASK = os.umask(0o022)
os.umask(UMASK)
SOURCE = Path(ctran.__file__).parent


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path):
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "new.txt", "a")
    finally:
        os.umask(old)
    assert mode(tmp_path / "new.txt") == 0o640


@pytest.mark.parametrize("bits", [0o600, 0o664, 0o444])
def test_a_replaced_file_keeps_its_mode_whatever_the_writer_makes(tmp_path, bits):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(bits)
    with atomic(path) as part:
        part.unlink()  # as safetensors does: another file under the same name
        part.write_text("new")
        part.chmod(0o600)
    assert path.read_text() == "new" and mode(path) == bits
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("old")
    for link, to in (("direct", "real/a.txt"), ("through", "direct"), ("dangling", "real/new.txt")):
        (tmp_path / link).symlink_to(to)
    write_text(tmp_path / "through", "new")
    write_text(tmp_path / "dangling", "made")
    assert all((tmp_path / name).is_symlink() for name in ("direct", "through", "dangling"))
    assert (tmp_path / "real" / "a.txt").read_text() == "new" and (tmp_path / "real" / "new.txt").read_text() == "made"


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(type(error)) as caught, atomic(path) as part:
        part.write_text("half")
        raise error
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    if isinstance(error, OSError):
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("where", ["missing/file", "folder", "file/below"])
def test_an_error_names_the_file_that_was_wanted(tmp_path, where):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match=re.escape(str(tmp_path / where))) as caught:
        write_text(tmp_path / where, "x")
    assert ".part" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_a_device_is_written_into_and_stays_a_device():
    write_text("/dev/null", "x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_many_writers_of_one_path_leave_one_whole_file(tmp_path):
    path, failures = tmp_path / "file", []

    def work(letter):
        try:
            for _ in range(20):
                write_text(path, letter * 5000)
        except OSError as error:  # pragma: no cover
            failures.append(error)

    threads = [threading.Thread(target=work, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = path.read_text()
    assert failures == [] and len(content) == 5000 and len(set(content)) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@given(name=st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=63))
def test_any_name_that_a_file_can_have_can_be_written(tmp_path_factory, name):
    if name in (".", ".."):
        return
    folder = tmp_path_factory.mktemp("names")
    write_bytes(folder / name, b"x")
    assert [p.name for p in folder.iterdir()] == [name]


def test_a_folder_is_replaced_as_a_whole_and_its_files_are_readable_by_umask(tmp_path):
    for content in ("old", "new"):
        with atomic_folder(tmp_path / "model") as part:
            write_text(part / "a", content)
            (part / "a").chmod(0o600)
            assert not (tmp_path / "model").exists() or (tmp_path / "model" / "a").read_text() == "old"
        assert (tmp_path / "model" / "a").read_text() == content
    assert mode(tmp_path / "model" / "a") == 0o666 & ~UMASK
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_that_many_write_holds_one_of_them_whole(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr("ctran.files._exchanged", lambda one, other: False)
    failures = []

    def work(letter):
        try:
            for _ in range(10):
                with atomic_folder(tmp_path / "model") as part:
                    for name in "xyz":
                        (part / name).write_text(letter)
        except OSError as error:  # pragma: no cover
            failures.append(error)

    threads = [threading.Thread(target=work, args=(letter,)) for letter in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and len({p.read_text() for p in (tmp_path / "model").iterdir()}) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_could_not_be_written_leaves_the_old_one_and_names_it(tmp_path):
    with atomic_folder(tmp_path / "model") as part:
        (part / "a").write_text("old")
    with (
        pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "model" / "b" / "c"))),
        atomic_folder(tmp_path / "model") as part,
    ):
        (part / "b" / "c").write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["model"] and (tmp_path / "model" / "a").read_text() == "old"


def test_what_a_process_left_behind_long_ago_is_removed_and_what_is_new_is_not(tmp_path):
    for name, age in ((".model.aaaaaaaaaaaa.part", 48 * 3600), (".model.bbbbbbbbbbbb.part", 60), (".other.cc.part", 48 * 3600)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with atomic_folder(tmp_path / "model"):
        pass
    assert {p.name for p in tmp_path.iterdir()} == {".model.bbbbbbbbbbbb.part", ".other.cc.part", "model"}


def test_temporary_names_are_known_as_such_and_names_of_files_are_not(tmp_path):
    with atomic(tmp_path / "a.json") as part:
        assert part.parent == tmp_path and is_leftover(part.name)
    assert is_leftover(".tmpSBubAL") and is_leftover("config.json.part")
    assert not any(is_leftover(n) for n in ("config.json", "model.safetensors", ".tmp", "part", ".gitignore"))


def test_no_module_replaces_a_file_by_hand():
    """One helper: what is done beside it has a fixed temporary name, no sync, or the wrong mode."""
    by_hand = re.compile(r"""\.part["'}]|os\.replace\(|os\.rename\(|mkstemp|NamedTemporaryFile""")
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        if path.relative_to(SOURCE).as_posix() not in ("files.py", "cli/_errors.py")  # a traceback goes to a new file
        for line in path.read_text().splitlines()
        if by_hand.search(line)
    ]
    assert found == []


def test_no_module_writes_a_file_in_place():
    """Text and bytes go through ``ctran.files``, or into the temporary file or folder (``part``) that it gave."""
    given = re.compile(r"\bpart\.write_|\(part / [^()]+\)\.write_")
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"\.write_(text|bytes)\(", line) and not given.search(line)
    ]
    assert found == []
