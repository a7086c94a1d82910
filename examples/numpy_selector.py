"""Single-draft speculative sampling in numpy (Leviathan et al. 2023): lossless, and optimal for one draft."""

import numpy as np

from spectest import selector


@selector(array="numpy", n_drafts=1, scheme="single_draft")
def select(target_probs, draft_probs, draft_token_ids, generator):
    p, q, x = target_probs, draft_probs[:, 0], draft_token_ids[:, 0]
    rows = np.arange(len(x))
    accepted = generator.random(len(x)) * q[rows, x] < p[rows, x]
    law = np.where(accepted[:, None], p, np.maximum(p - q, 0))
    cdf = law.cumsum(axis=1)
    drawn = (cdf <= generator.random((len(x), 1)) * cdf[:, -1:]).sum(axis=1)
    return np.where(accepted, x, drawn)
