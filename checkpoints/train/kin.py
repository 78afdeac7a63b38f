"""Words that the lexicon lacks and that mean what its words mean, by the teacher: examples with them teach that near words
have one label.

A word is kin to the words of a label if most of the words that are nearest to it, among those that tell of one label,
tell of that label.
"""
import numpy as np

from teacher import unit

NEAREST = 5     # words that vote on a word's label, by how near they are
LEAST = 0.45    # cosine of the nearest one, at least
SHARE = 0.6     # of the votes that a label needs
PURE = 0.6      # of the phrases with a word that a label needs, if the word tells of it


def telling(phrases):
    """Returns {word: label} of the words that stand mostly for one label."""
    of = {}
    for phrase, label in phrases:
        for w in set(phrase.split()):
            of.setdefault(w, []).append(label)
    out = {}
    for w, labels in of.items():
        most = max(sorted(set(labels)), key=labels.count)
        if len(w) > 2 and w.isalpha() and labels.count(most) >= PURE * len(labels):
            out[w] = most
    return out


def find(phrases, words, meaning):
    """Returns [(word of the phrases, its label, a word that is kin to it)]; words are those to choose from, and meaning
    gives texts their vectors."""
    told = telling(phrases)
    known = sorted(told)
    words = [w for w in words if w not in told]
    at, out = meaning(known), []
    mean = at.mean(0)
    at = unit(at - mean)
    for first in range(0, len(words), 4096):
        own = words[first: first + 4096]
        near = unit(meaning(own) - mean) @ at.T
        best = np.argsort(-near, axis=1, kind="stable")[:, :NEAREST]
        for w, row, columns in zip(own, near, best):
            votes = {}
            for i in columns:
                votes[told[known[i]]] = votes.get(told[known[i]], 0) + float(row[i])
            label = max(sorted(votes), key=votes.get)
            if row[columns[0]] >= LEAST and votes[label] >= SHARE * sum(votes.values()):
                out += [(known[i], label, w) for i in columns if told[known[i]] == label]
    return out
