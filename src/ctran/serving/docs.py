"""Documentation of the API, ``/docs`` and ``/redoc``: works offline, and below any path that a proxy gives the server."""

import base64
import hashlib
import re
from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

FILES = "static-offline-docs"
_FAVICON = "static/icon.svg"


def add(app: FastAPI) -> None:
    """Add both pages, and the files that they need."""
    swagger = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="ctran: API",
        swagger_js_url=f"{FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{FILES}/swagger-ui.css",
        swagger_favicon_url=_FAVICON,
        oauth2_redirect_url=None,
    )
    redoc = get_redoc_html(
        openapi_url="openapi.json",
        title="ctran: API",
        redoc_js_url=f"{FILES}/redoc.standalone.js",
        redoc_favicon_url=_FAVICON,
        with_google_fonts=False,
    )
    for path, page in (("/docs", swagger), ("/redoc", redoc)):
        page.headers["Content-Security-Policy"] = _policy(bytes(page.body).decode())
        app.add_api_route(path, _constant(page), methods=["GET", "HEAD"], include_in_schema=False)
    app.mount(f"/{FILES}", StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static"), name=FILES)


def _constant(page: HTMLResponse):
    async def show() -> HTMLResponse:
        return page

    return show


def _policy(text: str) -> str:
    """Content security policy: scripts of this server, and those inline in the page."""
    inline = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = "".join(f" 'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in inline)
    return (
        f"default-src 'self'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
