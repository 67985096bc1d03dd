from concurrent.futures import ThreadPoolExecutor

import pytest

from ctran.serving.people import KEPT, People, share

PICTURES = [f"{number}.png" for number in range(100)]


def test_shares_halve_what_is_left():
    assert [share(number) for number in range(8)] == [0, 1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8]


def test_people_begin_at_different_pictures_and_each_where_they_left_off():
    people, saved = People(), set[str | None]()
    assert [people.start(person, PICTURES, saved) for person in ("ann", "bo", "cy", "ann", None)] == [0, 50, 25, 0, 0]
    saved |= {f"{number}.png" for number in (*range(10), *range(50, 60))}
    assert [people.start(person, PICTURES, saved) for person in ("ann", "bo", "cy", None)] == [10, 60, 25, 10]


@pytest.mark.parametrize(("left", "expected"), [([3], 3), ([99], 99), ([], 0)])
def test_who_is_at_the_end_goes_on_from_the_first_picture(left: list[int], expected: int):
    people = People()
    saved = {name for number, name in enumerate(PICTURES) if number not in left}
    assert [people.start(person, PICTURES, saved) for person in ("ann", "bo", "cy")] == [expected] * 3


def test_more_people_than_pictures_begin_somewhere():
    people = People()
    assert {people.start(str(number), PICTURES[:3], ()) for number in range(20)} == {0, 1, 2}
    assert people.start("last", [], ()) == 0


def test_people_who_come_at_once_get_different_numbers():
    people = People()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: people.start(str(number), PICTURES, ()), range(64)))
    assert len(set(found)) == 64


def test_the_number_of_who_has_been_away_for_longest_is_given_again():
    people = People()
    for number in range(KEPT):
        people.start(str(number), PICTURES, ())
    assert people.start("0", PICTURES, ()) == 0  # has been here just now
    assert people.start("new", PICTURES, ()) == 50  # in the place of 1
    assert people.start("0", PICTURES, ()) == 0
