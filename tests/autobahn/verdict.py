"""Counts the verdicts of an Autobahn report; exits 1 when a case failed or none ran."""

import json
import sys

GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}

with open(sys.argv[1], encoding="utf-8") as report:
    agents = json.load(report)

passed, failed = 0, []
for cases in agents.values():
    for case, result in cases.items():
        verdicts = {result["behavior"], result["behaviorClose"]}
        if verdicts <= GOOD:
            passed += 1
        else:
            failed.append(f"{case}: {', '.join(sorted(verdicts))}")

for line in failed:
    print(line)
print(f"autobahn: {passed} passed, {len(failed)} failed")
sys.exit(1 if failed or not passed else 0)
