"""The studio below a path of a proxy, with other keyboards, many files at once, and pictures that cannot be opened."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.browser.conftest import application, serving
from tests.browser.test_studio import expect_known, row
from tests.browser.test_together import answer, caption, saved
from tests.serving.conftest import encoded


class Proxy(BaseHTTPRequestHandler):
    """Passes on what is below /ctran/, as nginx does with ``location /ctran/ { proxy_pass http://server/; }``."""

    protocol_version = "HTTP/1.1"

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.startswith("/ctran/"):
            self.server.strayed.append(self.path)
            self.reply(404, {}, b"")
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        upstream.request(self.command, self.path.removeprefix("/ctran"), body, headers)
        response = upstream.getresponse()
        self.reply(response.status, dict(response.getheaders()), response.read())
        upstream.close()

    def reply(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = pass_on

    def log_message(self, *args):
        pass


@pytest.fixture
def proxy(studio):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.upstream, server.strayed = int(studio[0].rpartition(":")[2]), []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(20)


def new_page(browser, address):
    page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
    page.set_default_timeout(15_000)
    page.goto(address)
    return page


def test_the_studio_and_the_pages_about_the_api_work_below_a_path_of_a_proxy(browser, studio, proxy):
    page = new_page(browser, f"http://127.0.0.1:{proxy.server_port}/ctran/")
    page.wait_for_selector(".row")
    assert page.evaluate("() => getComputedStyle(document.querySelector('main')).display") == "grid"
    answer(page, "flag")
    page.wait_for_function("() => [...document.querySelectorAll('#strip img')].every(each => each.naturalWidth)")
    page.click("#save")
    caption(page, "1.png")
    assert saved(studio[2]) == ({"flag"}, set())
    page.click("text=API")
    page.wait_for_selector(".opblock")
    operation = page.locator(".opblock", has=page.locator('[data-path="/v1/model"]'))
    operation.locator("button.opblock-summary-control").click()
    operation.locator("button.try-out__btn").click()
    operation.locator("button.execute").click()
    operation.locator(".live-responses-table .response-col_status", has_text="200").wait_for()
    page.goto(f"http://127.0.0.1:{proxy.server_port}/ctran/redoc")
    page.get_by_text("upkeep").first.wait_for()
    assert proxy.strayed == []
    page.context.close()


def press(page, key, code, **more):
    page.evaluate(
        "given => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', given))",
        {"key": key, "code": code, "bubbles": True, "cancelable": True, **more},
    )


@pytest.mark.parametrize(
    "keys",
    [
        {"y": ("y", "KeyZ"), "z": ("z", "KeyY"), "/": ("/", "Digit7"), "a": ("a", "KeyQ")},  # German, French: as printed
        {"y": ("н", "KeyY"), "z": ("я", "KeyZ"), "/": ("/", "Backslash"), "a": ("ф", "KeyA")},  # Russian: by place
        {"y": ("υ", "KeyY"), "z": ("Ζ", "KeyZ"), "/": ("/", "Slash"), "a": ("Α", "KeyA")},  # Greek, with caps lock
        {
            "y": ("Process", "KeyY"),
            "z": ("Process", "KeyZ"),
            "/": ("ظ", "Slash"),
            "a": ("Dead", "KeyA"),
        },  # input methods, Arabic
        {"y": ("Y", "KeyY"), "z": ("Z", "KeyZ"), "/": ("/", "KeyQ"), "a": ("A", "KeyA")},  # caps lock, Hebrew
    ],
)
def test_keys_work_in_every_layout_of_the_keyboard(page, keys):
    page.keyboard.press("ArrowDown")
    name = page.evaluate("() => document.activeElement.dataset.name")
    press(page, *keys["y"])
    expect_known(page, name)
    press(page, "q", "KeyA")  # where a French keyboard has Q: nothing
    press(page, "w", "KeyZ")
    expect_known(page, name)
    press(page, *keys["z"])
    expect_known(page)
    press(page, *keys["a"])
    page.wait_for_selector("#question:not([hidden])")
    press(page, *keys["/"])
    assert page.evaluate("() => document.activeElement.id") == "search"


def files(*contents):
    return [{"name": name, "mimeType": "image/png", "buffer": content} for name, content in contents]


def test_several_pictures_are_opened_one_after_the_other_and_those_that_are_none_are_named(page, studio):
    page.set_input_files("#file", files(("x.png", encoded(seed=7)), ("bad.png", b"no"), ("y.png", encoded(seed=8))))
    caption(page, "x.png")
    assert page.locator("#place").inner_text() == "1 of 3" and page.locator("#save").inner_text() == "Save and next"
    answer(page, "flag")
    page.click("#save")
    caption(page, "y.png")
    page.wait_for_selector("#problem:not([hidden])")
    assert "bad.png: not a picture" in page.locator("#problem").inner_text()
    assert page.locator("#place").inner_text() == "3 of 3" and page.locator("#save").inner_text() == "Save"
    assert len((studio[2] / "metadata.jsonl").read_text().splitlines()) == 1
    page.keyboard.press("ArrowRight")
    caption(page, "0.png")
    assert page.locator("#place").inner_text() == ""


def test_dropped_pictures_are_all_opened(page):
    page.evaluate(
        """async () => {
          const data = new DataTransfer()
          for (const side of [20, 30, 40]) {
            const canvas = new OffscreenCanvas(side, side)
            canvas.getContext('2d').fillRect(0, 0, 5, side)
            data.items.add(new File([await canvas.convertToBlob()], `${side}.png`, { type: 'image/png' }))
          }
          document.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }))
        }"""
    )
    for number, name in enumerate(("20.png", "30.png", "40.png"), start=1):
        caption(page, name)
        assert page.locator("#place").inner_text() == f"{number} of 3"
        page.keyboard.press("ArrowRight" if number < 3 else "ArrowLeft")
    caption(page, "30.png")


def test_the_studio_passes_by_pictures_that_cannot_be_opened_and_marks_them(browser, folder):
    (folder / "0.png").write_bytes(encoded()[:200])
    (folder / "raw.jxl").write_bytes(b"\xff\x0a" + bytes(30))
    with serving(application(folder)) as (address, _):
        page = new_page(browser, address)
        caption(page, "1.png")
        page.wait_for_selector("#problem:not([hidden])")
        assert "0.png: broken picture" in page.locator("#problem").inner_text()
        page.wait_for_selector("#strip button.broken")
        first = page.locator("#strip button").first
        assert "cannot be shown" in first.get_attribute("aria-label")
        assert "⚠" in first.evaluate("each => getComputedStyle(each, '::before').content")
        assert "JPEG XL" in page.locator("#notes").inner_text()
        answer(page, "flag")
        page.click("#save")
        caption(page, "2.png")
        assert saved(folder, "1.png") == ({"flag"}, set())
        page.context.close()


def test_a_folder_without_a_picture_is_called_empty(browser, tmp_path):
    with serving(application(tmp_path)) as (address, _):
        page = new_page(browser, address)
        page.wait_for_selector("#notes:not([hidden])")
        assert "holds no picture" in page.locator("#notes").inner_text()
        page.context.close()


def test_all_tools_stand_in_one_line_on_a_telephone(browser, studio):
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    page.goto(studio[0])
    page.wait_for_selector(".row")
    tops = page.evaluate(
        "() => [...document.querySelectorAll('.tools > *')].map(each => Math.round(each.getBoundingClientRect().bottom))"
    )
    assert max(tops) - min(tops) < 6
    row(page, "flag").click()
    expect_known(page, "flag")
    page.context.close()
