"""Asks Prometheus for its alerts: as many as wanted are loaded and healthy, none fires, and every series that one asks for is there, with the labels
that it joins by, sums by or tells.

Usage: alerts.py PROMETHEUS COUNT
"""

import json
import re
import sys
import urllib.parse
import urllib.request

prometheus, count = sys.argv[1:]
SELECTOR = re.compile(r"\b(?:up|(?:micronotifier|process)_\w+)\b(?:\{[^}]*\})?")


def ask(path, **query):
    """Returns what Prometheus answers."""
    with urllib.request.urlopen(f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=5) as answer:
        return json.load(answer)["data"]


def named(pattern, text):
    """Returns the labels in the brackets that a pattern finds."""
    return {label.strip() for found in re.findall(pattern, text) for label in found.split(",")}


def unseen(rule):
    """Yields what a rule asks for and no node has."""
    selectors = SELECTOR.findall(rule["query"])
    if not selectors:
        yield "any series"
    told = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    of_the_first = told | named(r"by *\(([^)]*)\)", rule["query"])
    of_all = named(r"\bon *\(([^)]*)\)", rule["query"])
    for number, selector in enumerate(selectors):
        found = [series["metric"] for series in ask("query", query=selector)["result"]]
        if not found:
            yield selector
        for label in of_all | (of_the_first if number == 0 else set()):
            if not all(label in labels for labels in found):
                yield f"{label} of {selector}"


is_well = True
rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
for rule in rules:
    if rule["health"] != "ok" or rule["state"] == "firing":
        print(rule["name"], rule["health"], rule["state"], rule.get("lastError", ""))
        is_well = False
    for missing in unseen(rule):
        print(f"{rule['name']}: no node has {missing}")
        is_well = False
print(f"{len(rules)} alerts")
sys.exit(not (is_well and len(rules) == int(count)))
