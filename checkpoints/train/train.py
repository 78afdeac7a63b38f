"""Trains a checkpoint from nothing: train.py --config mapper-tiny.yaml --out DIR [--work DIR]

Needs Debian's python3-torch, python3-numpy, python3-yaml, python3-sentencepiece, libopenblas0-pthread, wordnet-base,
dict-gcide and dict-foldoc, and LLAMA_CPP_SRC for gguf-py. What the early stages make is kept in --work (or in --out),
so that a change of the lexicon repeats only the last two. With LLAMA_LIB_DIR the figures of the vendors' table and the
golden rows are llama.cpp's, computed from the files that were written; without it they are PyTorch's.
"""
import argparse
import hashlib
import json
import os
import random
import time

import torch
import yaml

import evaluate
import export
import mapping
import stages
import verify
from normalize import words

HERE = os.path.dirname(os.path.abspath(__file__))


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def file_entry(out, name):
    path = os.path.join(out, name)
    return {"file": name, "sha256": sha256(path), "bytes": os.path.getsize(path)}


def logits_of(net, tok, labels, out, items):
    """Returns the codes' logits of [(kind, words)], by llama.cpp if it is there, and who computed them."""
    ours = stages.answer(net, tok, labels, items)
    if not verify.library():
        return ours, "PyTorch"
    tokens, theirs = verify.answers(out, items, tok.piece_to_id(stages.codes(labels)[0]), len(labels))
    prompts = stages.Prompts(tok)
    for item, ids in zip(items, tokens):
        if prompts(*item) != ids:
            raise ValueError(f"{item}: llama.cpp makes the tokens {ids}, training {prompts(*item)}")
    difference = float((ours.softmax(1) - theirs.softmax(1)).abs().max())
    print(f"llama.cpp and PyTorch: tokens of {len(items)} prompts equal, largest difference of a probability {difference:.5f}", flush=True)
    return theirs, "llama.cpp"


def golden(path, tok, labels, rows, p):
    """Writes prompts with the answers that the files give."""
    names = list(labels)
    with open(path, "w", encoding="utf-8") as f:
        for (kind, finding), row in zip(rows, p):
            value, index = row.topk(3)
            best = [[names[i], round(float(v), 4)] for v, i in zip(value, index)]
            f.write(json.dumps({"kind": kind, "finding": finding, "text": words(finding), "tokens": stages.Prompts(tok)(kind, words(finding)),
                                "label": best[0][0], "p": best[0][1], "candidates": best}) + "\n")


class Report:
    """Answers everything there is to answer once, and makes figures of it."""

    def __init__(self, net, tok, labels, data, out, seed):
        order = {label: i for i, label in enumerate(labels)}
        table, held = mapping.vendors(), data.held + data.held_sentences
        vendor = [(mapping.kind_of_detector(d), native) for d, native, _ in table]
        rows = vendor + [(mapping.DEFAULT, text) for text, _ in held]
        logits, self.by = logits_of(net, tok, labels, out, [(kind, words(text)) for kind, text in rows])
        self.vendor, of_held = logits[: len(table)], logits[len(table):]
        right = [{order[label]} for _, label in held]
        n = len(data.held)
        self.temperature, self.ece = evaluate.calibrate(of_held[:n], right[:n])
        taught = set(w for text, _ in data.phrases + data.sentences for w in text.split())
        new = [i for i in range(n) if any(w not in taught for w in held[i][0].split())]
        accepted = [{order[label] for label in accept} for _, _, accept in table]
        sets = [
            ("phrases of the lexicon held out of training, no detector", of_held[:n], right[:n]),
            ("of these, phrases with a word that no training phrase has", of_held[new], [right[i] for i in new]),
            ("verdict sentences held out of training, no detector", of_held[n:], right[n:]),
            ("native labels of 12 detectors (vendor-2025.09.jsonl), which are trained on", self.vendor, accepted),
        ]
        self.figures = [{"set": name, "n": len(r), "top1": round(evaluate.top(x, r, 1), 4), "top3": round(evaluate.top(x, r, 3), 4)}
                        for name, x, r in sets if r]
        self.category = sum(list(labels)[int(x.argmax())].split(".")[0] == label.split(".")[0]
                            for x, (_, label) in zip(of_held[:n], data.held)) / max(1, n)
        lookup = evaluate.overlap(data.phrases, [text for text, _ in held])
        self.lookup = [sum(a == label for a, (_, label) in zip(lookup[i:j], held[i:j])) / max(1, j - i) for i, j in ((0, n), (n, len(held)))]
        self.lookup_new = sum(lookup[i] == held[i][1] for i in new) / max(1, len(new))
        chosen = random.Random(seed).sample(range(len(rows)), min(64, len(rows)))
        self.golden = [rows[i] for i in chosen], (logits[chosen] / self.temperature).softmax(1)
        verify.check_vendors(list(labels), table, self.vendor)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--config", required=True)
    args.add_argument("--out", required=True)
    args.add_argument("--work", help="where the early stages are kept; --out if absent")
    args = args.parse_args()
    with open(args.config, encoding="utf-8") as f:
        c = yaml.safe_load(f)
    work = args.work or args.out
    os.makedirs(args.out, exist_ok=True)
    os.makedirs(work, exist_ok=True)
    torch.set_num_threads(1)
    start = time.time()

    def log(name, i, steps, loss):
        if i % 50 == 49 or i == steps - 1:
            print(f"{time.time() - start:6.0f} s  {name} {i + 1}/{steps}  loss {float(loss):.3f}", flush=True)

    labels, version = mapping.taxonomy()
    cache = stages.Cache(work)
    tok = stages.tokenizer(c, cache, labels)
    print(f"{time.time() - start:6.0f} s  vocabulary of {len(tok)}", flush=True)
    vectors = stages.embeddings(c, cache, tok)
    print(f"{time.time() - start:6.0f} s  embeddings", flush=True)
    net = stages.pretrain(c, cache, tok, vectors, log)

    late = time.time()
    data = mapping.Data(labels, c["holdout"])
    stages.base(c, net, tok, labels, data, log)
    export.base(os.path.join(args.out, "base-f16.gguf"), net, tok, set(stages.specials(labels)), c["name"])
    stages.adapter(c, net, tok, labels, data, log)
    export.adapter(os.path.join(args.out, "mapper-lora-f16.gguf"), net, c["adapter"]["alpha"], c["name"] + "-mapping")
    seconds = cache.early_seconds(c) + time.time() - late

    report = Report(net, tok, labels, data, args.out, c["seed"])
    golden(os.path.join(args.out, "golden.jsonl"), tok, labels, *report.golden)
    manifest = {
        "schema": 1, "name": c["name"], "version": c["version"], "description": c["description"], "license": "Apache-2.0", "taxonomy": version,
        "base": {**file_entry(args.out, "base-f16.gguf"), "parameters": sum(q.numel() for n, q in net.named_parameters() if not n.endswith((".a", ".b")))},
        "adapters": [{"name": "mapping", **file_entry(args.out, "mapper-lora-f16.gguf"), "scale": 1.0}],
        "prompt": {"normalize": "words", "prefix": "", "template": "{kind}{finding}" + stages.ANSWER, "max_tokens": 48,
                   "default_kind": mapping.DEFAULT, "kinds": [{"kind": k, "match": m} for k, m in mapping.KINDS]},
        "codec": {"type": "code", "codes": dict(zip(labels, stages.codes(labels)))},
        "calibration": {"method": "temperature", "temperature": report.temperature, "ece": round(report.ece, 4),
                        "fitted_on": "every other phrase of the lexicon held out of training; the error is of the rest"},
        "evaluation": report.figures,
        "training": {"seed": c["seed"], "steps": sum(c[s]["steps"] for s in ("pretrain", "base", "adapter")),
                     "wall_seconds": round(seconds), "command": "make checkpoint", "torch": str(torch.__version__)},
        "data": [{"file": os.path.relpath(p, os.path.dirname(HERE)), "sha256": sha256(p)} for p in mapping.files()],
    }
    with open(os.path.join(args.out, "manifest.yaml"), "w", encoding="utf-8") as f:
        yaml.safe_dump(manifest, f, sort_keys=False, width=120)
    print(json.dumps({"by": report.by, "figures": report.figures, "temperature": report.temperature, "ece": report.ece, "coarse category": report.category,
                      "word overlap lookup": {"phrases": report.lookup[0], "with a new word": report.lookup_new, "sentences": report.lookup[1]},
                      "seconds": cache.seconds()}, indent=1))


if __name__ == "__main__":
    main()
