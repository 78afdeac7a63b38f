"""Training examples: from the lexicon and the vendors' tables to (kind, words, label)."""
import glob
import json
import os
import random

import yaml

from normalize import words

HERE = os.path.dirname(os.path.abspath(__file__))
TAXONOMY = os.path.join(HERE, "..", "..", "config", "taxonomy.yaml")
VENDORS = os.path.join(HERE, "..", "mapper-tiny", "vendor-2025.09.jsonl")

# The kinds of detector, and the words in a detector's name that tell them; the first match counts.
KINDS = [
    ("<secret>", ["secret", "gitleaks", "trufflehog", "credential"]),
    ("<attack>", ["prompt-guard", "promptguard", "prompt-shield", "jailbreak", "injection", "rebuff", "lakera"]),
    ("<bias>", ["bias", "fairness"]),
    ("<quality>", ["hallucination", "grounded", "factual", "relevance"]),
    ("<pii>", ["pii", "presidio", "gliner", "dlp", "comprehend", "deidentif", "privacy"]),
    ("<harm>", ["moderation", "toxic", "detoxify", "perspective", "content-safety", "llama-guard", "wildguard", "hate"]),
]
DEFAULT = "<any>"

# The kind that a label's own detectors are of.
KIND_OF = {
    "PII": "<pii>", "SECURITY.Credential": "<secret>", "SECURITY": "<attack>", "JAILBREAK": "<attack>",
    "PROMPT_INJECTION": "<attack>", "HARM": "<harm>", "BIAS": "<bias>",
    "OTHER.Hallucination": "<quality>", "OTHER.FactualError": "<quality>", "OTHER.LowQuality": "<quality>", "OTHER.OffTopic": "<quality>",
}

BEFORE = ["contains", "category", "detected", "potential", "possible", "found", "type", "class", "risk", "label", "us", "is", "high", "low"]
AFTER = ["detected", "found", "content", "category", "risk", "score", "high", "low", "violation", "present", "in text", "2", "4", "6", "v 2", "flag"]
NONE = ["no {}", "no {} detected", "no {} found", "not {}", "{} not detected", "{} false", "{} none", "free of {}", "without {}"]
ASKS = ["the user asks for {}", "text contains {}", "message is about {}", "response includes {}", "content with {}", "request about {}"]


def taxonomy():
    """Returns {label: text}, in the order of their codes, and the version."""
    with open(TAXONOMY, encoding="utf-8") as f:
        doc = yaml.safe_load(f)
    return {entry["id"]: entry["text"] for entry in doc["labels"]}, doc["version"]


def lexicon(labels):
    """Returns {words: label} of all lexicon files; a phrase under two labels is an error."""
    out = {}
    for path in lexicon_files():
        with open(path, encoding="utf-8") as f:
            for label, phrases in yaml.safe_load(f).items():
                if label not in labels:
                    raise ValueError(f"{path}: {label} is not in the taxonomy")
                for phrase in phrases:
                    phrase = words(str(phrase))
                    if out.setdefault(phrase, label) != label:
                        raise ValueError(f"{path}: {phrase!r} is under {label} and {out[phrase]}")
    return out


def lexicon_files():
    return sorted(glob.glob(os.path.join(HERE, "lexicon", "*.yaml")))


def vendors():
    """Returns [(detector, native label, accepted labels)]."""
    with open(VENDORS, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    return [(r["detector"], r["label"], r["accept"]) for r in rows]


def kind_of_detector(name):
    name = name.lower()
    return next((kind for kind, match in KINDS if any(word in name for word in match)), DEFAULT)


def kind_of_label(label):
    return next((kind for prefix, kind in KIND_OF.items() if label.startswith(prefix)), DEFAULT)


class Examples:
    """Draws varied examples of a list of (phrase, label)."""

    def __init__(self, phrases, seed):
        self.random = random.Random(seed)
        self.phrases = phrases
        self.labels = {}
        for phrase, label in phrases:
            self.labels.setdefault(label, []).append(phrase)

    def draw(self):
        """Returns (kind, words, label). Every label comes half by its share of phrases, half equally often."""
        r = self.random
        phrase, label = r.choice(self.phrases)
        if r.random() < 0.5:
            label = r.choice(list(self.labels))
            phrase = r.choice(self.labels[label])
        kind = DEFAULT if r.random() < 0.55 else kind_of_label(label)
        if label.startswith(("PII", "HARM", "BIAS", "JAILBREAK", "PROMPT", "SECURITY")) and r.random() < 0.03:
            return kind, r.choice(NONE).format(phrase), "OTHER.Safe"
        x = r.random()
        if x < 0.10:
            phrase = r.choice(BEFORE) + " " + phrase
        elif x < 0.22:
            phrase = phrase + " " + r.choice(AFTER)
        elif x < 0.27:
            phrase = r.choice(ASKS).format(phrase)
        elif x < 0.33:
            phrase = phrase + " " + r.choice(self.labels[label])
        if r.random() < 0.15:
            phrase = self.misspell(phrase)
        return kind, phrase, label

    def misspell(self, phrase):
        r = self.random
        parts = phrase.split()
        i = r.randrange(len(parts))
        w = parts[i]
        if len(w) > 4:
            k = r.randrange(1, len(w) - 1)
            w = r.choice([w[:k] + w[k + 1:], w[:k] + w[k + 1] + w[k] + w[k + 2:], w[:k] + w[k] + w[k:], w[: max(4, k + 1)]])
        elif len(parts) > 1:
            w = ""
            if i + 1 < len(parts):
                parts[i + 1] = parts[i] + parts[i + 1]
        parts[i] = w
        return " ".join(p for p in parts if p)
