"""Holds lookup.py to the golden file that the Go side is held to: python3 lookup_test.py [--write]"""
import json
import os
import sys

from lookup import Index

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "services", "mapper", "testdata", "lexicon.json")

with open(GOLDEN, encoding="utf-8") as f:
    doc = json.load(f)
index = Index([(text, label) for text, label in doc["entries"]], set(doc["known"]).__contains__)
got = [[text, index.evidence(text)] for text, _ in doc["searches"]]
if "--write" in sys.argv:
    doc["searches"] = got
    with open(GOLDEN, "w", encoding="utf-8") as f:
        json.dump(doc, f, indent=1)
for (text, want), (_, have) in zip(doc["searches"], got):
    assert [tuple(w) for w in want] == [tuple(h) for h in have], (text, want, have)
