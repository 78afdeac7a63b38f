"""Figures: agreement, calibration, and lookups to compare with."""
import math

import torch


def top(logits, right, n):
    """The share of rows with an accepted label among the first n."""
    best = logits.topk(n).indices.tolist()
    return sum(bool(set(b) & r) for b, r in zip(best, right)) / max(1, len(right))


def calibration_error(p, right, bins=10):
    """Expected calibration error over equal bins (Guo et al. 2017)."""
    confidence, chosen = p.max(1)
    hit = torch.tensor([float(int(i) in r) for i, r in zip(chosen, right)])
    total = 0.0
    for low in range(bins):
        inside = (confidence > low / bins) & (confidence <= (low + 1) / bins)
        if inside.any():
            total += float((confidence[inside].mean() - hit[inside].mean()).abs() * inside.sum())
    return total / max(1, len(right))


def temperature(logits, right):
    """The divisor of the logits with the least negative log-likelihood of an accepted label, from a fixed grid."""
    def loss(t):
        p = (logits / t).softmax(1)
        return -sum(math.log(max(1e-9, float(p[i, sorted(r)].sum()))) for i, r in enumerate(right))
    return min((round(0.5 + 0.05 * i, 2) for i in range(51)), key=loss)


def covered(p, right, share):
    """The share of right answers among the given share of the most confident."""
    confidence, chosen = p.max(1)
    order = confidence.argsort(descending=True)[: max(1, int(share * len(right)))]
    return sum(int(chosen[i]) in right[i] for i in order.tolist()) / max(1, len(order))


def mcnemar(a, b):
    """The two-sided exact probability of so unequal a split where only one of two systems is right (McNemar 1947)."""
    only_a, only_b = sum(x and not y for x, y in zip(a, b)), sum(y and not x for x, y in zip(a, b))
    n, k = only_a + only_b, min(only_a, only_b)
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2 ** n)


def lookups(index, texts):
    """Returns {name: label numbers} of three lookups; -1 where nothing is shared."""
    out = {"exact": [], "words": [], "trigrams": []}
    for text in texts:
        _, by_words, by_trigrams = index.nearness(text)
        out["exact"].append(int(index.labels[index.exact[text]]) if text in index.exact else -1)
        for name, near in (("words", by_words), ("trigrams", by_trigrams)):
            out[name].append(int(index.labels[near.argmax()]) if near.max() > 0 else -1)
    return out
