"""What a PromQL expression asks for, as far as a test has to know: the series it selects and the labels it names.
Whether it is PromQL at all is promtool's to say."""

import re
from dataclasses import dataclass

SELECTOR = re.compile(r"\b((?:penstock|process)_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Selector:
    name: str
    matchers: tuple  # of (label, operator, value)


def selectors(expression):
    return [Selector(name, tuple(MATCHER.findall(inside))) for name, inside in SELECTOR.findall(expression)]


def grouping_labels(expression):
    return {label.strip() for inside in GROUPING.findall(expression) for label in inside.split(",") if label.strip()}
