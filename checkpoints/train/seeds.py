"""Prints what several seeds reached, as a table: seeds.py FIGURES.json... (train.py writes them)."""
import json
import sys


def span(values):
    low, high = (f"{100 * v:.1f}" for v in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def overall(run, name):
    """The share over the rows of all sets that were not trained on."""
    own = [f for f in run.values() if not f["set"].startswith("known")]
    return sum(f["n"] * f[name] for f in own) / sum(f["n"] for f in own)


runs = []
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as f:
        runs.append({figure["set"]: figure for figure in json.load(f)})
print("| set | n | top-1 % | top-3 % | ECE, at most | best lookup % | McNemar p, at most |\n|--|--|--|--|--|--|--|")
for name in runs[0]:
    rows = [run[name] for run in runs]
    best = max(rows[0][k] for k in ("exact", "words", "trigrams"))
    print(f"| {name} | {rows[0]['n']} | {span([r['top1'] for r in rows])} | {span([r['top3'] for r in rows])} | "
          f"{max(r['ece'] for r in rows):.3f} | {100 * best:.1f} | {max(r['mcnemar'] for r in rows):.2g} |".replace("| 0 |", "| < 0.00001 |"))
print(f"| all but the known | | {span([overall(r, 'top1') for r in runs])} | {span([overall(r, 'top3') for r in runs])} | | | |")
