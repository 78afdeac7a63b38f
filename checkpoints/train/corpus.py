"""Text to learn words from: dictionaries and thesauri that Debian packages.

wordnet-base, dict-gcide and dict-foldoc for English; dict-freedict-* and mythes-* for German, French, Spanish, Italian,
Portuguese and Dutch. What is learnt from them is what words mean; no label of the taxonomy comes from here.
"""
import gzip
import os
import re

from normalize import words

WORDNET = "/usr/share/wordnet"
DICTIONARIES = "/usr/share/dictd/{}.dict.dz"
THESAURI = "/usr/share/mythes/{}.dat"
LANGUAGES = {  # of freedict, and the thesaurus with its encoding (there is none for Dutch)
    "deu": ("th_de_DE_v2", "utf-8"), "fra": ("thes_fr", "utf-8"), "spa": ("th_es_ES_v2", "latin-1"),
    "ita": ("th_it_IT_v2", "utf-8"), "por": ("th_pt_PT_v2", "utf-8"), "nld": None,
}


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


def hyponyms(roots):
    """Returns {words: root} of the nouns under synsets that are named lemma.n.sense, each with the nearest root above it.

    A single word counts only if this is its first sense.
    """
    senses, below, lemmas = {}, {}, {}
    with open(os.path.join(WORDNET, "index.noun"), encoding="utf-8") as f:
        for line in f:
            if not line.startswith("  "):
                fields = line.split()
                senses[fields[0]] = fields[-int(fields[2]):]
    with open(os.path.join(WORDNET, "data.noun"), encoding="utf-8") as f:
        for line in f:
            if line.startswith("  "):
                continue
            fields = line.partition("|")[0].split()
            n = int(fields[3], 16)
            lemmas[fields[0]] = fields[4: 4 + 2 * n: 2]
            pointers = fields[5 + 2 * n:]
            for kind, to in zip(pointers[0::4], pointers[1::4]):
                if kind.startswith("@"):
                    below.setdefault(to, []).append(fields[0])
    out, seen = {}, set()
    level = [(senses[root.split(".")[0]][int(root.split(".")[2]) - 1], root) for root in roots]
    while level:
        level = [(synset, root) for synset, root in dict(level).items() if synset not in seen]
        seen.update(synset for synset, _ in level)
        for synset, root in level:
            for lemma in lemmas[synset]:
                if "_" in lemma or senses[lemma.lower()][0] == synset:
                    out.setdefault(words(lemma), root)
        level = [(child, root) for synset, root in level for child in below.get(synset, ())]
    return {text: root for text, root in out.items() if len(text) > 2}


def paragraphs(name, limit):
    """Yields the paragraphs of a dictionary in dictd's format, at most limit."""
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


def meanings(text):
    """Splits the line of a freedict entry into words: without numbers, remarks in brackets and grammar."""
    text = re.sub(r"^\s*\d+\.|\[[^]]*\]|<[^>]*>|\([^)]*\)|\{[^}]*\}", " ", text)
    return [m for m in (words(part) for part in re.split(r"[,;/]", text)) if m]


def entries(name, limit):
    """Yields (word, meanings) of a freedict dictionary, at most limit."""
    with gzip.open(DICTIONARIES.format("freedict-" + name), "rt", encoding="utf-8", errors="replace") as f:
        head, own, count = None, [], 0
        for line in f:
            match = re.match(r"(\S[^/]*) /[^/]*/", line)
            if match:
                if head and own:
                    yield head, own
                    count += 1
                    if count == limit:
                        return
                head, own = words(re.sub(r"\([^)]*\)", " ", match[1])), []
            elif head and line.strip() and not line.startswith("   ") and "see:" not in line:
                own += meanings(line)


def translations(limit):
    """Yields (foreign words, English words), both short, from the dictionaries of both directions."""
    for language in LANGUAGES:
        for head, own in entries(language + "-eng", limit):
            for meaning in own[:3]:
                yield head, meaning
        if language == "deu":
            continue  # the other direction has the same pairs
        for head, own in entries("eng-" + language, limit):
            for foreign in own:
                yield foreign, head


def glossary(limit):
    """Returns {language: {English word: [foreign words]}} of single words."""
    out = {language: {} for language in LANGUAGES}
    for language, own in out.items():
        for head, meaning in entries(language + "-eng", limit):
            for m in meaning[:2]:
                if " " not in m and " " not in head and len(own.setdefault(m, [])) < 6:
                    own[m].append(head)
    return out


def thesauri(limit):
    """Yields lists of foreign words that mean about the same, the first of them the entry's own."""
    for source in filter(None, LANGUAGES.values()):
        with open(THESAURI.format(source[0]), encoding=source[1], errors="replace") as f:
            f.readline()
            for _ in range(limit):
                head, _, count = f.readline().rpartition("|")
                if not head:
                    break
                for _ in range(int(count)):
                    same = [words(re.sub(r"\([^)]*\)", " ", w)) for w in f.readline().split("|")[1:]]
                    yield [w for w in [words(head)] + same if w]


def lines(limit, dictionaries):
    """Yields normalised text to make a vocabulary of, about a sentence to a paragraph at a time."""
    for lemmas, gloss in synsets(limit):
        yield " ".join(lemmas) + " " + gloss
    for name in dictionaries:
        yield from paragraphs(name, limit)
    for foreign, _ in translations(limit):
        yield foreign
