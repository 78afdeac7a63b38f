"""As much of the package transformers as llama.cpp's converters ask of it for a Llama, and the types that Debian's torch is
too old for: Debian does not have the package. convert_test.sh alone uses it; with the real one it is not needed.
"""
import json
import os

import torch

for name in ("float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "uint16", "uint32", "uint64"):
    if not hasattr(torch, name):
        setattr(torch, name, name)


class AutoConfig:
    @staticmethod
    def from_pretrained(folder, trust_remote_code=False):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
            doc = json.load(f)
        config = AutoConfig()
        config.to_dict = lambda: doc
        return config


class AutoTokenizer:
    pass
