"""Packages of the suite: fetched once by npm, checked, and refused with what to do."""

import hashlib
from pathlib import Path

import pytest

from benchmarks.suite.packages import Archive, Package, open_all
from ctran.errors import UserError
from tests.benchmarks.packages import archive, packed

CONTENT = packed({"LICENSE": "as you like", "svg/one.svg": "<svg/>"})
PACKAGE = Package("@maker/icons", "1.2.3", hashlib.sha256(CONTENT).hexdigest())


def npm(folder: Path, script: str) -> str:
    """A PATH with a program npm of our own."""
    folder.mkdir()
    (folder / "content.tgz").write_bytes(CONTENT)
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_a_package_is_fetched_once_into_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tools = tmp_path / "tools"
    monkeypatch.setenv(
        "PATH", npm(tools, f'[ "$*" = "pack @maker/icons@1.2.3 --silent" ] && cp {tools}/content.tgz maker-icons-1.2.3.tgz')
    )
    (found,) = open_all([PACKAGE], tmp_path / "new" / "packages")
    assert found.text("svg/one.svg") == "<svg/>"
    assert found.licence() == "as you like"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert open_all([PACKAGE], tmp_path / "new" / "packages")[0].files == found.files


def test_without_npm_the_error_says_what_to_install_or_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError) as refused:
        open_all([PACKAGE], tmp_path / "packages")
    assert all(word in str(refused.value) for word in ("@maker/icons@1.2.3", "Node.js", "maker-icons-1.2.3.tgz", str(tmp_path)))


@pytest.mark.parametrize("script", ["echo 'npm error 404' >&2; exit 1", "exit 0"])
def test_a_failed_fetch_is_refused_with_npm_s_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str):
    monkeypatch.setenv("PATH", npm(tmp_path / "tools", script))
    with pytest.raises(UserError, match=r"npm pack @maker/icons@1\.2\.3 failed \((npm error 404|no reason given)\)"):
        open_all([PACKAGE], tmp_path / "packages")


def test_a_package_of_another_content_is_refused(tmp_path: Path):
    (tmp_path / PACKAGE.file).write_bytes(b"something else")
    with pytest.raises(
        UserError, match=r"maker-icons-1\.2\.3\.tgz: SHA-256 is .*, expected .* of @maker/icons@1\.2\.3; delete it"
    ):
        open_all([PACKAGE], tmp_path)


def test_a_file_that_a_package_lacks_is_named():
    with pytest.raises(UserError, match=r"mini-1\.0\.0\.tgz: no file 'meta\.json' in it"):
        archive({"other": ""})["meta.json"]


def test_only_files_directly_in_a_folder_are_its_stems():
    found = archive({"svg/b.svg": "", "svg/a.svg": "", "svg/deep/c.svg": "", "svg/a.png": "", "top.svg": ""})
    assert found.stems("svg", ".svg") == ["a", "b"]
    assert found.stems("", ".svg") == ["top"]


def test_a_package_without_a_licence_file_shows_its_description():
    found = Archive(PACKAGE, packed({"package.json": '{"license": "MIT"}'}))
    assert "has no licence file" in found.licence()
    assert '"MIT"' in found.licence()
