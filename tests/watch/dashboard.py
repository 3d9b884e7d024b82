"""Asks Prometheus every query of a Grafana dashboard: each must find numbers within the deadline.

Usage: dashboard.py DASHBOARD PROMETHEUS SECONDS
"""

import json
import math
import sys
import time
import urllib.parse
import urllib.request

path, prometheus, seconds = sys.argv[1:]
with open(path) as file:
    dashboard = json.load(file)


def ask(query):
    """Returns the numbers that a query finds now."""
    query = query.replace("$__rate_interval", "15s").replace("$instance", ".*")
    assert "$" not in query, f"a variable that nobody sets: {query}"
    url = f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(url, timeout=5) as answer:
        found = json.load(answer)["data"]["result"]
    return [number for number in (float(series["value"][1]) for series in found) if not math.isnan(number)]


panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
assert panels[0]["title"] == "Depth now", "mailboxes come first"
queries = [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]
assert len(queries) >= len(panels) > 0

missing = queries
end = time.monotonic() + float(seconds)
while missing and time.monotonic() < end:
    try:
        missing = [(title, query) for title, query in missing if not ask(query)]
    except OSError as error:
        print(error)
    time.sleep(0.5)
for title, query in missing:
    print(f"no data: {title}: {query}")
print(f"{len(queries) - len(missing)} of {len(queries)} queries in {len(panels)} panels have data")
sys.exit(bool(missing))
