"""What a person does in the studio, as the person sees it."""

import json
from urllib.parse import quote

import pytest

from benchmarks import studio_click
from ctran.labels import LabelSpace
from ctran.serving.annotations import Annotations
from ctran.serving.api import create_app
from ctran.serving.gallery import Entry, Gallery
from ctran.serving.settings import Settings
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.browser.conftest import SPACE, application, serving
from tests.conftest import TOY
from tests.serving.conftest import encoded


def row(page, name):
    return page.locator(f'.row[data-name="{name}"]')


def mark(page, name):
    return row(page, name).locator(".mark").inner_text()


def known_chips(page):
    return page.locator("#known .chip").all_inner_texts()


def expect_known(page, *chips):
    page.wait_for_function(
        "wanted => JSON.stringify([...document.querySelectorAll('#known .chip span')].map(e => e.textContent)) === wanted",
        arg=json.dumps(list(chips), separators=(",", ":")),
    )


def test_a_picture_is_open_and_its_labels_are_ranked(page):
    assert page.locator("#caption").inner_text() == "0.png"
    values = [float(v.strip("<> %")) for v in page.locator(".row .value").all_inner_texts()]
    assert len(values) == 7 and values == sorted(values, reverse=True)
    assert page.locator("#strip button").count() == 3
    assert page.locator("#strip button").first.get_attribute("aria-current") == "true"


def test_an_upload_is_predicted(page):
    before = page.locator("#picture").get_attribute("src")
    page.set_input_files("#file", {"name": "mine.png", "mimeType": "image/png", "buffer": encoded(seed=7)})
    page.wait_for_selector('#picture[alt="Picture mine.png"]')
    assert page.locator("#picture").get_attribute("src") != before
    page.wait_for_function("() => document.getElementById('picture').naturalWidth === 40")
    assert page.locator("#save").inner_text() == "Save"


def test_a_file_that_is_not_a_picture_is_refused_with_a_message(page):
    page.set_input_files("#file", {"name": "notes.png", "mimeType": "image/png", "buffer": b"not a picture"})
    page.wait_for_selector("#problem:not([hidden])")
    assert "not a picture" in page.locator("#problem").inner_text()
    row(page, "flag").click()
    expect_known(page, "flag")
    page.wait_for_selector("#problem", state="hidden")  # after the response; the chip is there before


def test_clicks_make_a_label_present_then_absent_then_unknown_and_bars_move(page):
    page.wait_for_selector(".row")
    row(page, "flag").click()
    expect_known(page, "flag")
    assert mark(page, "flag") == "✓" and row(page, "flag").get_attribute("aria-label").startswith("flag: yes")
    row(page, "flag").click()
    page.wait_for_selector("#known .chip.no")
    assert mark(page, "flag") == "✕"
    row(page, "flag").click()
    expect_known(page)
    assert mark(page, "flag") == ""


def test_what_moved_is_shown_with_its_direction(page):
    before = {r.get_attribute("data-name"): r.locator(".value").inner_text() for r in page.locator(".row").all()}
    row(page, "cat").click()
    page.wait_for_selector("#labels[aria-busy=false] .row.yes")
    for name in ("dog", "ship"):
        label = row(page, name).get_attribute("aria-label")
        assert "down" in label and before[name] not in label
        assert row(page, name).locator(".moved").inner_text().startswith("▼")


def test_an_exclusive_group_behaves_as_radios(page):
    row(page, "cat").click()
    expect_known(page, "cat")
    row(page, "dog").click()
    expect_known(page, "dog")
    assert mark(page, "cat") == ""
    row(page, "dog").click()
    expect_known(page)


def test_undo_and_clear(page):
    row(page, "flag").click()
    expect_known(page, "flag")
    row(page, "map").click()
    expect_known(page, "flag", "map")
    page.click("#undo")
    expect_known(page, "flag")
    page.click("#clear")
    expect_known(page)
    page.click("#undo")
    expect_known(page, "flag")
    page.click("#undo")
    expect_known(page)
    assert page.locator("#undo").is_disabled() and page.locator("#clear").is_disabled()


def test_a_click_on_a_chip_makes_its_label_unknown_again(page):
    row(page, "flag").click()
    expect_known(page, "flag")
    page.click("#known .chip")
    expect_known(page)


def test_ask_me_walks_through_questions(page):
    page.click("#ask")
    seen = []
    for number in range(3):
        page.wait_for_function("n => document.querySelectorAll('#known .chip').length === n", arg=number)
        page.wait_for_function(
            "seen => (text => text && !seen.includes(text))(document.getElementById('question-text').textContent)", arg=seen
        )
        seen.append(page.locator("#question-text").inner_text())
        page.wait_for_function("() => document.getElementById('question-why').textContent.includes('nats')")
        page.click("#answers button >> nth=0")
    page.wait_for_function("() => document.querySelectorAll('#known .chip').length === 3")
    assert len(set(seen)) == 3
    page.click("text=Stop asking")
    assert page.locator("#question").is_hidden()


def test_resting_on_a_label_shows_its_evidence_and_leaves_the_name_of_the_file(page):
    requests = []
    page.on("request", lambda request: "/heatmap/" in request.url and requests.append(request.url))
    row(page, "star").hover()
    row(page, "flag").hover()
    page.wait_for_selector("#heat:not([hidden])")
    assert len(requests) == 1 and requests[0].endswith("/heatmap/flag")  # passing over a label asks for nothing
    assert page.locator("#legend").inner_text() == page.locator("#heat").get_attribute("alt") == "Evidence for “flag”"
    assert page.locator("#caption").inner_text() == "0.png"
    page.hover("header")
    page.wait_for_selector("#heat", state="hidden")
    assert page.locator("#legend").is_hidden()


def test_the_key_for_evidence_is_about_the_label_with_the_focus_wherever_the_pointer_rests(page):
    first, second = page.locator(".row .name").all_inner_texts()[:2]
    row(page, second).hover()
    page.keyboard.press("l")  # nothing has the focus: the label below the pointer, without waiting
    page.wait_for_selector(f"#legend:not([hidden]):text-is('Evidence for “{second}”')")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("l")
    page.wait_for_selector(f"#legend:not([hidden]):text-is('Evidence for “{first}”')")
    page.keyboard.press("l")
    page.wait_for_selector("#heat", state="hidden")


def test_a_model_that_cannot_show_evidence_shows_nothing(browser, folder):
    flags = [*TOY, "--model.use_image", "false"]
    app = create_app(build_tagger(read_recipe(None, flags), SPACE), Settings(), gallery=Gallery.of_folder(Annotations(folder)))
    with serving(app) as (address, _):
        page = browser.new_page()
        requests = []
        page.on("request", lambda request: "/heatmap/" in request.url and requests.append(request.url))
        page.goto(address)
        page.wait_for_selector(".row")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("l")
        page.keyboard.press("?")
        assert page.locator("#help").is_visible() and page.locator("#key-evidence").is_hidden()
        assert page.locator("#heat").is_hidden() and page.locator("#problem").is_hidden() and not requests
        page.close()


def test_saving_writes_the_row_and_goes_on(page, studio):
    row(page, "flag").click()
    expect_known(page, "flag")
    row(page, "map").click()
    row(page, "map").click()
    page.wait_for_selector("#known .chip.no")
    page.click("#save")
    page.wait_for_function("() => document.getElementById('caption').textContent === '1.png'")
    expect_known(page)
    (saved,) = map(json.loads, (studio[2] / "metadata.jsonl").read_text().splitlines())
    assert saved == {"file_name": "0.png", "labels": ["flag"], "negatives": ["map"]}
    assert "saved" in page.locator("#strip button").first.get_attribute("class")
    page.locator("#strip button").first.click()
    expect_known(page, "flag", "map")


@pytest.mark.parametrize("folder", [250], indirect=True)
def test_a_long_strip_grows_as_it_is_scrolled(page):
    assert page.locator("#strip button").count() == 200
    page.locator("#strip button").last.scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelectorAll('#strip button').length === 250")
    page.locator("#strip button").last.click()
    page.wait_for_function("() => document.getElementById('caption').textContent === '99.png'")  # the last by name


@pytest.mark.parametrize("folder", [250], indirect=True)
def test_a_folder_is_gone_on_with_where_it_was_left(folder, browser):
    rows = [{"file_name": f"{n}.png", "labels": ["flag"], "negatives": []} for n in range(250) if n != 99]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serving(application(folder)) as (address, _):
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector(".row")
        assert page.locator("#caption").inner_text() == "99.png"
        assert page.locator("#strip button.saved").count() == page.locator("#strip button").count() - 1
        page.close()


def test_leaving_unsaved_labels_needs_confirmation(page):
    row(page, "flag").click()
    expect_known(page, "flag")
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.locator("#strip button").nth(1).click()
    expect_known(page, "flag")
    assert "not saved" in asked[0] and page.locator("#caption").inner_text() == "0.png"


def test_everything_works_from_the_keyboard(page):
    press = page.keyboard.press
    press("ArrowDown")
    first = page.evaluate("document.activeElement.dataset.name")
    press("y")
    expect_known(page, first)
    press("ArrowDown")
    second = page.evaluate("document.activeElement.dataset.name")
    assert second != first
    press("n")
    expect_known(page, first, second)
    press("u")
    expect_known(page, first)
    press("z")
    expect_known(page, first, second)
    press("l")
    page.wait_for_selector("#heat:not([hidden])")
    press("Escape")
    page.wait_for_selector("#heat", state="hidden")
    press("/")
    page.keyboard.type("tr")
    assert page.locator(".row .name").all_inner_texts() == ["tree"]
    press("Escape")
    assert page.locator(".row").count() == 7
    press("a")
    page.wait_for_selector("#question:not([hidden])")
    press("a")
    page.wait_for_selector("#question", state="hidden")
    press("?")
    assert page.locator("#help").is_visible()
    press("Escape")
    assert page.locator("#help").is_hidden()
    press("s")
    page.wait_for_function("() => document.getElementById('caption').textContent === '1.png'")
    press("ArrowLeft")
    page.wait_for_function("() => document.getElementById('caption').textContent === '0.png'")
    expect_known(page, first, second)


def test_a_focused_row_answers_to_space(page):
    page.keyboard.press("ArrowDown")
    name = page.evaluate("document.activeElement.dataset.name")
    page.keyboard.press("Space")
    expect_known(page, name)


def test_the_copy_is_the_annotation(page):
    row(page, "flag").click()
    expect_known(page, "flag")
    page.click("#copy")
    page.wait_for_selector("#status.shown")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied["file_name"] == "0.png" and copied["labels"] == ["flag"] and set(copied["probabilities"]) >= {"map", "tree"}


def test_search_finds_and_says_when_it_does_not(page):
    page.fill("#search", "ma")
    assert page.locator(".row .name").all_inner_texts() == ["map"]
    page.fill("#search", "zebra")
    assert page.locator("#empty").inner_text() == "No label contains “zebra”."


def test_a_server_that_is_gone_is_reported_and_no_known_label_is_lost(page, studio):
    row(page, "flag").click()
    expect_known(page, "flag")
    studio[1]()
    row(page, "map").click()
    page.wait_for_selector("#problem:not([hidden])")
    assert "server does not respond" in page.locator("#problem").inner_text()
    expect_known(page, "flag", "map")  # what was said stays, and goes along with the next answer


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_and_nothing_overflows(page, width, height, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": height})
    row(page, "flag").click()
    expect_known(page, "flag")
    page.click("#ask")
    page.wait_for_selector("#answers button")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ratios = page.evaluate(CONTRAST)
    assert ratios and not {k: v for k, v in ratios.items() if v < 4.5}


CONTRAST = """() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number)
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * (top[3] ?? 1) + below[i] * (1 - (top[3] ?? 1)))
  const light = (c) => {
    const [r, g, b] = c.map((v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const found = {}
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement
    if (!walk.currentNode.textContent.trim() || !element.checkVisibility({ opacityProperty: true })) continue
    if (element.closest(':disabled, dialog, .unseen, .skip, #status')) continue
    const chain = []
    for (let e = element; e; e = e.parentElement) chain.unshift(parse(getComputedStyle(e).backgroundColor))
    let ground = chain.reduce((below, top) => over(top, below), [255, 255, 255])
    const bar = element.closest('.row')?.querySelector('.fill')
    const grounds = [ground, ...(bar ? [over(parse(getComputedStyle(bar).backgroundColor), ground)] : [])]
    for (const under of grounds) {
      const [a, b] = [light(over(parse(getComputedStyle(element).color), under)), light(under)].sort((x, y) => y - x)
      const key = `${element.id || element.className || element.tagName}: ${walk.currentNode.textContent.trim().slice(0, 20)}`
      found[key] = Math.min(found[key] ?? 99, (a + 0.05) / (b + 0.05))
    }
  }
  return found
}"""


def test_two_thousand_labels_stay_smooth(browser):
    labels = LabelSpace(tuple(f"label {n}" for n in range(2000)))
    tagger = build_tagger(read_recipe(None, TOY), labels)
    app = create_app(tagger, gallery=Gallery([Entry("noise", encoded)]))
    with serving(app) as (address, _):
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector(".row")
        assert page.locator(".row").count() < 60  # only rows in sight exist
        page.evaluate("document.getElementById('labels').scrollTop = 34 * 1000")
        page.wait_for_function("() => [...document.querySelectorAll('.row')].some(r => parseInt(r.style.top) === 34 * 1000)")
        assert page.locator(".row").count() < 60
        page.fill("#search", "1999")
        assert page.locator(".row .name").all_inner_texts() == ["label 1999"]
        assert page.locator("#save").is_hidden()
        page.close()


def test_a_click_is_timed_until_the_bars_have_come_to_rest(page):
    times = studio_click.clicks(page, 3)
    assert all(0 < a < b < c for a, b, c in zip(*times.values(), strict=True))
    result = {"clicks": times, "many": times, "scroll": page.evaluate(studio_click.SCROLL, 5), "search": [0.01]}
    assert len(result["scroll"]) == 5 and page.evaluate(studio_click.SEARCH, "cat") > 0
    assert "at most 100 ms" in studio_click.table(result)


def slowly(page, path, milliseconds=400):
    """Answers from this path come late."""

    def late(route):
        page.wait_for_timeout(milliseconds)
        route.continue_()

    page.route(path, late)


def test_labels_set_in_quick_succession_add_up_and_are_undone_one_by_one(page):
    slowly(page, "**/predict", 100)
    page.evaluate("for (const n of ['flag', 'map', 'tree']) document.querySelector(`.row[data-name=${n}]`).click()")
    expect_known(page, "flag", "map", "tree")
    page.wait_for_function("() => !document.querySelector('.row.yes .moved').textContent")
    page.keyboard.press("z")
    page.keyboard.press("z")
    expect_known(page, "flag")


def test_labels_are_saved_before_the_model_has_predicted(page, studio):
    slowly(page, "**/predict")
    row(page, "flag").click()
    page.keyboard.press("s")
    page.wait_for_function("() => document.getElementById('caption').textContent === '1.png'")
    (saved,) = map(json.loads, (studio[2] / "metadata.jsonl").read_text().splitlines())
    assert saved == {"file_name": "0.png", "labels": ["flag"], "negatives": []}
    expect_known(page)


def test_a_late_response_stays_with_its_own_picture(page, studio):
    slowly(page, "**/predict")
    row(page, "flag").click()
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.getElementById('caption').textContent === '1.png'")
    page.wait_for_timeout(800)
    expect_known(page)
    assert "not saved" in asked[0]
    page.keyboard.press("s")
    page.wait_for_function("() => document.getElementById('caption').textContent === '2.png'")
    assert "flag" not in (studio[2] / "metadata.jsonl").read_text()


def test_a_broken_picture_can_be_passed_by(page, studio):
    (studio[2] / "1.png").write_bytes(b"no picture")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.locator("#caption").inner_text() == "1.png cannot be shown." and page.locator("#panel").is_hidden()
    for key in ("y", "s", "c", "l", "ArrowDown"):
        page.keyboard.press(key)  # say nothing of it
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.getElementById('caption').textContent === '2.png'")
    assert page.locator("#problem").is_hidden() and page.locator("#panel").is_visible()
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#problem:not([hidden])")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => document.getElementById('caption').textContent === '0.png'")


def test_a_bad_drop_leaves_what_was_open_as_it_was(page):
    slowly(page, "**/predict", 300)
    page.on("dialog", lambda dialog: dialog.accept())
    row(page, "flag").click()
    page.set_input_files("#file", {"name": "notes.png", "mimeType": "image/png", "buffer": b"not a picture"})
    page.wait_for_selector("#problem:not([hidden])")
    page.wait_for_selector("#labels[aria-busy=false]")
    expect_known(page, "flag")
    row(page, "map").click()
    page.wait_for_selector("#labels[aria-busy=false]")
    expect_known(page, "flag", "map")
    page.hover("header")
    page.wait_for_function("() => document.getElementById('caption').textContent === '0.png'")


def test_a_picture_that_failed_can_be_tried_again(page, studio):
    (studio[2] / "1.png").write_bytes(b"no picture")
    page.locator("#strip button").nth(1).click()
    page.wait_for_selector("#problem:not([hidden])")
    (studio[2] / "1.png").write_bytes(encoded())
    page.locator("#strip button").nth(1).click()
    page.wait_for_function("() => document.getElementById('caption').textContent === '1.png'")


def test_labels_may_have_any_name(browser):
    names = ("10", "2", "constructor", "__proto__", "toString", "c, d", '"quoted"')
    app = create_app(build_tagger(read_recipe(None, TOY), LabelSpace(names)), gallery=Gallery([Entry("noise", encoded)]))
    with serving(app) as (address, _):
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector(".row")
        shown = page.locator(".row").evaluate_all(
            "rows => rows.sort((a, b) => parseInt(a.style.top) - parseInt(b.style.top))"
            ".map(r => [r.dataset.name, r.lastChild.textContent])"
        )
        assert {name for name, _ in shown} == set(names)
        assert [int(p.strip("<> %")) for _, p in shown] == sorted((int(p.strip("<> %")) for _, p in shown), reverse=True)
        for name in names:
            page.evaluate("name => [...document.querySelectorAll('.row')].find(r => r.dataset.name === name).click()", name)
        expect_known(page, *names)
        page.wait_for_function("() => document.querySelectorAll('.row.yes').length === 7")
        assert page.locator("#problem").is_hidden()
        page.close()


def test_a_token_is_asked_for_or_comes_with_the_address(browser):
    token = "a+b&c%41"
    app = create_app(build_tagger(read_recipe(None, TOY), SPACE), Settings(token=token), gallery=Gallery([Entry("x", encoded)]))
    with serving(app) as (address, _):
        for way in ("asked", "given"):
            page = browser.new_page()
            page.goto(address if way == "asked" else f"{address}/#token={quote(token, safe='')}")
            if way == "asked":
                page.fill("#token-text", "wrong")
                page.keyboard.press("Enter")
                page.wait_for_selector("#token-text")
                page.fill("#token-text", token)
                page.click("#token button")
            page.wait_for_selector(".row")
            assert "token" not in page.url
            page.close()
