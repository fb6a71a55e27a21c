"""What an open agent page asks for in a minute, beside its socket."""

import shutil
import sys
from collections import Counter

from playwright.sync_api import sync_playwright

from tests.bench.fleet import SMALL, installation, say
from tests.browser.conftest import ARGUMENTS, sign_in

AGENT = "bench-page"
NOTES = f"""
## page: an open agent page

Chromium shows /agents/{AGENT} of a running agent whose figures change every 2 s. Requests are those
that the browser sends from the moment when the network is quiet after the load; frames are those
that come by the one socket.
"""


def run(*, quick):
    seconds = 6 if quick else 60
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        sys.exit("The page needs Chromium: `make test` installs it")
    with installation() as product, sync_playwright() as playwright:
        product.create_agent(AGENT, resources=SMALL)
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        page = browser.new_context(base_url=product.url).new_page()
        sign_in(page, product)
        sent, frames = [], Counter()
        page.on("websocket", lambda live: live.on("framereceived", lambda _: frames.update("r")))
        page.goto(f"/agents/{AGENT}")
        page.wait_for_load_state("networkidle")
        frames.clear()
        page.on("request", lambda request: sent.append(request.url))
        say(f"an open page, {seconds} s")
        page.wait_for_timeout(seconds * 1000)
        browser.close()
    print(NOTES, f"{len(sent)} requests and {frames['r']} frames in {seconds} s", sep="\n")
    print(*sent, "", sep="\n", flush=True)
