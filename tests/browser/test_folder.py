"""From a folder without a label to predictions on a new picture, as a person sees it."""

import json
import re

import pytest

from ctran.labelling.studio import Studio
from ctran.serving.folder_api import create_folder_app
from tests.browser.conftest import serving
from tests.conftest import draw
from tests.serving.test_folder_api import SMALL, colours_of, wait_for

PICTURES = 20


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(PICTURES):
        draw(root / f"{number:02}.png", colours_of(number), note=str(number))
    return root


@pytest.fixture
def studio(photos, tmp_path):
    opened = Studio(photos, tmp_path / "run", flags=SMALL)
    with serving(create_folder_app(opened)) as (address, _):
        yield address
    opened.close()


@pytest.fixture
def opened(browser, studio):
    """Opens windows of the studio; fails on any error in one."""
    contexts, errors = [], []

    def open_():
        context = browser.new_context(viewport={"width": 1280, "height": 860})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(studio)
        page.wait_for_selector("#panel:not([inert])")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not errors


def caption(page):
    return page.locator("#caption").inner_text()


def row(page, name):
    return page.locator(f'.row[data-name="{name}"]')


def expect_chips(page, *names):
    shown = "JSON.stringify([...document.querySelectorAll('#known .chip span')].map(e => e.textContent).sort())"
    page.wait_for_function(f"wanted => {shown} === wanted", arg=json.dumps(sorted(names), separators=(",", ":")))


def go_on(page):
    before = caption(page)
    page.keyboard.press("s")
    page.wait_for_function("before => document.getElementById('caption').textContent !== before", arg=before)
    page.wait_for_selector("#panel:not([inert])")


def stored(photos):
    return {row["file_name"]: row for row in map(json.loads, (photos / "metadata.jsonl").read_text().splitlines())}


def test_from_an_unlabelled_folder_to_predictions_on_a_new_picture(opened, photos):
    page = opened()
    assert "No labels yet" in page.locator("#hint").inner_text() and page.locator("#ask").is_hidden()
    page.click("#settings-open")
    page.check("#others-absent")
    page.wait_for_function("() => document.getElementById('next').textContent.startsWith('Others absent')")
    page.keyboard.press("Escape")
    for _ in range(15):  # typed and ticked by the keyboard alone
        present = colours_of(int(caption(page)[:2]))
        for name in present:
            page.keyboard.press("/")
            page.keyboard.type(name)
            page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        expect_chips(page, *present)
        go_on(page)
    page.keyboard.press("l")
    page.wait_for_selector("#learn:disabled")
    page.wait_for_function("() => document.getElementById('learn').textContent === 'Learn again'", timeout=300_000)
    assert caption(page) == "15.png"
    page.wait_for_function("() => [...document.querySelectorAll('.row .value')].every(e => e.textContent.includes('%'))")
    rows = page.locator(".row").evaluate_all("rows => rows.map(row => [parseInt(row.style.top), row.lastChild.textContent])")
    values = [float(re.sub(r"[<>% ]", "", text)) for _, text in sorted(rows)]  # as they are seen; elements keep their order
    assert len(values) == 3 and values == sorted(values, reverse=True)
    page.keyboard.press("a")
    page.wait_for_selector("#answers button")
    asked = re.search("“(.*)”", page.locator("#question-text").inner_text())[1]
    page.click("#answers >> text=Yes")
    expect_chips(page, asked)
    page.keyboard.press("a")

    first = caption(page)
    page.wait_for_function("() => document.querySelectorAll('#known .chip').length === 1")
    shown = page.locator(".row.present").evaluate_all("rows => rows.map(row => row.dataset.name).sort()")
    page.keyboard.press("c")  # as predicted, and the next picture
    page.wait_for_function("before => document.getElementById('caption').textContent !== before", arg=first)
    page.wait_for_selector("#panel:not([inert])")
    wait_for(lambda: not page.evaluate("fetch('v1/folder').then(response => response.json())")["unsaved"])
    confirmed = stored(photos)[first]
    assert sorted(confirmed["labels"]) == sorted({asked, *shown}) and len(confirmed["labels"] + confirmed["negatives"]) == 3

    page.keyboard.press("g")
    page.select_option("#grid-label", "red")
    page.wait_for_function("() => document.querySelectorAll('#cells button').length >= 4")
    cells = page.locator("#cells button")
    cells.nth(0).click()
    cells.nth(2).click(modifiers=["Shift"])
    assert page.locator("#chosen").inner_text() == "3 chosen"
    page.keyboard.press("y")
    page.wait_for_function("() => document.getElementById('undo').title.includes('in 3 pictures')")
    page.keyboard.press("z")
    page.wait_for_function("() => !document.getElementById('undo').title.includes('in 3 pictures')")
    cells.nth(1).click()
    chosen = int(cells.nth(1).get_attribute("data-number"))
    page.click("#grid-no")
    page.wait_for_function(
        "n => ![...document.querySelectorAll('#cells button')].some(b => b.dataset.number === n)", arg=str(chosen)
    )
    page.keyboard.press("Escape")
    page.wait_for_selector("#panel:not([inert])")
    wait_for(lambda: not page.evaluate("fetch('v1/folder').then(response => response.json())")["unsaved"])
    rows = stored(photos)
    assert "red" in rows[f"{chosen:02}.png"]["negatives"]
    for number in range(1, 15):
        assert sorted(rows[f"{number:02}.png"]["labels"]) == sorted(colours_of(number))
    for number in range(5, 15):  # all three labels were there when these were confirmed
        assert len(rows[f"{number:02}.png"]["labels"] + rows[f"{number:02}.png"]["negatives"]) == 3


def test_a_label_is_renamed_merged_deleted_and_all_of_it_is_undone(opened):
    page = opened()
    for name in ("red", "crimson", "sea"):
        page.fill("#type", name)
        page.press("#type", "Enter")
    expect_chips(page, "red", "crimson", "sea")
    page.press("#type", "Escape")
    row(page, "sea").focus()
    page.keyboard.press("e")
    page.fill("#edit-to", "ocean")
    page.click("#edit-rename")
    page.wait_for_function("() => document.getElementById('edit-name').value === 'ocean'")
    page.select_option("#edit-name", "crimson")
    page.select_option("#edit-into", "red")
    page.click("#edit-merge")
    page.wait_for_function("() => document.getElementById('edit-name').options.length === 2")
    page.select_option("#edit-name", "ocean")
    page.fill("#edit-to", "Red")
    page.click("#edit-rename")
    page.wait_for_selector("#edit-problem:not([hidden])")
    assert "there is a label 'red' already" in page.locator("#edit-problem").inner_text()
    page.click("#edit-delete")
    page.wait_for_function("() => document.getElementById('edit-name').options.length === 1")
    page.keyboard.press("Escape")
    expect_chips(page, "red")
    for chips in (["red", "ocean"], ["red", "crimson", "ocean"], ["red", "crimson", "sea"], ["red", "crimson"]):
        page.keyboard.press("z")
        expect_chips(page, *chips)


def test_two_windows_see_each_others_labels_and_choose_where_they_contradict(opened):
    one, two = opened(), opened()
    one.fill("#type", "red")
    one.press("#type", "Enter")
    expect_chips(two, "red")  # by itself
    two.route("**/v1/folder?window=*", lambda route: route.abort())  # it sees no more of the other
    one.press("#type", "Escape")
    row(one, "red").click()  # absent
    wait_for(lambda: one.evaluate("fetch('v1/folder/pictures/0').then(r => r.json())")["known"] == {"red": False})
    row(two, "red").focus()
    two.keyboard.press("u")
    two.wait_for_selector("#conflict[open]")
    assert "red: unknown" in two.locator(".conflicts").inner_text() and "red: no" in two.locator(".conflicts").inner_text()
    two.unroute_all(behavior="ignoreErrors")
    two.check("input[value=saved]")
    two.click("#conflict >> text=Keep these")
    two.wait_for_selector('.row.no[data-name="red"]')


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_nothing_overflows(opened, width, height):
    page = opened()
    page.set_viewport_size({"width": width, "height": height})
    page.fill("#type", "a label with a long name that says much more than is needed " * 3)
    page.press("#type", "Enter")
    page.wait_for_selector("#known .chip")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
