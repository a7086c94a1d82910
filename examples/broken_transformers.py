"""transformers' verification with one planted defect: the q it is told is not the q its draft was drawn from.

The draft comes from q; the verifier is handed q at temperature 1.3, as when one side of an engine applies the request's
sampling parameters and the other does not (huggingface/transformers#47932 is a real case).
"""

from spectest import selector
from spectest.adapters.transformers import speculative_sampling


@selector(n_drafts=1, batched=False, rng="seed", dtype="float32", scheme="single_draft")
def wrong_temperature(target_probs, draft_probs, draft_token_ids, seed):
    """Verify with a q the draft was not drawn from."""
    told = (draft_probs.log() / 1.3).softmax(dim=-1)
    return speculative_sampling(target_probs, told, draft_token_ids, seed)
