"""Holds a checkpoint to llama.cpp: verify.py CHECKPOINT

Compiles verify.cpp against LLAMA_CPP_SRC's headers and LLAMA_LIB_DIR's libraries, and lets it answer the vendors'
table and the golden rows with the files as they ship. Prints agreement and every miss.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

import torch
import yaml

import evaluate
import mapping
from normalize import words

HERE = os.path.dirname(os.path.abspath(__file__))


def library():
    """Returns the directory of libllama.so, or None where LLAMA_LIB_DIR does not name one."""
    folder = os.environ.get("LLAMA_LIB_DIR", "")
    found = sorted(glob.glob(os.path.join(folder, "**", "libllama.so"), recursive=True)) if folder else []
    return os.path.dirname(found[0]) if found else None


def answers(checkpoint, items, first, count, scale=1.0):
    """Returns (token ids of each prompt, logits of the codes) of [(kind, words)], as llama.cpp computes them."""
    libraries, source = library(), os.environ["LLAMA_CPP_SRC"]
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "verify")
        subprocess.run(
            ["c++", "-std=c++17", "-O1", "-I", os.path.join(source, "include"), "-I", os.path.join(source, "ggml", "include"),
             os.path.join(HERE, "verify.cpp"), "-o", program, "-L", libraries, "-lllama", "-lggml", "-lggml-base",
             "-Wl,-rpath," + libraries], check=True)
        out = subprocess.run(
            [program, os.path.join(checkpoint, "base-f16.gguf"), os.path.join(checkpoint, "mapper-lora-f16.gguf"), str(scale), str(first), str(count)],
            input="".join(f"{kind}\t{text}\n" for kind, text in items), check=True, capture_output=True, text=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]
    return [[int(i) for i in ids.split()] for ids, _ in rows], torch.tensor([[float(x) for x in logits.split()] for _, logits in rows])


def check_vendors(names, table, logits):
    """Prints every native label that is mapped to something else than accepted, and returns the agreement."""
    order = {name: i for i, name in enumerate(names)}
    for (detector, native, accept), row in zip(table, logits):
        if names[int(row.argmax())] not in accept:
            print(f"miss: {detector} {native}: {names[int(row.argmax())]}, not {' or '.join(accept)}")
    return evaluate.top(logits, [{order[a] for a in accept} for _, _, accept in table], 1)


def main():
    checkpoint = sys.argv[1]
    with open(os.path.join(checkpoint, "manifest.yaml"), encoding="utf-8") as f:
        manifest = yaml.safe_load(f)
    with open(os.path.join(checkpoint, "golden.jsonl"), encoding="utf-8") as f:
        golden = [json.loads(line) for line in f]
    names, t = list(manifest["codec"]["codes"]), manifest["calibration"]["temperature"]
    table = mapping.vendors()
    items = [(mapping.kind_of_detector(d), words(native)) for d, native, _ in table] + [(g["kind"], g["text"]) for g in golden]
    first = 3 + len(manifest["prompt"]["kinds"]) + 2  # <unk> <s> </s>, the kinds, <any>, <A>
    tokens, logits = answers(checkpoint, items, first, len(names), manifest["adapters"][0]["scale"])
    agreement = check_vendors(names, table, logits[: len(table)])
    worst = 0.0
    for g, ids, p in zip(golden, tokens[len(table):], (logits[len(table):] / t).softmax(1)):
        if ids != g["tokens"] or words(g["finding"]) != g["text"] or names[int(p.argmax())] != g["label"]:
            sys.exit(f"golden row {g} is {names[int(p.argmax())]} with tokens {ids}")
        worst = max(worst, abs(float(p.max()) - g["p"]))
    print(f"llama.cpp: {agreement:.4f} of {len(table)} native labels agree; {len(golden)} golden rows, largest difference {worst:.5f}")
    if agreement < 0.97 and manifest["name"] != "smoke" or worst > 0.001:
        sys.exit("that is not good enough")


if __name__ == "__main__":
    main()
