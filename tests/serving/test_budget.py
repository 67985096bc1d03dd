"""What is in work at once is bounded, and served in the order in which it came."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ctran.serving.budget import Budget
from tests.serving.conftest import wait_until


def test_what_is_taken_at_once_is_bounded_and_the_largest_is_taken_alone():
    budget, most, lock = Budget(10), [], threading.Lock()

    def work(amount):
        with budget.take(amount):
            with lock:
                most.append(budget.taken)
            os.sched_yield()  # to the others, which must not get in beyond the limit

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
