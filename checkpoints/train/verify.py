"""Answers prompts with llama.cpp itself, from the files as they ship."""
import glob
import os
import subprocess
import tempfile

import torch

from prompts import codes

HERE = os.path.dirname(os.path.abspath(__file__))


def library():
    """Returns the directory of libllama.so, or None where LLAMA_LIB_DIR does not name one."""
    folder = os.environ.get("LLAMA_LIB_DIR", "")
    found = sorted(glob.glob(os.path.join(folder, "**", "libllama.so"), recursive=True)) if folder else []
    return os.path.dirname(found[0]) if found else None


def logits(checkpoint, adapter, prompts, tok, labels):
    """Returns the logits of the labels' codes for lists of token ids, or None without llama.cpp."""
    libraries = library()
    if not libraries or not prompts:
        return None
    source = os.environ["LLAMA_CPP_SRC"]
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "verify")
        subprocess.run(
            ["c++", "-std=c++17", "-O1", "-I", os.path.join(source, "include"), "-I", os.path.join(source, "ggml", "include"),
             os.path.join(HERE, "verify.cpp"), "-o", program, "-L", libraries, "-lllama", "-lggml", "-lggml-base",
             "-Wl,-rpath," + libraries], check=True)
        first = tok.piece_to_id(codes(labels)[0])
        out = subprocess.run(
            [program, os.path.join(checkpoint, "base-f16.gguf"), os.path.join(checkpoint, adapter + "-lora-f16.gguf"), "1", str(first), str(len(labels))],
            input="".join(" ".join(map(str, ids)) + "\n" for ids in prompts), check=True, capture_output=True, text=True).stdout
    return torch.tensor([[float(x) for x in line.split()] for line in out.splitlines()])
