"""Adds up xunit files: names every test that failed with its message, then one line: N passed, N failed, N skipped.

    python3 .ci/summary.py STATUS FILE...

STATUS is that of the command which wrote the files: one that ended badly without a failed test (a linter's finding, a
run that was stopped) counts as a failure too, as does a file that is missing or cut off.
"""

import sys
import xml.etree.ElementTree as ET

status, paths = int(sys.argv[1]), sys.argv[2:]
passed = failed = skipped = 0


def failure(name: str, said: str) -> None:
    """Counts a failure and tells about it."""
    global failed
    failed += 1
    print(f"FAILED {name}\n    {said.strip()[:2000]}")


for path in paths:
    try:
        cases = list(ET.parse(path).getroot().iter("testcase"))
    except (OSError, ET.ParseError) as error:
        failure(path, f"cannot be read: {error}")
        continue
    for case in cases:
        wrong = [found for found in (case.find("failure"), case.find("error")) if found is not None]
        if wrong:
            failure(f"{case.get('classname')} :: {case.get('name')}", wrong[0].get("message") or wrong[0].text or "")
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
if status and not failed:
    failure("the test command", f"It ended with status {status}, though no test failed; its output above says why.")
if not passed and not failed:
    failure("the test command", "No test ran.")
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed else 0)
