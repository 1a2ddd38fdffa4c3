"""Opens a report of `spanmill certify` in headless Chromium and looks whether the page works: nothing on the console,
every verdict of report.json in the DOM with its outcome, and every plot drawn. Before that it opens a copy that is
broken on purpose, to be sure that errors would be seen.

Usage: python3 .ci/report FOLDER  (needs chromium)
"""

import json
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

PATIENCE_SECONDS = 120
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
]


def opened(page):
    """The DOM as text, and what the page said on the console."""
    with tempfile.TemporaryDirectory() as profile:
        command = ["chromium", *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
    console = [line for line in ran.stderr.splitlines() if ":CONSOLE" in line]
    return ran.stdout, console


class Page(HTMLParser):
    """Verdicts by target, and how many plots there are with and without a line."""

    def __init__(self, text):
        super().__init__()
        self.verdicts = {}
        self.plots = 0
        self.lines = 0
        self.words = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "data-target" in attributes:
            self.verdicts[attributes["data-target"]] = attributes["data-outcome"].replace("-", "_")
        self.plots += tag == "svg"
        self.lines += tag == "path" and "L" in attributes.get("d", "")

    def handle_data(self, data):
        self.words.append(data.strip())


def main(folder):
    text = (folder / "report.html").read_text()
    with tempfile.TemporaryDirectory() as broken:
        page = Path(broken, "broken.html")
        page.write_text(text.replace("</main>", "</main><script>console.error('on purpose')</script>"))
        assert opened(page)[1], "an error on the console was not seen: is this chromium another one?"

    dom, console = opened((folder / "report.html").resolve())
    assert not console, console
    page = Page(dom)
    report = json.loads((folder / "report.json").read_text())
    expected = {verdict["target"]: verdict["outcome"] for verdict in report["verdicts"]}
    assert expected and page.verdicts == expected, f"{page.verdicts} on the page, {expected} in report.json"
    assert page.plots >= 8 and page.lines >= page.plots, f"{page.plots} plots with {page.lines} lines"
    assert "Nothing was measured." not in page.words, "a plot is empty"
    print(f"{len(expected)} verdicts and {page.plots} plots are on the page, nothing on the console")


main(Path(sys.argv[1]))
