"""Figures: agreement, calibration, and a lookup to compare with."""
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
    """The divisor of the logits with the least negative log-likelihood, from a fixed grid."""
    y = torch.tensor([min(r) for r in right])
    grid = [0.5 + 0.05 * i for i in range(51)]
    return round(min(grid, key=lambda t: float(torch.nn.functional.cross_entropy(logits / t, y))), 2)


def calibrate(logits, right):
    """Fits the temperature on the even rows; the error is of the odd ones. Returns (temperature, error)."""
    t = temperature(logits[0::2], right[0::2])
    return t, calibration_error((logits[1::2] / t).softmax(1), right[1::2])


def overlap(phrases, items):
    """The label of the training phrase that shares the most words, weighted by their rarity; None if none shares any."""
    count = {}
    for phrase, _ in phrases:
        for w in set(phrase.split()):
            count[w] = count.get(w, 0) + 1

    def weight(of):
        return sum(math.log(len(phrases) / count.get(w, 1)) for w in of)

    known = [(set(phrase.split()), label) for phrase, label in phrases]
    out = []
    for item in items:
        own = set(item.split())
        best = max(known, key=lambda k: weight(own & k[0]) / max(1e-9, weight(own | k[0])))
        out.append(best[1] if own & best[0] else None)
    return out
