"""The dashboard as a reader without a script sees it. Its page is well-formed XML, so that whatever escaped from
its place as text would be a fault here."""

import re
import xml.etree.ElementTree as ElementTree

from .client import Client


def text_of(element):
    return " ".join("".join(element.itertext()).split())


class DashboardPage:
    def __init__(self, text):
        assert text.startswith("<!doctype html>\n"), text[:100]
        self.text = text
        self.root = ElementTree.fromstring(text.removeprefix("<!doctype html>"))

    def elements(self, tag):
        return list(self.root.iter(tag))

    def by_id(self, name):
        found = [element for element in self.root.iter() if element.get("id") == name]
        assert len(found) == 1, f"{len(found)} elements with the id {name}"
        return found[0]

    def section(self, name):
        return next(part for part in self.elements("section") if part.get("aria-labelledby") == name)

    def rows(self, name):
        """Of a section's table: for each row its cells by label, the one that names it under ''."""
        body = self.section(name).find(".//tbody")
        return [{cell.get("data-label", ""): text_of(cell) for cell in row} for row in body]

    def upstreams(self):
        return {row[""].split(" ")[0]: row for row in self.rows("upstreams")}

    def failures(self):
        return [row for row in self.rows("failures") if "Request" in row]

    def facts(self):
        facts = next(part for part in self.elements("dl") if part.get("class") == "facts")
        return {text_of(pair.find("dt")): text_of(pair.find("dd")) for pair in facts}

    def alerts(self):
        lists = [part for part in self.elements("ul") if part.get("class") == "alerts"]
        return [text_of(item) for part in lists for item in part]


def connections(cell):
    """{"busy": 1, "idle": 2, "limit": 50} of the cell "1 busy, 2 idle of 50"."""
    counts = {word: int(count) for count, word in re.findall(r"(\d+) ([a-z]+)", cell)}
    limit = re.search(r" of (\d+)$", cell)
    return {**counts, "limit": int(limit.group(1))} if limit else counts


def admin_response(proxy, path, method="GET", fields=(), host="localhost"):
    """The whole response, head included."""
    with Client(proxy.admin_port) as client:
        return client.fetch(path, method, fields, host=host)


def dashboard(proxy):
    response = admin_response(proxy, "/")
    assert response.status == 200, response.text
    return DashboardPage(response.body.decode())
