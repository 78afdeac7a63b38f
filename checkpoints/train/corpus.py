"""Text to learn words from: dictionaries that Debian packages (wordnet-base, dict-gcide, dict-foldoc)."""
import gzip
import os
import re

from normalize import words

WORDNET = "/usr/share/wordnet"
DICTIONARIES = "/usr/share/dictd/{}.dict.dz"


def synsets(limit):
    """Yields (lemmas, gloss) of WordNet's synsets, at most limit of each part of speech."""
    for part in ("noun", "verb", "adj", "adv"):
        with open(os.path.join(WORDNET, "data." + part), encoding="utf-8") as f:
            count = 0
            for line in f:
                if line.startswith("  "):
                    continue
                data, _, gloss = line.partition("|")
                fields = data.split()
                lemmas = [fields[4 + 2 * i] for i in range(int(fields[3], 16))]
                lemmas = [words(re.sub(r"\(.*\)", "", lemma)) for lemma in lemmas]
                yield [lemma for lemma in lemmas if lemma], words(gloss)
                count += 1
                if count == limit:
                    break


def lines(limit, dictionaries):
    """Yields normalised text, about a sentence to a paragraph at a time, at most limit of each source.

    WordNet always is one; dictionaries names the others.
    """
    for lemmas, gloss in synsets(limit):
        yield " ".join(lemmas) + " " + gloss
    for name in dictionaries:
        with gzip.open(DICTIONARIES.format(name), "rt", encoding="utf-8", errors="replace") as f:
            paragraph, count = [], 0
            for line in f:
                if line.strip():
                    paragraph.append(line)
                    continue
                yield words(" ".join(paragraph))
                paragraph = []
                count += 1
                if count == limit:
                    break
