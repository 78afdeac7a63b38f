"""Token embeddings from co-occurrence: PPMI of a window, factorised by a randomised SVD."""
import numpy as np
import torch


def cooccurrence(ids, vocabulary, window, keep):
    """Counts neighbours up to window apart, nearer ones more; ids has -1 between texts. Returns COO arrays."""
    keys, counts = np.empty(0, np.int64), np.empty(0, np.float32)
    for distance in range(1, window + 1):
        a, b = ids[:-distance], ids[distance:]
        fine = (a >= 0) & (b >= 0)
        key, n = np.unique(a[fine].astype(np.int64) * vocabulary + b[fine], return_counts=True)
        both = np.concatenate([keys, key])
        weight = np.concatenate([counts, (n / distance).astype(np.float32)])
        order = np.argsort(both, kind="stable")
        both, weight = both[order], weight[order]
        first = np.concatenate([[True], both[1:] != both[:-1]])
        keys = both[first]
        counts = np.add.reduceat(weight, np.flatnonzero(first)).astype(np.float32)
    fine = counts >= keep
    return keys[fine] // vocabulary, keys[fine] % vocabulary, counts[fine]


def embeddings(ids, vocabulary, width, window, seed):
    """Returns a (vocabulary, width) array of unit vectors; tokens never seen get small random ones."""
    rows, cols, n = cooccurrence(ids, vocabulary, window, keep=0.3)
    rows, cols, n = np.concatenate([rows, cols]), np.concatenate([cols, rows]), np.concatenate([n, n])
    total = np.bincount(rows, weights=n, minlength=vocabulary) + 1e-9
    context = total ** 0.75
    pmi = np.log(n * context.sum() / (total[rows] * context[cols]))
    fine = pmi > 0
    matrix = torch.sparse_coo_tensor(
        np.stack([rows[fine], cols[fine]]), pmi[fine].astype(np.float32), (vocabulary, vocabulary)).coalesce()
    torch.manual_seed(seed)
    q = torch.randn(vocabulary, width + 32)
    for _ in range(4):
        q, _ = torch.linalg.qr(torch.sparse.mm(matrix, q))
    small = torch.sparse.mm(matrix, q).T  # the matrix is symmetric
    _, s, vt = torch.linalg.svd(small, full_matrices=False)
    e = vt.T[:, :width] * s[:width].sqrt()
    norm = e.norm(dim=1, keepdim=True)
    noise = torch.nn.functional.normalize(torch.randn(vocabulary, width), dim=1) * 0.3
    return torch.where(norm > 1e-6, e / norm.clamp(min=1e-6), noise).numpy()
