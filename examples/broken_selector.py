"""The same with a bug engines have shipped: after a rejection it samples from p, not from the residual."""

import torch


def select(target_probs, draft_probs, draft_token_ids, generator):
    p, q, x = target_probs, draft_probs[:, 0], draft_token_ids[:, :1]
    u = torch.rand(x.shape, generator=generator, dtype=p.dtype)
    accepted = u * q.gather(1, x) < p.gather(1, x)
    drawn = torch.multinomial(p, 1, generator=generator)
    return torch.where(accepted, x, drawn).squeeze(1)
