"""What a trained model is worth: the development sets, answered as a user's requests are."""
import json
import random

import evaluate
import mapping
import stages
import verify
from lookup import Index
from normalize import words
from prompts import Prompts, whole


def sets(data, labels):
    """Returns [(name, [(detector, text, accepted labels)])]."""
    taught = {text for text, _ in data.phrases + data.wide + data.sentences}
    out = [(name, [("detector", text, accept) for _, text, accept in rows]) for name, rows in data.held.items()]
    unseen = [row for row in mapping.rows(mapping.UNSEEN) if words(row[1]) not in taught]
    return [("unseen detectors", unseen)] + out + [("nonsense", data.nonsense)] + [("known vendor labels", mapping.vendors())]


class Asked:
    """Every set as a user's requests put it, with the lexicon's evidence, and what the lookups answer."""

    def __init__(self, data, labels, tok):
        self.labels = list(labels)
        number = {label: i for i, label in enumerate(labels)}
        self.entries = data.entries(number)
        index = Index(self.entries, whole(tok))
        self.sets = sets(data, labels)
        self.items = [(mapping.kind_of_detector(d), words(text), index.evidence(words(text))) for _, rows in self.sets for d, text, _ in rows]
        self.right = [{number[a] for a in accept} for _, rows in self.sets for _, _, accept in rows]
        self.lookups = evaluate.lookups(index, [text for _, text, _ in self.items])

    def spans(self):
        start = 0
        for name, rows in self.sets:
            yield name, start, start + len(rows)
            start += len(rows)


class Report:
    """Answers every set once, by the adapter that a request would go to, and makes figures of it."""

    def __init__(self, c, net, tok, asked, matrices):
        self.net, self.tok, self.asked, self.matrices, self.c = net, tok, asked, matrices, c
        self.logits, self.route = self.answer(asked.items)
        self.calibrate(sum(len(rows) for name, rows in asked.sets if name != "known vendor labels"))
        self.figures = [self.figure(name, i, j) for name, i, j in asked.spans()]
        for f in self.figures:
            print("%-26s n %4d  top1 %.3f top3 %.3f ece %.3f | exact %.3f words %.3f trigrams %.3f  p %.4f" % (
                f["set"], f["n"], f["top1"], f["top3"], f["ece"], f["exact"], f["words"], f["trigrams"], f["mcnemar"]), flush=True)

    def answer(self, items):
        """Returns logits, and the name of the adapter that gave each row."""
        names = list(self.c["adapters"])
        least = {name: self.c["adapters"][name]["min_words"] for name in names}
        route = [max((n for n in names if least[n] <= len(text.split())), key=lambda n: least[n]) for _, text, _ in items]
        out = [None] * len(items)
        for name in names:
            stages.attach(self.net, self.matrices[name], self.c["adapters"][name])
            rows = [i for i, r in enumerate(route) if r == name]
            if rows:
                for i, logits in zip(rows, stages.answer(self.net, self.tok, self.asked.labels, [items[i] for i in rows])):
                    out[i] = logits
        return stages.stack(out), route

    def calibrate(self, dev):
        """Fits each adapter's temperature on the even rows of the development sets."""
        self.temperature, self.p = {}, self.logits.clone()
        for name in self.c["adapters"]:
            rows = [i for i in range(0, dev, 2) if self.route[i] == name]
            t = evaluate.temperature(self.logits[rows], [self.asked.right[i] for i in rows]) if rows else 1.0
            self.temperature[name] = t
            own = [i for i, r in enumerate(self.route) if r == name]
            self.p[own] = (self.logits[own] / t).softmax(1)
        odd = list(range(1, dev, 2))
        self.ece = evaluate.calibration_error(self.p[odd], [self.asked.right[i] for i in odd])
        self.covered = evaluate.covered(self.p[:dev], self.asked.right[:dev], 0.7)
        print("temperatures", self.temperature, "ece %.4f" % self.ece, "right of the most confident 70 %%: %.4f" % self.covered)

    def figure(self, name, i, j):
        p, right = self.p[i:j], self.asked.right[i:j]
        hit = [int(a) in r for a, r in zip(p.argmax(1), right)]
        hits = {n: [a in r for a, r in zip(answers[i:j], right)] for n, answers in self.asked.lookups.items()}
        best = max(hits, key=lambda n: sum(hits[n]))
        n = max(1, j - i)
        return {"set": name, "n": j - i, "top1": round(sum(hit) / n, 4), "top3": round(evaluate.top(p, right, 3), 4),
                "ece": round(evaluate.calibration_error(p, right), 4), **{k: round(sum(v) / n, 4) for k, v in hits.items()},
                "mcnemar": round(evaluate.mcnemar(hit, hits[best]), 5)}

    def golden(self, path, out):
        """Writes prompts with the answers that the files give."""
        prompts, chosen = Prompts(self.tok), random.Random(self.c["seed"]).sample(range(len(self.asked.items)), min(96, len(self.asked.items)))
        asked = [(detector, text) for _, rows in self.asked.sets for detector, text, _ in rows]
        tokens = {i: prompts(self.asked.items[i][0], self.asked.items[i][1], evidence=self.asked.items[i][2]) for i in chosen}
        with open(path, "w", encoding="utf-8") as f:
            for name in self.c["adapters"]:
                own = [i for i in chosen if self.route[i] == name]
                logits = verify.logits(out, name, [tokens[i] for i in own], self.tok, self.asked.labels)
                if logits is None:
                    logits = self.logits[own]
                elif own:
                    worst = float((logits.softmax(1) - self.logits[own].softmax(1)).abs().max())
                    print(f"{name}: llama.cpp and PyTorch on {len(own)} prompts, largest difference of a probability {worst:.5f}", flush=True)
                    if worst > 0.01:
                        raise ValueError("llama.cpp and PyTorch disagree")
                for i, p in zip(own, (logits / self.temperature[name]).softmax(1)):
                    value, index = p.topk(3)
                    best = [[self.asked.labels[k], round(float(v), 4)] for v, k in zip(value, index)]
                    f.write(json.dumps({"detector": asked[i][0], "finding": asked[i][1], "text": self.asked.items[i][1], "adapter": name, "tokens": tokens[i],
                                        "label": best[0][0], "p": best[0][1], "candidates": best}) + "\n")
