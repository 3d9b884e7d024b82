"""Asks Prometheus for its alerts: as many as wanted are loaded and healthy, and none fires.

Usage: alerts.py PROMETHEUS COUNT
"""

import json
import sys
import urllib.request

prometheus, count = sys.argv[1:]
with urllib.request.urlopen(f"{prometheus}/api/v1/rules", timeout=5) as answer:
    groups = json.load(answer)["data"]["groups"]
rules = [rule for group in groups for rule in group["rules"]]
for rule in rules:
    if rule["health"] != "ok" or rule["state"] == "firing":
        print(rule["name"], rule["health"], rule["state"], rule.get("lastError", ""))
is_well = all(rule["health"] == "ok" and rule["state"] != "firing" for rule in rules)
sys.exit(not (is_well and len(rules) == int(count)))
