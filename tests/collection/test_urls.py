"""Input and output behind URLs: an S3 server on loopback."""

from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from moto.server import ThreadedMotoServer

import ctran
from ctran.collection import storage
from ctran.collection.run import run
from ctran.errors import UserError
from tests.collection.conftest import NAMES, changed, check_rows, part_files, rows
from tests.collection.inputs import INPUTS, known_labels


@pytest.fixture(scope="module")
def server():
    """Address of the server, and the environment that its users have."""
    started = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def bucket(server, monkeypatch, request):
    """URL of a new bucket."""
    secrets = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**secrets, "AWS_ENDPOINT_URL": server}.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    name = f"bucket-{abs(hash(request.node.name)):x}"
    fsspec.filesystem("s3").mkdir(name)
    return f"s3://{name}"


def put(folder, url):
    """Upload a folder."""
    fsspec.filesystem("s3").put(f"{folder}/", f"{url}/", recursive=True)


def fetched(url, folder):
    """What a job wrote, downloaded."""
    fsspec.filesystem("s3").get(f"{url}/", f"{folder}/", recursive=True)
    return folder


@pytest.mark.parametrize("name", INPUTS)
def test_every_picture_has_the_row_that_it_has_alone(job, model, photos, bucket, tmp_path, name):
    known = known_labels()
    place = INPUTS[name](photos, known)
    job = replace(job, output=f"{bucket}/out/deep")
    if name == "parquet_paths":  # absolute paths stay on this machine
        put(place.parent, f"{bucket}/in")
        with pytest.raises(UserError, match="write it relative to the table, or as URL"):
            run(replace(job, input=f"{bucket}/in/{place.name}", fail_fast=True))
        job = replace(job, input=str(place), output=f"{bucket}/other")
    else:
        put(place if place.is_dir() else place.parent, f"{bucket}/in")
        job = replace(job, input=f"{bucket}/in" if place.is_dir() else f"{bucket}/in/{place.name}")
    assert run(job).predicted == 9 and run(job).before > 0
    found = fetched(job.output, tmp_path / "fetched")
    assert [row["id"] for row in rows(found)] == sorted(NAMES)
    check_rows(rows(found), ctran.load(model), photos, {} if name == "folder" else known)


def test_broken_pictures_are_errors_and_processes_may_read_them(job, photos, bucket, tmp_path):
    (photos / "02.png").write_bytes(b"no picture")
    put(photos, f"{bucket}/in")
    lines = "\n".join(["file_name", "00.png", "02.png", "gone.png", str(photos / "01.png"), f"{bucket}/in/03.png"])
    with fsspec.open(f"{bucket}/in/t.csv", "w") as file:
        file.write(lines)
    run(replace(job, input=f"{bucket}/in/t.csv", output=f"{bucket}/out", workers=2))
    found = fetched(f"{bucket}/out", tmp_path / "fetched")
    assert [row["id"] for row in rows(found)] == ["00.png", f"{bucket}/in/03.png"]
    reasons = {row["id"]: row["reason"] for row in rows(found, "errors")}
    assert "not a picture" in reasons["02.png"] and "row 3" in reasons["gone.png"] and "no such file" in reasons["gone.png"]
    assert "write it relative to the table" in reasons[str(photos / "01.png")]


def test_the_listing_of_a_url_is_that_of_the_folder(photos, bucket):
    put(photos, f"{bucket}/in")
    assert [file.name for file in storage.listing(f"{bucket}/in")] == [file.name for file in storage.listing(str(photos))]
    assert [file.name for file in storage.matching(f"{bucket}/in/0*.png")] == sorted(n for n in NAMES if n.startswith("0"))


def test_parts_with_errors_are_done_again_on_request(job, photos, bucket, tmp_path):
    with fsspec.open(f"{bucket}/t.csv", "w") as file:
        file.write("file_name\n00.png\n01.png\n")
    put(photos, bucket)
    fs = fsspec.filesystem("s3")
    content = fs.cat_file(f"{bucket}/01.png")
    fs.rm_file(f"{bucket}/01.png")
    job = replace(job, input=f"{bucket}/t.csv", output=f"{bucket}/out")
    assert run(job).failed == 1
    fs.pipe_file(f"{bucket}/01.png", content)
    assert run(job).has_errors and not run(replace(job, retry_errors=True)).has_errors
    found = fetched(job.output, tmp_path / "fetched")
    assert len(rows(found)) == 2 and not part_files(found, "errors")


@pytest.mark.parametrize(
    ("url", "message"),
    [("{bucket}/none", "no such file or folder"), ("s3://no-such-bucket-at-all/x", "no such file or folder|cannot be read")],
)
def test_what_is_not_there_is_refused(job, bucket, url, message):
    with pytest.raises(UserError, match=message):
        run(replace(job, input=url.format(bucket=bucket)))
    with pytest.raises(UserError, match=r"cannot be written|cannot be read|no such"):
        run(replace(job, output="s3://no-such-bucket-at-all/x"))


def test_an_output_within_the_input_is_refused(job, photos, bucket):
    put(photos, f"{bucket}/in")
    with pytest.raises(UserError, match="lies in the input"):
        run(replace(job, input=f"{bucket}/in", output=f"{bucket}/in/out"))


def test_a_server_that_is_away_is_an_error_by_name(job, bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(UserError, match=r"s3://.*cannot be read"):
        run(replace(job, input=f"{bucket}/in"))
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_a_library_that_is_not_installed_is_named(monkeypatch):
    def missing(*given, **options):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(UserError, match=r'pip install "ctran\[collection\]"'):
        storage.filesystem("s3://bucket/x")


def test_file_systems_that_rename_get_the_whole_file_under_another_name_first(job, photos, tmp_path, monkeypatch):
    """An SFTP or HDFS file system: a file there is seen while it is written."""
    from fsspec.implementations.local import LocalFileSystem

    class Far(LocalFileSystem):
        protocol = ("far",)
        local_file = False

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(path.removeprefix("far://"))

        def put_file(self, lpath, rpath, **options):
            written.append(Path(rpath).name)
            return super().put_file(lpath, rpath, **options)

    written = []
    fsspec.register_implementation("far", Far, clobber=True)
    run(replace(job, output=f"far://{tmp_path}/far"))
    assert len(written) == 4 and all(name.startswith(".") and name.endswith(".part") for name in written)
    assert [row["id"] for row in rows(tmp_path / "far")] == sorted(NAMES)
    assert not list((tmp_path / "far").rglob(".*"))
    assert run(replace(changed(job), output=f"far://{tmp_path}/far")).predicted == 0
