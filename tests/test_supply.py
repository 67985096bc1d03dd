"""Where packages come from: hashes of the index, known vulnerabilities, licences."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts import audit, hashes, licences

ROOT = Path(__file__).parents[1]


def report(url="https://index.example/a-1.0-py3-none-any.whl", **archive):
    return {"metadata": {"name": "a", "version": "1.0"}, "download_info": {"url": url, "archive_info": archive}}


def test_a_pin_gets_the_hash_that_the_index_states():
    assert hashes.line_of(report(hashes={"sha256": "ab"}), local=False) == "a==1.0 --hash=sha256:ab\n"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (report(), "a: the index states no SHA-256"),
        (report("file:///wheels/a-1.0-py3-none-any.whl", hashes={"sha256": "ab"}), "a: pip takes a file on this disk"),
    ],
)
def test_a_hash_that_would_prove_nothing_to_others_is_refused(found, message):
    with pytest.raises(hashes.HashesError, match=message):
        hashes.line_of(found, local=False)


def wheel(folder, name, text):
    """A package of one module, and its digest."""
    path, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", text)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_what_the_lock_was_made_of_can_be_installed_with_it_and_another_file_cannot(tmp_path):
    for name in ("first", "second"):
        folder = tmp_path / "simple" / name
        folder.mkdir(parents=True)
        path, digest = wheel(folder, name, "value = 1\n")
        (folder / "index.html").write_text(f'<a href="{path.name}#sha256={digest}">{path.name}</a>')
    (tmp_path / "requirements.lock").write_text("first==1.0\nsecond==1.0\n")
    index = {"PIP_INDEX_URL": (tmp_path / "simple").as_uri(), "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")} | index
    make = [sys.executable, str(ROOT / "scripts/hashes.py"), "requirements.lock", "hashed.lock"]
    refused = subprocess.run(make, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert refused.returncode == 1 and "first: pip takes a file on this disk" in refused.stderr
    assert not (tmp_path / "hashed.lock").exists()
    subprocess.run([*make, "--local"], cwd=tmp_path, env=environment, check=True)
    install = [sys.executable, "-m", "pip", "install", "--require-hashes", "--no-deps", "-r", "hashed.lock", "--target"]
    subprocess.run([*install, "good"], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "good" / "second.py").read_text() == "value = 1\n"
    path, digest = wheel(tmp_path / "simple" / "second", "second", "value = 2\n")
    (path.parent / "index.html").write_text(f'<a href="{path.name}#sha256={digest}">{path.name}</a>')
    changed = subprocess.run([*install, "bad"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert changed.returncode and "DO NOT MATCH THE HASHES" in changed.stderr


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (0, "No known vulnerabilities found\n", 0),
        (1, "Found 2 known vulnerabilities in 1 package\nName ...\n", 1),
        (1, "ERROR:pip_audit._cli: could not connect\n", 0),
        (1, "", 0),
    ],
)
def test_an_audit_without_an_answer_is_not_taken_for_one_without_findings(status, text, expected):
    found, more = audit.verdict(status, text)
    assert found == expected and ("NOT AUDITED" in more) == ("known" not in text)


@pytest.mark.slow
def test_an_audit_states_that_it_has_no_network(tmp_path):
    (tmp_path / "lock").write_text("first==1.0\n")
    closed = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    command = [sys.executable, str(ROOT / "scripts/audit.py"), str(tmp_path / "lock")]
    done = subprocess.run(command, env=os.environ | closed, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.startswith("NOT AUDITED") and not done.stdout


def sbom(tmp_path, *given):
    components = [{"name": name, "version": "1", "licenses": found} for name, found in given]
    (tmp_path / "sbom.json").write_text(json.dumps({"components": components}))
    return tmp_path / "sbom.json"


def test_licences_are_listed_by_package_and_a_missing_one_is_named(tmp_path, capsys):
    path = sbom(
        tmp_path,
        ("b", [{"license": {"id": "MIT"}}, {"license": {"name": "License :: OSI Approved :: MIT License"}}]),
        ("B2", [{"license": {"name": "License :: OSI Approved :: BSD License"}}]),
        ("resvg_py", []),
        ("A", [{"expression": "Apache-2.0 OR MIT"}]),
        ("c", [{"license": {"name": "Copyright 2001 of\nsomebody"}}]),
    )
    assert licences.main(path) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "name,version,licence",
        "A,1,Apache-2.0 OR MIT",
        "b,1,MIT",
        "B2,1,BSD License",
        "c,1,",
        "resvg_py,1,MIT",
    ]
    assert "stated by c:" in err  # and no other
