"""A page of results: is it well formed, and does it stand alone?"""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

PNG = b"\x89PNG\r\n\x1a\n"


class Page(HTMLParser):
    """Collects tags that are left open, and everything that a page loads or links to."""

    void = ("meta", "img", "br")

    def __init__(self, file):
        super().__init__()
        self.open, self.sources, self.closed_wrong = [], [], []
        self.text = file.read_text()
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        self.sources += [value for key, value in attrs if key in ("src", "href")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            self.closed_wrong.append(tag)

    def check(self, images):
        """Assert that it is well formed and loads nothing; its images are those of the files."""
        assert not self.open and not self.closed_wrong
        found = [base64.b64decode(source.removeprefix("data:image/png;base64,")) for source in self.sources]
        assert found == [file.read_bytes() for file in images]
        assert not re.search(r"https?:|//cdn|@import|url\(", self.text)
