"""Calls of many threads are answered together, each with its own answer."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch

from ctran.serving.batching import BatchedPredictor, StoppingError
from tests.serving.conftest import encoded, wait_until


@pytest.fixture
def batches():
    return []


@pytest.fixture
def batched(tagger, batches):
    predictor = BatchedPredictor(tagger, lambda kind, calls: batches.append((kind, calls)))
    yield predictor
    predictor.close()


def test_predictions_are_those_of_calls_alone(tagger, batched):
    files = [encoded(seed=n) for n in range(6)]
    alone = [tagger.session(f) for f in files]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(batched.session, files))
        known = [{}, {"flag": True}, {"map": False}, {"cat": True}, {"ship": False}, {"flag": False, "map": True}]
        found = list(pool.map(lambda pair: pair[0].predict(pair[1]), zip(together, known, strict=True)))
    for session, said, told in zip(alone, found, known, strict=True):
        assert said.probabilities == pytest.approx(session.predict(told).probabilities, abs=1e-5)


@pytest.fixture
def busy(batched, batches, held_up):
    """A session, and a pool whose calls wait for the model, which looks at a picture until the block ends."""

    @contextmanager
    def hold():
        session = batched.session(encoded())
        entered, leave = held_up()
        batches.clear()
        with ThreadPoolExecutor(16) as pool:
            first = pool.submit(batched.session, encoded(seed=1))
            try:
                assert entered.wait(20)
                yield session, pool
            finally:
                leave.set()
            first.result()

    return hold


def wait_for(count, queue):
    wait_until(lambda: queue.qsize() >= count)


def test_what_waits_is_taken_together_and_questions_come_first(batched, batches, busy):
    with busy() as (session, pool):
        others = [pool.submit(batched.session, encoded(seed=n)) for n in (2, 3)]
        asked = [pool.submit(session.given({}).predict) for _ in range(4)]
        wait_for(6, batched._jobs)
    for future in (*others, *asked):
        future.result()
    assert batches == [("encode", 1), ("predict", 4), ("encode", 2)]


def test_a_picture_has_its_turn_however_many_questions_there_are(batched, batches, busy):
    with busy() as (session, pool):
        rows = torch.zeros(64, 8, dtype=torch.long)  # a batch of its own
        asked = [pool.submit(batched.marginals, session.features, rows) for _ in range(10)]
        wait_for(10, batched._jobs)
        late = pool.submit(batched.session, encoded(seed=2))
        wait_for(11, batched._jobs)
        maps = pool.submit(session.attention, "flag")
        wait_for(12, batched._jobs)
    for future in (late, maps, *asked):
        future.result()
    assert [kind for kind, _ in batches[:6]] == ["encode", *["predict"] * 4, "encode"]
    assert [kind for kind, _ in batches].index("attention") == 10


def test_many_pictures_of_one_call_are_encoded_a_few_at_a_time(tagger, batched, batches):
    squares = torch.stack([tagger.square(encoded(seed=n)) for n in range(6)])
    found = batched.encode_images(squares)
    assert torch.allclose(found.tokens, tagger.encode_images(squares).tokens, atol=1e-5)
    assert batches == [("encode", 1), ("encode", 1)]


def test_an_error_reaches_the_one_who_asked_and_the_others_are_served(batched):
    session = batched.session(encoded())
    with pytest.raises(ValueError, match="expected states of 8 labels, got 3"):
        batched.marginals(session.features, torch.zeros(1, 3, dtype=torch.long))
    assert session.predict().probabilities


def test_after_the_end_nothing_is_asked(tagger):
    predictor = BatchedPredictor(tagger)
    session = predictor.session(encoded())
    predictor.close()
    with pytest.raises(StoppingError, match="stopping"):
        session.predict()


def test_features_that_were_made_together_take_no_more_memory_than_alone(tagger, batched):
    with ThreadPoolExecutor(4) as pool:
        for session in pool.map(batched.session, [encoded(seed=n) for n in range(8)]):
            own = session.features.tokens.untyped_storage().nbytes()
            assert own == session.features.tokens.nbytes
