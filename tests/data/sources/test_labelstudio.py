"""Exports of Label Studio, as its converter (label-studio-sdk 2.1.2) wrote them: all formats give the same truth."""

import base64
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from ctran.data.readers.addresses import parts_of
from ctran.data.readers.label_studio import read_config
from ctran.data.sources import labelstudio
from ctran.data.table import DataError
from ctran.labels import LabelState

EXPORTS = Path(__file__).parents[1] / "label_studio"
FORMATS = ("json.json", "json_min.json", "csv.csv")
U, N, P = LabelState.UNKNOWN, LabelState.NEGATIVE, LabelState.POSITIVE
TAGS = (["flag"], ["flag", "star"], ["red, dark"], ["star", "red, dark"])
"""Ticked in tag ``tags`` of task ``n`` by ``n % 4``."""
PLAIN = {"star": "Stars", "red, dark": "rd"}
"""What results call these labels."""


def expected(absent):
    """Truth of each picture with the labelling configuration, written down from how the project was made."""
    found = {}
    for n in (0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11):  # 4 was cancelled, 12 has no annotation
        said = dict.fromkeys(TAGS[n % 4], P) if n != 11 else {}
        if n % 4 == 0 or n == 6:
            said["star"] = N
        if n % 2 and n != 11:
            day = n % 4 == 1
            said |= {"day": P if day else N, "night": N if day else P}
        if n == 3:  # a second person ticked flag and night
            if absent == "unknown":
                said["flag"] = P
            else:
                said |= {"flag": U, "star": U, "red, dark": U}
        unlisted = N if absent == "negative" else U
        found[f"{n:02}.png"] = {name: said.get(name, unlisted) for name in ("day", "flag", "night", "red, dark", "star")}
    return found


def truth(tables):
    return {
        name: dict(zip(table.labels.names, map(LabelState, row), strict=True))
        for table in tables.values()
        for name, row in zip(table.ids, table.truth.dense().tolist(), strict=True)
    }


def read(folder, name="json.json", *, config=True, **options):
    shutil.copy(EXPORTS / name, folder.parent / name)
    options = {"absent": "unknown", "config": EXPORTS / "config.xml" if config else None, "images": folder} | options
    return labelstudio.build(labelstudio.Config(folder.parent / name, **options))


@pytest.mark.parametrize("absent", ["unknown", "negative"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_truth_that_people_ticked(folder, name, absent, capsys):
    assert truth(read(folder, name, absent=absent)) == expected(absent)
    err = capsys.readouterr().err
    assert "1 tasks without an annotation are left out" in err or "2 tasks without" in err
    assert ("on which annotators disagree" in err) == (absent == "negative")


@pytest.mark.parametrize("name", FORMATS)
def test_without_the_configuration_choices_go_by_their_names_in_results(folder, name):
    choices = None if name == "json.json" else ("tags", "not", "light")
    found = truth(read(folder, name, config=False, choices=choices, negatives=("not",)))
    for picture, said in expected("unknown").items():
        wanted = {PLAIN.get(label, label): state for label, state in said.items()}
        others = {"day", "night"} if found[picture]["day"] == found[picture]["night"] == U else set()
        for label, state in found[picture].items():
            assert state == wanted[label] or (label in ("day", "night") and state == U), (picture, label, others)


@pytest.mark.parametrize("name", FORMATS)
def test_ticks_of_several_tags_are_not_guessed_to_be_positives(folder, name):
    with pytest.raises(DataError, match=r"--data.(negatives|choices)|which columns are <Choices>"):
        read(folder, name, config=False)
    if name != "json.json":
        with pytest.raises(DataError, match=r"ticks of several <Choices>: 'tags', 'not'.*--data.config FILE.*--data.negatives"):
            read(folder, name, config=False, choices=("tags", "not"))


def task(number, *annotations, image=None, **more):
    address = image or f"/data/upload/1/0123abcd-{number:02}.png"
    return {"id": number, "data": {"image": address}, "annotations": list(annotations), **more}


def annotation(*choices, tag="tags", **more):
    result = {"from_name": tag, "to_name": "image", "type": "choices", "value": {"choices": list(choices)}}
    return {"result": [result] if choices else [], "was_cancelled": False, **more}


def write(folder, tasks):
    (folder.parent / "export.json").write_text(json.dumps(tasks))
    return folder.parent / "export.json"


def build(folder, tasks, **options):
    options = {"absent": "negative", "images": folder} | options
    return labelstudio.build(labelstudio.Config(write(folder, tasks), **options))


def plain(count, start=0):
    return [task(n, annotation(("cat", "dog")[n % 2])) for n in range(start, count)]


def test_what_people_disagree_on_is_unknown_or_as_the_option_states(folder):
    choices = (["cat"], ["cat", "sea"], ["dog", "cat"])  # the first is the newest
    three = task(0, *(annotation(*c, updated_at=f"2025-01-0{3 - i}") for i, c in enumerate(choices)))
    meanings = {
        "agree": {"cat": P, "dog": U, "sea": U},
        "last": {"cat": P, "dog": N, "sea": N},
        "majority": {"cat": P, "dog": N, "sea": N},
    }
    for several, meaning in meanings.items():
        found = truth(build(folder, [three, *plain(9, 1), task(9, annotation("sea"))], several=several))
        assert found["00.png"] == meaning and found["01.png"] == {"cat": N, "dog": P, "sea": N}
    truths = task(0, annotation("cat"), annotation("dog", ground_truth=True))
    assert truth(build(folder, [truths, *plain(9, 1)]))["00.png"] == {"cat": N, "dog": P}


def test_a_tick_and_a_cross_of_two_people_is_unknown_and_of_one_refused(folder):
    both = task(0, annotation("cat"), annotation("cat", tag="not"))
    found = truth(build(folder, [both, *plain(9, 1)], absent="unknown", negatives=("not",)))
    assert found["00.png"]["cat"] == U
    one = annotation("cat")
    one["result"] += annotation("cat", tag="not")["result"]
    with pytest.raises(DataError, match="task 0: 'cat' is ticked as present and as absent"):
        build(folder, [task(0, one), *plain(9, 1)], negatives=("not",))


ADDRESSES = {
    "/data/upload/7/0123abcd-00.png": ["data", "upload", "7", "0123abcd-00.png"],
    "/data/local-files/?d=pics/a%20b/00.png": ["pics", "a b", "00.png"],
    "https://host/x/00.png?token=1#a": ["x", "00.png"],
    "s3://bucket/x/00.png": ["x", "00.png"],
    "gs://bucket/gr%C3%B6%C3%9Fe.png": ["größe.png"],
    "x/../y/00.png": ["x", "y", "00.png"],
    "C:\\pics\\00.png": ["C:", "pics", "00.png"],
    "/tasks/5/resolve/?fileuri=" + base64.urlsafe_b64encode(b"s3://bucket/deep/00.png").decode(): ["deep", "00.png"],
    "data:image/png;base64,AAAA": [],
    "http://[": [],
}


def test_the_path_in_an_address_is_found():
    for address, parts in ADDRESSES.items():
        if not address.startswith("C:"):
            assert parts_of(address) == parts, address


STORED = "/tasks/5/resolve/?fileuri=" + base64.urlsafe_b64encode(b"s3://b/pics/x y.png").decode()
HOSTED = (
    "/data/local-files/?d=pics/x%20y.png",
    "https://h/a/pics/x%20y.png?z=1",
    "s3://b/pics/x y.png",
    "pics/x y.png",
    STORED,
)


@pytest.mark.parametrize("place", ["", "pics", "deep/er", "upload/1"])
@pytest.mark.parametrize("address", ["/data/upload/1/0123abcd-x y.png", *HOSTED])
def test_pictures_are_found_by_the_end_of_their_address_wherever_they_lie_below(folder, address, place):
    (folder / place).mkdir(parents=True, exist_ok=True)
    (folder / "00.png").rename(folder / place / "x y.png")
    tables = build(folder, [task(0, annotation("cat"), image=address), *plain(9, 1)])
    assert (Path(place) / "x y.png").as_posix() in truth(tables)


GONE = ("/data/upload/1/0123abcd-gone.png", "data:image/png;base64,AA", "https://h/" + "a" * 3000, "../../00.pn\0")


@pytest.mark.parametrize("address", GONE)
def test_a_picture_that_is_not_there_is_named_with_task_and_option_or_left_out(folder, address):
    tasks = [task(0, annotation("cat"), image=address), *plain(9, 1)]
    with pytest.raises(DataError, match=r"export.json, task 0: .*(1 of 9 pictures not found.*--data.images|NUL)"):
        build(folder, tasks)


def test_missing_pictures_are_listed_where_that_is_asked_for(folder):
    tasks = [task(0, annotation("cat"), image="/data/upload/1/gone.png"), *plain(12, 1)]
    tables = build(folder, tasks, skip_broken=True)
    (broken,) = [b for t in tables.values() for b in t.broken]
    assert "task 0" in broken.row and "gone.png" in broken.reason


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no JSON"),
        ("[]", "expected the tasks of Label Studio's"),
        ("[1]", "expected the tasks of Label Studio's"),
        ('[{"a": 1}]', "no column annotation_id, so this is not an export of Label Studio"),
        ('[{"id": 1, "data": {"image": "x.png"}}]', "task 1: expected data and annotations"),
        ('[{"id": 1, "data": {"image": "x.png"}, "annotations": []}]', "no task has an annotation that was not cancelled"),
        (
            '[{"id": 1, "data": {"t": "x"}, "annotations": [{"result": []}]}]',
            "which key holds .*--data.image_key",
        ),
        (json.dumps([task(1, {"result": [3]})]), "task 1: a result without a value"),
        (json.dumps([task(1, annotation(["a", "b"]))]), "task 1: .* a list inside a list"),
        (json.dumps([task(1, annotation(3))]), "task 1: .* not a name"),
    ],
)
def test_what_is_not_an_export_is_refused_with_file_and_task(folder, content, message):
    path = folder.parent / "export.json"
    path.write_text(content)
    with pytest.raises(DataError, match=rf"export.json.*{message}"):
        labelstudio.build(labelstudio.Config(path, "negative", images=folder))


def test_choices_with_commas_quotes_and_braces_are_one_label_in_every_format(folder):
    names = ["red, dark", "a|b", 'say "x"', "traffic light", "größe"]
    tasks = [task(n, annotation(names[n % 5], *names[(n + 1) % 5 : (n + 1) % 5 + n % 2])) for n in range(10)]
    records = []
    for each in tasks:
        choices = each["annotations"][0]["result"][0]["value"]["choices"]
        tags = choices[0] if len(choices) == 1 else {"choices": choices}
        records.append({**each["data"], "id": each["id"], "tags": tags, "annotator": 1, "annotation_id": each["id"]})
    wanted = truth(build(folder, tasks))
    assert truth(build(folder, records)) == wanted and set(wanted["00.png"]) == set(names)


def test_results_about_regions_and_of_other_kinds_are_counted_and_left_out(folder, capsys):
    box = {"from_name": "box", "type": "rectanglelabels", "value": {"x": 1, "rectanglelabels": ["cat"]}}
    region = {"from_name": "tags", "type": "choices", "value": {"x": 1, "y": 2, "choices": ["dog"]}}
    tasks = plain(9)
    tasks[0]["annotations"][0]["result"] += [box, region]
    assert truth(build(folder, tasks))["00.png"] == {"cat": P, "dog": N}
    err = capsys.readouterr().err
    assert "'rectanglelabels' are not choices" in err and "about a region" in err


def test_a_choice_that_the_configuration_lacks_is_refused(folder):
    with pytest.raises(DataError, match=r"task 0: 'cat' is not a choice of 'tags' in .*config.xml"):
        build(folder, plain(9), config=EXPORTS / "config.xml")
    (folder / "other.xml").write_text("<View/>")
    with pytest.raises(DataError, match=r"other.xml: no <Choices>"):
        read_config(folder / "other.xml")
    (folder / "other.xml").write_text("<View>")
    with pytest.raises(DataError, match=r"other.xml: not XML"):
        read_config(folder / "other.xml")


def test_a_folder_with_one_export_is_taken_and_one_with_several_refused(folder):
    write(folder, plain(9))
    (folder.parent / "export.json").rename(folder / "project-1.json")
    (folder / "metadata.csv").unlink()
    assert len(truth(labelstudio.build(labelstudio.Config(folder, "negative")))) == 9
    (folder / "again.json").write_text("[]")
    with pytest.raises(DataError, match=r"expected one .json or .csv file, found again.json, project-1.json"):
        labelstudio.build(labelstudio.Config(folder, "negative"))
    Image.new("RGB", (2, 2)).save(folder / "x.png")
    with pytest.raises(DataError, match=r"x.png: expected a JSON, JSON-MIN or CSV export"):
        labelstudio.build(labelstudio.Config(folder / "x.png", "negative"))
