"""Two windows on one folder, as two people see them."""

import json

import pytest

from tests.browser.test_studio import expect_known, row
from tests.serving.conftest import encoded


@pytest.fixture
def windows(browser, studio):
    """Two people, both at the first picture."""
    contexts = [browser.new_context(viewport={"width": 1280, "height": 860}) for _ in range(2)]
    pages, errors = [context.new_page() for context in contexts], []
    for page in pages:
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(studio[0])
        page.wait_for_selector(".row")
    pages[1].locator("#strip button").first.click()  # the second person begins elsewhere
    for page in pages:
        caption(page, "0.png")
        page.wait_for_selector("#labels[aria-busy=false]")
    yield pages
    for context in contexts:
        context.close()
    assert not errors


def answer(page, *names):
    for name in names:
        row(page, name).click()
    page.wait_for_selector("#labels[aria-busy=false]")


def caption(page, name):
    page.wait_for_function("name => document.getElementById('caption').textContent === name", arg=name)


def saved(folder, name="0.png"):
    rows = map(json.loads, (folder / "metadata.jsonl").read_text().splitlines())
    return next((set(each["labels"]), set(each["negatives"])) for each in rows if each["file_name"] == name)


def test_two_people_begin_at_different_pictures_and_each_at_the_same_one_again(browser, studio):
    contexts = [browser.new_context() for _ in range(2)]
    pages = [context.new_page() for context in contexts]
    for name, page in zip(("0.png", "1.png"), pages, strict=True):
        for _ in range(2):
            page.goto(studio[0])
            caption(page, name)
    for context in contexts:
        context.close()


def test_both_keep_what_they_saved_of_one_picture(windows, studio):
    one, other = windows
    answer(one, "flag")
    answer(other, "map")
    for page in windows:
        page.click("#save")
        caption(page, "1.png")
    assert saved(studio[2]) == ({"flag", "map"}, set())
    assert "another user" in other.locator("#status").inner_text()
    assert "another user" not in one.locator("#status").inner_text()


@pytest.mark.parametrize(("keep", "expected"), [("yours", {"dog", "star", "flag"}), ("saved", {"cat", "star", "flag"})])
def test_a_contradiction_is_shown_with_both_sides_and_one_of_them_is_chosen(windows, studio, keep, expected):
    one, other = windows
    answer(one, "cat", "flag")
    answer(other, "dog", "star")
    one.click("#save")
    caption(one, "1.png")
    other.click("#save")
    other.wait_for_selector("#conflict[open]")
    shown = other.locator("#conflict fieldset label").all_inner_texts()
    assert [text.split() for text in shown] == [["You", "dog:", "yes"], ["Another", "user", "cat:", "yes"]]
    other.locator("#conflict .main").click()  # nothing is chosen yet
    assert other.locator("#conflict").get_attribute("open") is not None
    assert saved(studio[2])[0] == {"cat", "flag"}
    other.locator(f"#conflict input[value={keep}]").check()
    other.locator("#conflict .main").click()
    caption(other, "1.png")
    assert saved(studio[2])[0] == expected


def test_a_conflict_that_is_put_off_leaves_everything_as_it_was(windows, studio):
    one, other = windows
    answer(one, "cat")
    answer(other, "dog")
    one.click("#save")
    caption(one, "1.png")
    other.keyboard.press("s")
    other.wait_for_selector("#conflict[open]")
    other.keyboard.press("s")  # keys are not the page's while a choice is open
    other.keyboard.press("Escape")
    other.wait_for_selector("#conflict:not([open])", state="attached")
    expect_known(other, "dog")
    assert saved(studio[2])[0] == {"cat"} and other.locator("#caption").inner_text() == "0.png"


def test_an_upload_shows_what_others_saved_of_it_and_a_label_taken_back_goes(windows, studio):
    one, other = windows
    upload = {"name": "mine.png", "mimeType": "image/png", "buffer": encoded(seed=9)}
    one.set_input_files("#file", upload)
    caption(one, "mine.png")
    answer(one, "flag", "map")
    one.click("#save")
    one.wait_for_selector("#status.shown")
    other.set_input_files("#file", upload)
    expect_known(other, "flag", "map")
    other.locator("#known .chip").first.click()
    expect_known(other, "map")
    answer(one, "star")
    other.click("#save")
    other.wait_for_selector("#status.shown")
    one.click("#save")
    expect_known(one, "map", "star")
    names = [json.loads(line)["file_name"] for line in (studio[2] / "metadata.jsonl").read_text().splitlines()]
    assert len(names) == 1 and saved(studio[2], names[0]) == ({"map", "star"}, set())
