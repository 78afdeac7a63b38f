"""What every stage of training needs: a schedule of rates, a step, batches of one length, drawn ahead."""
import math
import multiprocessing

import torch


def schedule(optimizer, steps, rates):
    """Warms up over a twentieth of the steps, then falls to a tenth along a cosine."""
    def at(step):
        warm = max(1, steps // 20)
        return step / warm if step < warm else 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))

    def set_rate(step):
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate * at(step + 1)
    return set_rate


def step(optimizer, loss, parameters):
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()


def bucketed(draw, length, batch, rng):
    """Yields batches of drawn items of about one length."""
    while True:
        items = sorted((draw() for _ in range(8 * batch)), key=length)
        batches = [items[i: i + batch] for i in range(0, len(items), batch)]
        rng.shuffle(batches)
        yield from batches


def ahead(items, most=8):
    """Yields what items yields, which a process of its own draws, at most so many ahead, so that learning does not
    wait for it. The items are the same as without it."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue(most)

    def work():
        for item in items:
            queue.put(item)

    process = context.Process(target=work, daemon=True)
    process.start()
    try:
        while True:
            yield queue.get(timeout=600)
    finally:
        process.kill()
