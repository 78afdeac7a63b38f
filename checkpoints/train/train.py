"""Trains a checkpoint: train.py --config mapper-tiny.yaml --out DIR [--work DIR] [--start DIR] [--full RATE]

Needs Debian's python3-torch, python3-numpy, python3-yaml, python3-sentencepiece, libopenblas0-pthread, the dictionaries
of corpus.py, npm for the teacher, and LLAMA_CPP_SRC for gguf-py. What each stage makes is kept in --work (or --out): a
run that was stopped goes on with the first stage that was not finished. --start takes the base of a checkpoint of this
vocabulary in place of the stages before refining. The seeds of the settings are trained at once, each by a process of its
own. --full tunes everything in place of the mapper's adapter, for comparison, and writes no files but figures-full.json.
With LLAMA_LIB_DIR the golden rows are llama.cpp's, computed from the files that were written; without it they are PyTorch's.
"""
import argparse
import hashlib
import json
import multiprocessing
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


def manifest(c, out, labels, version, net, rep, training):
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
        "training": training,
        "data": [{"file": os.path.relpath(p, os.path.dirname(HERE)), "sha256": sha256(p)} for p in mapping.files()],
    }


def origin(start):
    """What the manifest says of the checkpoint that training goes on from."""
    with open(os.path.join(start, "manifest.yaml"), encoding="utf-8") as f:
        return {"version": yaml.safe_load(f)["version"], "sha256": sha256(os.path.join(start, "base-f16.gguf"))}


class Training:
    """The stages, as far as they are done in the cache, for the settings c."""

    def __init__(self, c, cache, start, log):
        self.c, self.cache, self.log = c, cache, log
        self.labels, _ = mapping.taxonomy()
        self.data = mapping.Data(self.labels, c)
        specials = [mapping.DEFAULT] + [k for k, _ in mapping.KINDS] + [prompts.ANSWER] + prompts.grades() + prompts.codes(self.labels)
        self.glossary = corpus.glossary(c["texts"])
        english = [(phrase, label) for phrase, label in self.data.phrases + self.data.wide if phrase not in self.data.abroad]
        self.kin = pretrain.relatives(c, cache, english, mapping.vocabulary(self.data.told))
        key = [c.get(k) for k in ("mix", "dropout", "evidence", "smoothing", "holdout", "heads", "net")] + [self.data.fingerprint()]
        self.start = start and origin(start)
        if start:
            path = os.path.join(start, "base-f16.gguf")
            key.append(self.start["sha256"])
            _, self.tok = pretrain.vocabulary(c, cache, mapping.familiar(), specials)
            self.net = export.load(path, c["net"], self.tok)
            self.begun = {name: x.clone() for name, x in self.net.state_dict().items()}
        else:
            key += [c.get(k) for k in ("base", "pretrain", "widen", "seed")]
            self.tok, self.net = pretrain.run(c, cache, mapping.familiar(), specials, mapping.DEFAULT, log)
            self.begun = torch.load(cache.make("base.pt", key, self.base))
        self.key = key + [c["refine"], c["kin"]]
        self.asked = report.Asked(self.data, self.labels, self.tok)

    def source(self, seed, sentences, p):
        own = {k: p.get(k, self.c[k]) for k in ("mix", "evidence")}
        return examples.Examples(self.data, self.labels, seed, {**self.c, **own}, sentences, self.glossary, self.kin, prompts.whole(self.tok))

    def fit(self, p, seed, sentences, name):
        """Trains the net's own weights."""
        stages.base({**self.c, "seed": seed}, p, self.net, self.tok, self.labels, self.source(seed, sentences, p), self.log, name)

    def base(self, path):
        stages.begin(self.net, self.tok, self.labels, self.data)
        self.fit(self.c["base"], self.c["seed"] + 1, 0.12, "base")
        torch.save(self.net.state_dict(), path)

    def refine(self, seed):
        """Leaves in the net what refining with a seed makes of the base, and returns it."""
        def train(path):
            self.net.load_state_dict(self.begun)
            self.fit(self.c["refine"], seed, 0.12, f"refine {seed}")
            torch.save(self.net.state_dict(), path)

        stages.attach(self.net, {}, {})
        state = torch.load(self.cache.make(f"refine-{seed}.pt", self.key, train))
        self.net.load_state_dict(state)
        return state

    def adapter(self, name, seed):
        """Returns the matrices of an adapter on the net as it is."""
        p = self.c["adapters"][name]

        def train(path):
            source = self.source(100 + seed, p["sentences"], p)
            torch.save(stages.adapter({**self.c, "seed": seed}, name, self.net, self.tok, self.labels, source, self.log, f"{name} {seed}"), path)

        return torch.load(self.cache.make(f"{name}-{seed}.pt", self.key + [p], train))

    def one(self, seed):
        """Returns (weights, {adapter: matrices}) of one seed."""
        return self.refine(seed), {name: self.adapter(name, seed) for name in self.c["adapters"]}

    def report(self, matrices, ranks):
        """Figures of the net as it is, with adapters of {name: rank}."""
        adapters = {name: {**p, "rank": ranks.get(name, p["rank"])} for name, p in self.c["adapters"].items()}
        return report.Report({**self.c, "adapters": adapters}, self.net, self.tok, self.asked, matrices)

    def full(self, rate):
        """Figures of the first seed with everything tuned in place of the mapper's adapter."""
        p, seed = self.c["adapters"]["mapper"], self.c["seeds"][0]
        self.refine(seed)
        self.fit({**p, "rate": rate, "code_rate": rate}, 100 + seed, p["sentences"], "full")
        return self.report({name: {} for name in self.c["adapters"]}, {}).figures

    def mean(self):
        """Leaves the mean of all seeds in the net (model soups; Wortsman et al. 2022), and returns the report of it and the
        figures of each seed."""
        workers = [multiprocessing.get_context("fork").Process(target=self.one, args=(seed,)) for seed in self.c["seeds"]]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if any(worker.exitcode for worker in workers):
            raise RuntimeError("training with one of the seeds failed")
        runs, figures = [], []
        for seed in self.c["seeds"]:
            runs.append(self.one(seed))
            figures.append(self.report(runs[-1][1], {}).figures)
        stages.attach(self.net, {}, {})
        self.net.load_state_dict({name: sum(state[name] for state, _ in runs) / len(runs) for name in runs[0][0]})
        stages.round_to_half(self.net)
        mean = {name: stages.mean([own[name] for _, own in runs], self.c["mean_rank"][name], p["rank"]) for name, p in self.c["adapters"].items()}
        return self.report(mean, self.c["mean_rank"]), figures


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--config", required=True)
    args.add_argument("--out", required=True)
    args.add_argument("--work", help="where the stages' results are kept; --out if absent")
    args.add_argument("--start", help="a checkpoint; refining goes on from its base")
    args.add_argument("--full", type=float, help="a learning rate: tune everything in place of the mapper adapter; no files")
    args = args.parse_args()
    with open(args.config, encoding="utf-8") as f:
        c = yaml.safe_load(f)
    work = args.work or args.out
    os.makedirs(os.path.join(args.out, "eval"), exist_ok=True)
    os.makedirs(work, exist_ok=True)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    log = Log()
    cache = stages.Cache(work, log)
    training = Training(c, cache, args.start, log)
    if args.full:
        write_json(os.path.join(work, "figures-full.json"), training.full(args.full))
    else:
        rep, figures = training.mean()
        for seed, own in zip(c["seeds"] + ["mean"], figures + [rep.figures]):
            write_json(os.path.join(work, f"figures-{seed}.json"), own)
        write(c, args.out, training, rep)


def write_json(path, doc):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(doc, f, indent=1)


def write(c, out, training, rep):
    """Writes the checkpoint."""
    net, notes = training.net, training.cache.notes()
    done = {"seed": c["seed"], "seeds": c["seeds"], "steps": sum(len(values) for note in notes for values in note["losses"].values()),
            "wall_seconds": round(sum(note["seconds"] for note in notes)), "command": "make checkpoint", "torch": str(torch.__version__)}
    if training.start:
        done |= {"command": "make checkpoint START=DIR", "start": training.start}
    export.base(os.path.join(out, "base-f16.gguf"), net, training.tok, set(specials_of(training.tok)), c["name"])
    for name, p in rep.c["adapters"].items():
        stages.attach(net, rep.matrices[name], p)
        export.adapter(os.path.join(out, name + "-lora-f16.gguf"), net, p["alpha"], c["name"] + "-" + name)
    write_lexicon(os.path.join(out, "lexicon.tsv"), training.asked.entries, training.asked.labels)
    write_sets(out, training.data, training.labels)
    curve.draw(os.path.join(out, "loss.svg"), {name: values for note in notes for name, values in note["losses"].items()})
    rep.golden(os.path.join(out, "golden.jsonl"), out)
    _, version = mapping.taxonomy()
    doc = manifest(c, out, training.labels, version, net, rep, done)
    with open(os.path.join(out, "manifest.yaml"), "w", encoding="utf-8") as f:
        yaml.safe_dump(doc, f, sort_keys=False, width=120)


def specials_of(tok):
    """The pieces in angle brackets that were put into the vocabulary, apart from the control ones and bytes."""
    pieces = (tok.id_to_piece(i) for i in range(len(tok)) if not (tok.is_control(i) or tok.is_unknown(i) or tok.is_byte(i)))
    return [p for p in pieces if p.startswith("<") and p.endswith(">") and len(p) > 2]


if __name__ == "__main__":
    main()
