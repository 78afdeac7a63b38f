"""What there is to learn the mapping from: the taxonomy, the lexicon, sentences, contexts, the vendors' tables."""
import glob
import hashlib
import json
import os

import yaml

from normalize import words

HERE = os.path.dirname(os.path.abspath(__file__))
TAXONOMY = os.path.join(HERE, "..", "..", "config", "taxonomy.yaml")
VENDORS = os.path.join(HERE, "..", "mapper-tiny", "vendor-2025.09.jsonl")

# The kinds of detector, and the words in a detector's name that tell them; the first match counts.
KINDS = [
    ("<secret>", ["secret", "gitleaks", "trufflehog", "gitguardian", "credential"]),
    ("<attack>", ["prompt-guard", "prompt_guard", "promptguard", "prompt-shield", "prompt_shield", "jailbreak", "injection", "rebuff", "lakera"]),
    ("<bias>", ["bias", "fairness"]),
    ("<quality>", ["hallucination", "grounded", "factual", "relevance", "faithful", "quality"]),
    ("<pii>", ["pii", "presidio", "gliner", "dlp", "comprehend", "deidentif", "privacy", "redact", "macie"]),
    ("<harm>", ["moderation", "toxic", "detoxify", "perspective", "content-safety", "content_safety", "contentsafety", "llama-guard",
                "llama_guard", "llamaguard", "wildguard", "shieldgemma", "hatebert", "hate-speech", "hate_speech", "hatespeech", "nsfw"]),
]
DEFAULT = "<any>"

# The kind that a label's own detectors are of.
KIND_OF = {
    "PII": "<pii>", "SECURITY.Credential": "<secret>", "SECURITY": "<attack>", "JAILBREAK": "<attack>",
    "PROMPT_INJECTION": "<attack>", "HARM": "<harm>", "BIAS": "<bias>",
    "OTHER.Hallucination": "<quality>", "OTHER.FactualError": "<quality>", "OTHER.LowQuality": "<quality>", "OTHER.OffTopic": "<quality>",
}

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


def files():
    """Everything that the mapping is learnt from, apart from the dictionaries."""
    return lexicon_files() + [os.path.join(HERE, name) for name in ("contexts.yaml", "sentences.yaml")] + [os.path.normpath(VENDORS)]


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


def sentences():
    """Returns [(words, label)] of sentences.yaml."""
    with open(os.path.join(HERE, "sentences.yaml"), encoding="utf-8") as f:
        return [(words(s), label) for label, own in yaml.safe_load(f).items() for s in own]


def contexts():
    """Returns {words: {kind: label}} of contexts.yaml."""
    with open(os.path.join(HERE, "contexts.yaml"), encoding="utf-8") as f:
        return yaml.safe_load(f)


def held_out(text, share):
    """Whether a text is kept from training; it depends on the text alone, so that it stays so as the lexicon grows."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) < share * 2 ** 32


class Data:
    """All of it, with a share of phrases and sentences held out."""

    def __init__(self, labels, share):
        table = vendors()
        self.known = {words(native): accept[0] for _, native, accept in table}
        self.vendors = [(kind, words(native), accept[0]) for d, native, accept in table for kind in (kind_of_detector(d), DEFAULT)]
        self.contexts = contexts()
        every = sorted((p, l) for p, l in lexicon(labels).items() if p not in self.known)
        self.held = [(p, l) for p, l in every if held_out(p, share) and p not in self.contexts]
        told = {p for p, _ in self.held}
        self.phrases = [(p, l) for p, l in every if p not in told] + sorted(self.known.items())
        self.phrases += [(words(label), label) for label in labels]
        self.phrases += [(words(text), label) for label, text in labels.items()]
        self.held_sentences = [(s, l) for s, l in sentences() if held_out(s, share)]
        self.sentences = [(s, l) for s, l in sentences() if not held_out(s, share)]
        self.sentences.append(("", "OTHER.Unknown"))  # a finding without a letter of a-z
