"""Adds up xunit files: names every test that failed with its message, then one line: N passed, N failed, N skipped."""

import sys
import xml.etree.ElementTree as ET

passed = failed = skipped = 0
for path in sys.argv[1:]:
    for case in ET.parse(path).getroot().iter("testcase"):
        wrong = [found for found in (case.find("failure"), case.find("error")) if found is not None]
        if wrong:
            failed += 1
            said = (wrong[0].get("message") or wrong[0].text or "").strip()
            print(f"FAILED {case.get('classname')} :: {case.get('name')}\n    {said[:2000]}")
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed or not passed else 0)
