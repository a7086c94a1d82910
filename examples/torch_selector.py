"""The first of three drafts verified, the other two ignored: lossless, but far from the optimum."""

import torch


def select(target_probs, draft_probs, draft_token_ids, generator):
    p, q, x = target_probs, draft_probs[:, 0], draft_token_ids[:, :1]
    u = torch.rand(x.shape, generator=generator, dtype=p.dtype)
    accepted = u * q.gather(1, x) < p.gather(1, x)
    law = torch.where(accepted, p, (p - q).clamp(min=0))
    drawn = torch.multinomial(law, 1, generator=generator)
    return torch.where(accepted, x, drawn).squeeze(1)
