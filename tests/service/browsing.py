"""A real browser over a real service: where it is, and what is read of a page in it."""

import shutil
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn

from polymnia.service.app import create_app
from polymnia.service.server import options
from polymnia.service.settings import ServiceSettings

OPTIONS = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]

CONTRASTS = """() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const light = (colour) => {
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = colour.slice(0, 3).map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!(own || element.matches("input, select")) || !element.checkVisibility()) continue;
    const words = element.placeholder && !element.value ? "::placeholder" : null;
    const ink = rgba(getComputedStyle(element, words).color);
    const [one, other] = [light(ink), light(behind(element))].sort((a, b) => b - a);
    found.push([(one + 0.05) / (other + 0.05), `${element.tagName}: ${element.textContent.slice(0, 40)}`]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}"""
"""Of every visible text: its contrast to what is behind it, as WCAG 2.2 reckons, the least first."""

UNNAMED = """() => [...document.querySelectorAll("input, select, button, audio, video, img, [role=region]")]
  .filter((each) => each.checkVisibility())
  .filter((each) => !(each.ariaLabel || each.alt || each.getAttribute("aria-labelledby")
    || (each.labels && each.labels.length) || (each.tagName === "BUTTON" && each.textContent.trim())))
  .map((each) => each.outerHTML)"""
"""What a screen reader would have no name for."""


@contextmanager
def browser():
    """Yield Chromium, or skip saying what is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make install")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine: the page is not tried in a browser")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=program, args=OPTIONS)
        yield opened
        opened.close()


@contextmanager
def serving(path, **limits):
    """Yield the address of a service on a free port of this machine."""
    settings = ServiceSettings(decoders=1, port=0, burst=10_000, **limits)
    server = uvicorn.Server(uvicorn.Config(create_app(path, settings), **options(settings)))
    running = threading.Thread(target=server.run, daemon=True)
    running.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    running.join()
