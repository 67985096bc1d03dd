"""Pictures of the studio for README and docs: ``docs/images/studio.png`` and ``studio-dark.png``.

    .venv/bin/python scripts/screenshots.py [RUN]

Serves the model (default: ``models/openclipart``) and drives Debian's chromium; looks at the same picture every time.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "images"
PORT = 8765
SCHEMES: dict[str, Literal["light", "dark"]] = {"studio": "light", "studio-dark": "dark"}


def pose(page: Page) -> None:
    """A drawing with many labels, one answer given, one question asked."""
    page.goto(f"http://127.0.0.1:{PORT}")
    page.wait_for_selector(".row")
    page.locator("#strip button").nth(3).click()
    page.wait_for_function("() => document.querySelector('#strip button:nth-child(4)').getAttribute('aria-current') === 'true'")
    page.locator('.row[data-name="people"]').click()
    page.wait_for_selector("#known .chip")
    page.click("#ask")
    page.wait_for_selector("#answers button")
    page.locator('.row[data-name="sports"]').hover()
    page.wait_for_selector("#heat:not([hidden])")
    page.wait_for_timeout(600)  # bars come to rest


def main() -> None:
    run = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "models" / "openclipart"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ctran", "serve", str(run), "--port", str(PORT), "--save", folder]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr is not None
            while "serving" not in (line := server.stderr.readline()):
                if not line:
                    sys.exit("the server did not start")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                for name, scheme in SCHEMES.items():
                    page = browser.new_page(viewport={"width": 1240, "height": 820}, color_scheme=scheme)
                    pose(page)
                    page.screenshot(path=OUT / f"{name}.png")
                browser.close()
        finally:
            server.terminate()
            server.wait(20)


if __name__ == "__main__":
    main()
