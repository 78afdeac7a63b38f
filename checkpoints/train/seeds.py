"""Prints what several seeds of the mapping reached, as a table: seeds.py FIGURES.json... (train.py --seed writes them)."""
import json
import sys


def span(values):
    return f"{100 * min(values):.1f} to {100 * max(values):.1f}"


runs = []
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as f:
        runs.append({figure["set"]: figure for figure in json.load(f)})
print("| set | n | top-1 % | top-3 % | ECE | best lookup % | McNemar p, worst seed |\n|--|--|--|--|--|--|--|")
for name in runs[0]:
    rows = [run[name] for run in runs]
    best = max(rows[0][k] for k in ("exact", "words", "trigrams"))
    print(f"| {name} | {rows[0]['n']} | {span([r['top1'] for r in rows])} | {span([r['top3'] for r in rows])} | "
          f"{max(r['ece'] for r in rows):.3f} | {100 * best:.1f} | {max(r['mcnemar'] for r in rows):.2g} |")
