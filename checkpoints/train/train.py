"""Trains a checkpoint from nothing: train.py --config mapper-tiny.yaml --out DIR --work DIR

Needs Debian's python3-torch, python3-numpy, python3-yaml, python3-sentencepiece, libopenblas0-pthread, wordnet-base,
dict-gcide and dict-foldoc, and LLAMA_CPP_SRC for gguf-py. What the early stages make is kept in --work, so that
a change of the lexicon repeats only the last two.
"""
import argparse
import hashlib
import json
import os
import random
import time

import torch
import yaml

import export
import mapping
import stages
from normalize import words

HERE = os.path.dirname(os.path.abspath(__file__))


def top(logits, right, n):
    """The share of rows with an accepted label among the first n."""
    best = logits.topk(n).indices.tolist()
    return sum(bool(set(b) & r) for b, r in zip(best, right)) / len(right)


def calibration_error(p, right, bins=10):
    """Expected calibration error over equal bins (Guo et al. 2017)."""
    confidence, chosen = p.max(1)
    hit = torch.tensor([float(int(i) in r) for i, r in zip(chosen, right)])
    total = 0.0
    for low in range(bins):
        inside = (confidence > low / bins) & (confidence <= (low + 1) / bins)
        if inside.any():
            total += float((confidence[inside].mean() - hit[inside].mean()).abs() * inside.sum())
    return total / len(right)


def temperature(logits, right):
    """The divisor of the logits with the least negative log-likelihood, from a fixed grid."""
    y = torch.tensor([min(r) for r in right])
    grid = [0.5 + 0.05 * i for i in range(51)]
    return min(grid, key=lambda t: float(torch.nn.functional.cross_entropy(logits / t, y)))


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def file_entry(out, name):
    path = os.path.join(out, name)
    return {"file": name, "sha256": sha256(path), "bytes": os.path.getsize(path)}


def golden(path, net, tok, labels, t, seed, phrases):
    """Writes prompts with the answers that the same weights give in another implementation: this one."""
    rows = [(mapping.kind_of_detector(d), native) for d, native, _ in mapping.vendors()] + [(mapping.DEFAULT, phrase) for phrase, _ in phrases]
    rows = random.Random(seed).sample(rows, min(64, len(rows)))
    p = (stages.answer(net, tok, labels, [(kind, words(f)) for kind, f in rows]) / t).softmax(1)
    names = list(labels)
    with open(path, "w", encoding="utf-8") as f:
        for (kind, finding), row in zip(rows, p):
            value, index = row.topk(3)
            best = [[names[i], round(float(v), 4)] for v, i in zip(value, index)]
            f.write(json.dumps({"kind": kind, "finding": finding, "text": words(finding), "tokens": stages.Prompts(tok)(kind, words(finding)),
                                "label": best[0][0], "p": best[0][1], "candidates": best}) + "\n")


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--config", required=True)
    args.add_argument("--out", required=True)
    args.add_argument("--work", required=True)
    args = args.parse_args()
    with open(args.config, encoding="utf-8") as f:
        c = yaml.safe_load(f)
    os.makedirs(args.out, exist_ok=True)
    os.makedirs(args.work, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(c["seed"])
    start = time.time()

    def log(name, i, steps, loss):
        if i % 50 == 49 or i == steps - 1:
            print(f"{time.time() - start:6.0f} s  {name} {i + 1}/{steps}  loss {float(loss):.3f}", flush=True)

    labels, version = mapping.taxonomy()
    tok = stages.tokenizer(c, args.work, labels)
    print(f"{time.time() - start:6.0f} s  vocabulary of {len(tok)}", flush=True)
    vectors = stages.embeddings(c, args.work, tok)
    print(f"{time.time() - start:6.0f} s  embeddings", flush=True)
    net = stages.pretrain(c, args.work, tok, vectors, log)

    vendor = mapping.vendors()
    known = {words(native): accept[0] for _, native, accept in vendor}
    phrases = sorted((p, l) for p, l in mapping.lexicon(labels).items() if p not in known)
    random.Random(c["seed"]).shuffle(phrases)
    held = phrases[: int(len(phrases) * c["holdout"])]
    train = phrases[len(held):] + sorted(known.items()) + [(words(label), label) for label in labels]
    stages.base(c, net, tok, labels, train, log)
    export.base(os.path.join(args.out, "base-f16.gguf"), net, tok, set(stages.specials(labels)), c["name"])
    stages.adapter(c, net, tok, labels, train, log)
    export.adapter(os.path.join(args.out, "mapper-lora-f16.gguf"), net, c["adapter"]["alpha"], c["name"] + "-mapping")

    order = {label: i for i, label in enumerate(labels)}
    logits = stages.answer(net, tok, labels, [(mapping.DEFAULT, p) for p, _ in held])
    right = [{order[label]} for _, label in held]
    t = temperature(logits, right)
    table = stages.answer(net, tok, labels, [(mapping.kind_of_detector(d), words(n)) for d, n, _ in vendor])
    accepted = [{order[label] for label in accept} for _, _, accept in vendor]
    figures = [
        {"set": "phrases of the lexicon held out of training", "n": len(held), "top1": round(top(logits, right, 1), 4), "top3": round(top(logits, right, 3), 4)},
        {"set": "native labels of 12 detectors (vendor-2025.09.jsonl; in training)", "n": len(vendor), "top1": round(top(table, accepted, 1), 4), "top3": round(top(table, accepted, 3), 4)},
    ]
    ece = calibration_error((logits / t).softmax(1), right)
    golden(os.path.join(args.out, "golden.jsonl"), net, tok, labels, t, c["seed"], held)
    manifest = {
        "schema": 1, "name": c["name"], "version": c["version"], "description": c["description"], "license": "Apache-2.0", "taxonomy": version,
        "base": {**file_entry(args.out, "base-f16.gguf"), "parameters": sum(q.numel() for n, q in net.named_parameters() if not n.endswith((".a", ".b")))},
        "adapters": [{"name": "mapping", **file_entry(args.out, "mapper-lora-f16.gguf"), "scale": 1.0}],
        "prompt": {"normalize": "words", "prefix": "", "template": "{kind}{finding}" + stages.ANSWER, "max_tokens": 48,
                   "default_kind": mapping.DEFAULT, "kinds": [{"kind": k, "match": m} for k, m in mapping.KINDS]},
        "codec": {"type": "code", "codes": dict(zip(labels, stages.codes(labels)))},
        "calibration": {"method": "temperature", "temperature": round(t, 2), "ece": round(ece, 4), "fitted_on": figures[0]["set"]},
        "evaluation": figures,
        "training": {"seed": c["seed"], "steps": sum(c[s]["steps"] for s in ("pretrain", "base", "adapter")),
                     "wall_seconds": round(time.time() - start), "command": "make checkpoint", "torch": str(torch.__version__)},
        "data": [{"file": os.path.relpath(p, os.path.dirname(HERE)), "sha256": sha256(p)} for p in mapping.lexicon_files()],
    }
    with open(os.path.join(args.out, "manifest.yaml"), "w", encoding="utf-8") as f:
        yaml.safe_dump(manifest, f, sort_keys=False, width=120)
    print(json.dumps({"figures": figures, "temperature": t, "ece": ece}, indent=1))
    names = list(labels)
    for (detector, native, accept), row in zip(vendor, table):
        if names[int(row.argmax())] not in accept:
            print(f"miss: {detector} {native}: {names[int(row.argmax())]}, not {accept}")


if __name__ == "__main__":
    main()
