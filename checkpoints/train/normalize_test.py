"""Holds normalize.py to the golden file that the Go side is held to: python3 normalize_test.py"""
import json
import os

from normalize import words

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "services", "mapper", "testdata", "normalize.jsonl")

with open(GOLDEN, encoding="utf-8") as f:
    for row in map(json.loads, f):
        assert words(row["in"]) == row["out"], (row, words(row["in"]))
