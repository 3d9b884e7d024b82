"""Proves that every part of every alert is needed: changes one part at a time, and asks promtool whether the series of alerts.test.yml tell the
difference, which is how long the alert fires, and of which nodes.

Usage: mutants.py ALERTS TESTS DIRECTORY     DIRECTORY is where it may write.
"""

import re
import subprocess
import sys
from pathlib import Path

alerts, tests, directory = map(Path, sys.argv[1:])
LONGEST = "100m"
BOUND = re.compile(r"(?P<before>(?:==|[<>]=?) )(?P<bound>[\d.]+)(?= *$| unless| and| or|\n)", re.MULTILINE)
FACTOR = re.compile(r"(?P<before>> )(?P<bound>[\d.]+)(?= \*)")
CLAUSE = re.compile(r"^ *(?:and|or|unless) .*\n", re.MULTILINE)
FOR = re.compile(r"^ *for: .*\n", re.MULTILINE)


def moved(found, make):
    """Returns a match's text with another bound in it."""
    return found["before"] + repr(make(float(found["bound"])))


def mutants(rule):
    """Yields what was changed in an alert, and the alert with that change."""
    for pattern in (BOUND, FACTOR):
        for found in pattern.finditer(rule):
            for way, make in (("higher", lambda bound: bound * 2 or 1e9), ("lower", lambda bound: bound / 2 or -1e-3)):
                yield f"{way}: {found[0]}", rule[: found.start()] + moved(found, make) + rule[found.end() :]
    for pattern in (CLAUSE, FOR):
        for found in pattern.finditer(rule):
            yield f"without: {found[0].strip()}", rule[: found.start()] + rule[found.end() :]


def telling(name, original):
    """Returns a query that finds 1 if two alerts do not fire for equally long of the same nodes."""
    firing = 'sum by (instance) (count_over_time(ALERTS{alertstate="firing",alertname="%s"}[' + LONGEST + "]))"
    one, other = firing % name, firing % original
    return f"count({one} != {other} or {one} unless {other} or {other} unless {one}) > bool 0"


head, *rules = re.split(r"(?=^ *- alert: )", alerts.read_text(), flags=re.MULTILINE)
changed, questions, whats = [], [], {}
for rule in rules:
    original = re.match(r" *- alert: (\w+)", rule)[1]
    for number, (what, mutant) in enumerate(mutants(rule), 1):
        name = f"{original}Mutant{number}"
        whats[name] = f"{original}: {what}"
        changed.append(mutant.replace(original, name, 1))
        questions.append(
            f"      - {{expr: '{telling(name, original)}', eval_time: {LONGEST}, exp_samples: [{{labels: '{{}}', value: 1}}]}}\n"
        )
assert len(whats) >= 2 * len(rules) > 0, "alerts.yml is not understood"

(directory / "mutants.yml").write_text(head + "\n".join(rules + changed))
series, expected = tests.read_text().split("    promql_expr_test:\n")
series = re.sub(r"rule_files: .*", "rule_files: [mutants.yml]", series)
(directory / "mutants.test.yml").write_text(series + "    promql_expr_test:\n" + "".join(questions))
run = subprocess.run(["promtool", "test", "rules", directory / "mutants.test.yml"], capture_output=True, text=True)
output = run.stdout + run.stderr
for name in sorted({name for name in whats if re.search(rf'{name}\\?"', output)}):
    print(f"nothing tells the difference: {whats[name]}")
if run.returncode:
    print(output[:2000])
print(f"{len(whats)} changes of {len(rules)} alerts")
sys.exit(run.returncode)
