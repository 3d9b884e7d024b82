"""Asks Prometheus every query of a Grafana dashboard, as a panel does: each must find numbers within the deadline, and one above 0 among them, but for
those that show nothing of a healthy node.

Usage: dashboard.py DASHBOARD PROMETHEUS SECONDS BEGINNING     BEGINNING of the load, in seconds since 1970.
"""

import json
import math
import sys
import time
import urllib.parse
import urllib.request

path, prometheus, seconds, beginning = sys.argv[1:]
with open(path) as file:
    dashboard = json.load(file)

# Panel and query: why it stays at 0 here.
NOTHING = {
    ("Refused for lack of room", "A"): "the bound is thousands of events under way",
    ("Actors that ended, panics", "B"): "nothing panics",
    ("Standing still", "A"): "no event loop does",
    ("Log lines dropped", "A"): "a file takes what is logged",
    ("Gaps", "C"): "every event that is missed is still in the history",
    ("Events to Redis", "B"): "the connections that break are those that listen",
    ("Beginnings", "A"): "Redis keeps its memory",
    ("Beginnings", "C"): "no node is taken for dead",
}


def ask(query):
    """Returns the numbers that a query has found since the load began."""
    query = query.replace("$__rate_interval", "15s")
    for variable in dashboard["templating"]["list"]:
        query = query.replace(f"${variable['name']}", variable.get("allValue", ""))
    assert "$" not in query, f"a variable that nobody sets: {query}"
    url = f"{prometheus}/api/v1/query_range?" + urllib.parse.urlencode({"query": query, "start": beginning, "end": time.time(), "step": 1})
    with urllib.request.urlopen(url, timeout=5) as answer:
        found = json.load(answer)["data"]["result"]
    numbers = (float(value) for series in found for _, value in series["values"])
    return [number for number in numbers if not math.isnan(number)]


def lacks(panel, query):
    """Tells what a query still has to find, if anything."""
    numbers = ask(query["expr"])
    if not numbers:
        return "no data"
    if max(numbers) <= 0 and (panel["title"], query["refId"]) not in NOTHING:
        return "nothing but 0"
    return None


panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
assert panels[0]["title"] == "Depth now", "mailboxes come first"
queries = [(panel, query) for panel in panels for query in panel["targets"]]
assert len(queries) >= len(panels) > 0
unknown = NOTHING.keys() - {(panel["title"], query["refId"]) for panel, query in queries}
assert not unknown, f"no such panels: {unknown}"

missing = [("not asked yet", *query) for query in queries]
end = time.monotonic() + float(seconds)
while missing and time.monotonic() < end:
    try:
        missing = [(what, panel, query) for _, panel, query in missing if (what := lacks(panel, query))]
    except OSError as error:
        print(error)
    time.sleep(1)
for what, panel, query in missing:
    print(f"{what}: {panel['title']}: {query['expr']}")
print(f"{len(queries) - len(missing)} of {len(queries)} queries in {len(panels)} panels have data")
sys.exit(bool(missing))
