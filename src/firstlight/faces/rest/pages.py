"""The web pages: built files, or a page that says how to build them."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

NOT_BUILT = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>firstlight</title></head>
<body style="font-family: sans-serif; max-width: 40rem; margin: 4rem auto; line-height: 1.5">
<h1>firstlight</h1><p>The service runs, but its web pages were not built.</p>
<p>In a clone of the repository: <code>make install</code> builds them (or <code>pip install .</code>, which does the same).</p>
<p>Programs can use it already: <a href="/api/v1/runs">/api/v1/runs</a>,
<a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p></body></html>"""


class _Pages(StaticFiles):
    """Files; paths that are none get the page itself, which knows what they mean."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or index.html."""
        if scope["path"].startswith("/api/"):
            raise HTTPException(404)
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404:
                raise
            response = await super().get_response("index.html", scope)
        # names of assets carry a hash of their content, the page itself does not
        kept = "public, max-age=31536000, immutable" if path.startswith("assets/") else "no-cache"
        response.headers["cache-control"] = kept
        return response


def add_pages(app: FastAPI, folder: Path) -> None:
    """Serve the built pages at the root."""
    if (folder / "index.html").is_file():
        app.mount("/", _Pages(directory=folder, html=True), name="pages")
        return

    @app.get("/{path:path}", include_in_schema=False)
    def not_built(path: str) -> HTMLResponse:
        if path.startswith("api/"):
            raise HTTPException(404)
        return HTMLResponse(NOT_BUILT)
