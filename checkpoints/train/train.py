"""Trains a checkpoint from nothing: train.py --config mapper-tiny.yaml --out DIR [--work DIR] [--seed N] [--full]

Needs Debian's python3-torch, python3-numpy, python3-yaml, python3-sentencepiece, libopenblas0-pthread, the dictionaries
of corpus.py, npm for the teacher, and LLAMA_CPP_SRC for gguf-py. What each stage makes is kept in --work (or --out): a
run that was stopped goes on with the first stage that was not finished. --seed changes the mapping's seed alone, --full
tunes everything in place of the adapter, for comparison; both write no files but figures.json. With LLAMA_LIB_DIR the
golden rows are llama.cpp's, computed from the files that were written; without it they are PyTorch's.
"""
import argparse
import hashlib
import json
import os
import time

import torch
import yaml

import corpus
import curve
import examples
import export
import mapping
import pretrain
import prompts
import report
import stages
from lookup import EVIDENCE
from normalize import words

HERE = os.path.dirname(os.path.abspath(__file__))


class Log:
    """Prints progress with the time that is left of a stage, and keeps the losses."""

    def __init__(self):
        self.start, self.losses, self.began = time.time(), {}, {}

    def __call__(self, name, i, steps, loss):
        began = self.began.setdefault(name, time.time())
        self.losses.setdefault(name, []).append(float(loss))
        if i % 50 == 49 or i == steps - 1:
            left = (time.time() - began) / (i + 1) * (steps - i - 1)
            mean = sum(self.losses[name][-50:]) / len(self.losses[name][-50:])
            print(f"{time.time() - self.start:6.0f} s  {name} {i + 1}/{steps}  loss {mean:.3f}  {left:.0f} s left", flush=True)

    def take(self):
        """Returns {stage: losses} since the last call."""
        out, self.losses = self.losses, {}
        return out


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def file_entry(out, name):
    path = os.path.join(out, name)
    return {"file": name, "sha256": sha256(path), "bytes": os.path.getsize(path)}


def write_sets(out, data, labels):
    """Writes the development sets, one file each, and fails if one of their texts is in what was trained on."""
    taught = {text for text, _ in data.phrases + data.wide + data.sentences}
    for name, rows in report.sets(data, labels):
        if name.startswith("known"):
            continue
        leaks = [text for _, text, _ in rows if words(text) in taught]
        if leaks:
            raise ValueError(f"{name}: {leaks[:5]} are in training")
        with open(os.path.join(out, "eval", name.replace(" ", "-") + ".jsonl"), "w", encoding="utf-8") as f:
            f.writelines(json.dumps({"detector": detector, "label": text, "accept": accept}) + "\n" for detector, text, accept in rows)


def write_lexicon(path, entries, names):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(f"{text}\t{names[label]}\n" for text, label in entries)


def manifest(c, out, labels, version, net, rep, seconds):
    adapters = [{"name": name, **file_entry(out, name + "-lora-f16.gguf"), "scale": 1.0, "min_words": c["adapters"][name]["min_words"],
                 "temperature": rep.temperature[name]} for name in c["adapters"]]
    return {
        "schema": 2, "name": c["name"], "version": c["version"], "description": c["description"], "license": "Apache-2.0", "taxonomy": version,
        "base": {**file_entry(out, "base-f16.gguf"), "parameters": sum(q.numel() for n, q in net.named_parameters() if not n.endswith((".a", ".b")))},
        "adapters": adapters, "lexicon": file_entry(out, "lexicon.tsv"), "golden": file_entry(out, "golden.jsonl"),
        "prompt": {"normalize": "words", "prefix": "", "template": "{kind}{evidence}{finding}" + prompts.ANSWER, "max_tokens": 64,
                   "evidence": {"labels": EVIDENCE, "item": "{code}{grade}", "spelling": True},
                   "default_kind": mapping.DEFAULT, "kinds": [{"kind": k, "match": m} for k, m in mapping.KINDS]},
        "codec": {"type": "code", "codes": dict(zip(labels, prompts.codes(labels)))},
        "calibration": {"method": "temperature", "temperature": rep.temperature["mapper"], "ece": round(rep.ece, 4),
                        "fitted_on": "every other row of the development sets in eval/; the error is of the rest"},
        "evaluation": rep.figures,
        "training": {"seed": c["seed"], "steps": sum(c[stage]["steps"] for stage in ("pretrain", "widen", "base", "refine") if stage in c) + sum(a["steps"] for a in c["adapters"].values()),
                     "wall_seconds": round(seconds), "command": "make checkpoint", "torch": str(torch.__version__)},
        "data": [{"file": os.path.relpath(p, os.path.dirname(HERE)), "sha256": sha256(p)} for p in mapping.files()],
    }


def learn(c, cache, args, log):
    """Runs the stages. Returns (net, tok, labels, data, {adapter: its matrices})."""
    labels, _ = mapping.taxonomy()
    data = mapping.Data(labels, c)
    specials = [mapping.DEFAULT] + [k for k, _ in mapping.KINDS] + [prompts.ANSWER] + prompts.grades() + prompts.codes(labels)
    tok, net = pretrain.run(c, cache, mapping.familiar(), specials, mapping.DEFAULT, log)
    seed = args.seed or c["seed"]
    glossary = corpus.glossary(c["texts"])
    english = [(phrase, label) for phrase, label in data.phrases + data.wide if phrase not in data.abroad]
    kin = pretrain.relatives(c, cache, english, mapping.vocabulary(data.told))

    def source(plus, sentences, p):
        own = {k: p.get(k, c[k]) for k in ("mix", "evidence")}
        return examples.Examples(data, labels, seed + plus, {**c, **own}, sentences, glossary, kin, prompts.whole(tok))

    key = [c.get(k) for k in ("base", "mix", "dropout", "evidence", "smoothing", "holdout", "heads", "net", "pretrain", "widen", "version")] + [seed, data.fingerprint()]

    def train_base(path):
        stages.begin(net, tok, labels, data)
        stages.base(c, c["base"], net, tok, labels, source(1, 0.12, c["base"]), log, "base")
        torch.save(net.state_dict(), path)

    def refine(path):
        stages.base(c, c["refine"], net, tok, labels, source(2, 0.12, c["refine"]), log, "refine")
        torch.save(net.state_dict(), path)

    net.load_state_dict(torch.load(cache.make("base.pt", key, train_base)))
    key += [c["refine"], c["kin"]]
    net.load_state_dict(torch.load(cache.make("refine.pt", key, refine)))
    matrices = {}
    for name, p in c["adapters"].items():
        if args.only and name != args.only:
            continue
        if args.full:
            if name == "mapper":
                stages.base(c, {**p, "rate": args.full, "code_rate": args.full}, net, tok, labels, source(3, p["sentences"], p), log, "full")
            matrices[name] = {}
            continue
        path = cache.make(f"{name}.pt", key + [p], lambda path: torch.save(stages.adapter(c, name, net, tok, labels, source(3, p["sentences"], p), log), path))
        matrices[name] = torch.load(path)
    return net, tok, labels, data, matrices


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--config", required=True)
    args.add_argument("--out", required=True)
    args.add_argument("--work", help="where the stages' results are kept; --out if absent")
    args.add_argument("--seed", type=int, help="another seed for the mapping; no files")
    args.add_argument("--full", type=float, help="a learning rate: tune everything in place of the mapper adapter; no files")
    args.add_argument("--only", help="train this adapter into --work and stop, so that two can be trained at once")
    args = args.parse_args()
    with open(args.config, encoding="utf-8") as f:
        c = yaml.safe_load(f)
    work = args.work or args.out
    os.makedirs(os.path.join(args.out, "eval"), exist_ok=True)
    os.makedirs(work, exist_ok=True)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    log = Log()
    cache = stages.Cache(work, log)
    net, tok, labels, data, matrices = learn(c, cache, args, log)
    if args.only:
        return
    rep = report.Report(c, net, tok, labels, data, matrices)
    print(json.dumps(rep.figures, indent=1))
    compared = args.seed or args.full
    with open(os.path.join(args.out if compared else work, "figures.json"), "w", encoding="utf-8") as f:
        json.dump(rep.figures, f, indent=1)
    if compared:
        return
    export.base(os.path.join(args.out, "base-f16.gguf"), net, tok, set(specials_of(tok)), c["name"])
    for name, p in c["adapters"].items():
        stages.attach(net, matrices[name], p)
        export.adapter(os.path.join(args.out, name + "-lora-f16.gguf"), net, p["alpha"], c["name"] + "-" + name)
    write_lexicon(os.path.join(args.out, "lexicon.tsv"), rep.entries, list(labels))
    write_sets(args.out, data, labels)
    notes = cache.notes()
    curve.draw(os.path.join(args.out, "loss.svg"), {name: values for note in notes for name, values in note["losses"].items()})
    rep.golden(os.path.join(args.out, "golden.jsonl"), args.out)
    _, version = mapping.taxonomy()
    doc = manifest(c, args.out, labels, version, net, rep, sum(note["seconds"] for note in notes))
    with open(os.path.join(args.out, "manifest.yaml"), "w", encoding="utf-8") as f:
        yaml.safe_dump(doc, f, sort_keys=False, width=120)


def specials_of(tok):
    """The pieces in angle brackets that were put into the vocabulary, apart from the control ones and bytes."""
    pieces = (tok.id_to_piece(i) for i in range(len(tok)) if not (tok.is_control(i) or tok.is_unknown(i) or tok.is_byte(i)))
    return [p for p in pieces if p.startswith("<") and p.endswith(">") and len(p) > 2]


if __name__ == "__main__":
    main()
