"""Calls of many threads are answered together, each with its own answer."""

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from ctran.serving.annotations import AnnotationError, Annotations
from ctran.serving.batching import BatchedPredictor, StoppingError
from ctran.serving.budget import Budget
from ctran.serving.gallery import Gallery
from tests.serving.conftest import encoded


@pytest.fixture
def batches():
    return []


@pytest.fixture
def batched(tagger, batches):
    predictor = BatchedPredictor(tagger, lambda kind, calls: batches.append((kind, calls)))
    yield predictor
    predictor.close()


def test_answers_are_those_of_calls_alone(tagger, batched):
    files = [encoded(seed=n) for n in range(6)]
    alone = [tagger.look(f) for f in files]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(batched.look, files))
        known = [{}, {"flag": True}, {"map": False}, {"cat": True}, {"ship": False}, {"flag": False, "map": True}]
        found = list(pool.map(lambda pair: pair[0].predict(pair[1]), zip(together, known, strict=True)))
    for session, said, told in zip(alone, found, known, strict=True):
        assert said.probabilities == pytest.approx(session.predict(told).probabilities, abs=1e-5)


def test_what_waits_is_taken_together_and_questions_come_first(batched, batches, held_up):
    session = batched.look(encoded())
    entered, leave = held_up()
    batches.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batched.look, encoded(seed=1))
        assert entered.wait(20)
        others = [pool.submit(batched.look, encoded(seed=n)) for n in (2, 3)]
        asked = [pool.submit(session.given({}).predict) for _ in range(4)]
        wait_for(6, batched._jobs)
        leave.set()
        for future in (first, *others, *asked):
            future.result()
    assert batches == [("encode", 1), ("predict", 4), ("encode", 2)]


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline


def wait_for(count, queue):
    wait_until(lambda: queue.qsize() >= count)


def test_a_picture_has_its_turn_however_many_questions_there_are(batched, batches, held_up):
    session = batched.look(encoded())
    entered, leave = held_up()
    batches.clear()
    with ThreadPoolExecutor(16) as pool:
        first = pool.submit(batched.look, encoded(seed=1))
        assert entered.wait(20)
        rows = torch.zeros(64, 8, dtype=torch.long)  # a batch of its own
        asked = [pool.submit(batched.marginals, session.features, rows) for _ in range(10)]
        wait_for(10, batched._jobs)
        late = pool.submit(batched.look, encoded(seed=2))
        wait_for(11, batched._jobs)
        maps = pool.submit(session.attention, "flag")
        wait_for(12, batched._jobs)
        leave.set()
        for future in (first, late, maps, *asked):
            future.result()
    assert [kind for kind, _ in batches[:6]] == ["encode", *["predict"] * 4, "encode"]
    assert [kind for kind, _ in batches].index("attention") == 10


def test_many_pictures_of_one_call_are_looked_at_a_few_at_a_time(tagger, batched, batches):
    squares = torch.stack([tagger.square(encoded(seed=n)) for n in range(6)])
    found = batched.encode_images(squares)
    assert torch.allclose(found.tokens, tagger.encode_images(squares).tokens, atol=1e-5)
    assert batches == [("encode", 1), ("encode", 1)]


def test_an_error_reaches_the_one_who_asked_and_the_others_are_served(batched):
    session = batched.look(encoded())
    with pytest.raises(ValueError, match="expected states of 8 labels, got 3"):
        batched.marginals(session.features, torch.zeros(1, 3, dtype=torch.long))
    assert session.predict().probabilities


def test_after_the_end_nothing_is_asked(tagger):
    predictor = BatchedPredictor(tagger)
    session = predictor.look(encoded())
    predictor.close()
    with pytest.raises(StoppingError, match="stopping"):
        session.predict()


def test_features_that_were_made_together_take_no_more_memory_than_alone(tagger, batched):
    with ThreadPoolExecutor(4) as pool:
        for session in pool.map(batched.look, [encoded(seed=n) for n in range(8)]):
            own = session.features.tokens.untyped_storage().nbytes()
            assert own == session.features.tokens.nbytes


def test_rows_that_are_there_are_kept_with_all_their_columns(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "x.png", "labels": ["a"], "note": "mine"}\n\n')
    annotations = Annotations(tmp_path)
    annotations.save("y.png", {"b": False})
    annotations.save("x.png", {"a": False, "b": True})
    again = Annotations(tmp_path)
    assert len(again) == 2 and again.known("x.png") == {"b": True, "a": False}
    assert '"note": "mine"' in (tmp_path / "metadata.jsonl").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"metadata.jsonl", ".metadata.lock"}


def test_labels_that_the_model_does_not_have_stay_in_their_rows(tmp_path):
    rows = [
        {"file_name": "x.png", "labels": ["a", "mine"], "negatives": ["yours"]},
        {"file_name": "y.png", "labels": "a, mine,b", "negatives": ["a"]},
    ]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    annotations = Annotations(tmp_path, ("a", "b"))
    assert annotations.known("x.png") == {"a": True} and annotations.known("y.png") == {"a": True, "b": True}
    annotations.save("x.png", {"b": False})
    annotations.save("y.png", {"b": True})
    found = [json.loads(line) for line in (tmp_path / "metadata.jsonl").read_text().splitlines()]
    assert found == [
        {"file_name": "x.png", "labels": ["mine"], "negatives": ["yours", "b"]},
        {"file_name": "y.png", "labels": ["mine", "b"], "negatives": []},
    ]


def test_rows_that_were_written_meanwhile_are_kept_and_seen(tmp_path):
    one, other = Annotations(tmp_path), Annotations(tmp_path)
    one.save("x.png", {"a": True})
    other.save("y.png", {"a": False})
    with (tmp_path / "metadata.jsonl").open("a") as file:
        file.write('{"file_name": "z.png", "labels": ["a"]}\n')
    assert one.known("z.png") == {"a": True} and one.known("y.png") == {"a": False}
    assert len(other) == 3 and set(other.saved()) == {"x.png", "y.png", "z.png"}
    one.save("x.png", {})
    assert len(Annotations(tmp_path)) == 3


def test_names_with_odd_separators_come_back(tmp_path):
    annotations = Annotations(tmp_path)
    for name in ("a\u2028b.png", "a\x85b.png", "a\nb.png", 'a"b.png'):
        annotations.save(name, {"a": True})
        assert Annotations(tmp_path).known(name) == {"a": True}


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.parquet"])
def test_a_folder_whose_rows_are_in_another_file_is_refused(tmp_path, name):
    (tmp_path / name).write_text("file_name,labels\n")
    with pytest.raises(AnnotationError, match=rf"{name}: answers are saved as metadata\.jsonl"):
        Annotations(tmp_path)


def test_files_whose_names_are_no_text_and_hidden_ones_are_left_out(tmp_path):
    for name in (b"caf\xe9.png", b"ok.png", b"._ok.png", b"video.mpg", b".cache/x.png"):
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded())
    gallery = Gallery.of_folder(Annotations(tmp_path))
    assert [entry.name for entry in gallery.entries] == ["ok.png"] and gallery.left_out == ["'caf\\udce9.png'"]


def test_what_is_taken_at_once_is_bounded_and_the_largest_is_taken_alone():
    budget, most, lock = Budget(10), [], threading.Lock()

    def work(amount):
        with budget.take(amount):
            with lock:
                most.append(budget.taken)
            time.sleep(0.001)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [3, 4, 5, 100, 1, 0, 7, 10] * 5))
    assert max(most) == 10 and budget.taken == 0
    held, order = budget.take(10), []
    held.__enter__()
    with ThreadPoolExecutor(3) as pool:
        for number, amount in enumerate((10, 1, 1)):

            def in_turn(number=number, amount=amount):
                with budget.take(amount):
                    order.append(number)

            pool.submit(in_turn)
            wait_until(lambda number=number: len(budget._waiting) == number + 1)
        held.__exit__(None, None, None)
    assert order[0] == 0  # small ones do not pass it by
    with pytest.raises(KeyError), budget.take(4):
        raise KeyError
    assert budget.taken == 0


@pytest.mark.parametrize("line", ["{", "[]", '{"labels": []}', "3"])
def test_a_damaged_file_is_refused_and_left_alone(tmp_path, line):
    (tmp_path / "metadata.jsonl").write_text(f'{{"file_name": "x.png"}}\n{line}\n')
    with pytest.raises(AnnotationError, match="row 2: expected JSON with a file_name"):
        Annotations(tmp_path)
