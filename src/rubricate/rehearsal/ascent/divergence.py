"""How far a policy has moved, in nats, measured on its own answers."""

from __future__ import annotations

from typing import Any

from rubricate.rehearsal.pupil.learner import Said

_AT_ONCE = 256


def divergences(model: Any, base: Any, said: Said) -> list[float]:
    """An estimate of KL(model || base) from each answer that `model` has given, in nats and at least 0.

    For an answer y it is the sum over its tokens of the exact divergence of the next token given what stands
    before, KL(model(. | x, y_<t) || base(. | x, y_<t)), the end included. Its mean over answers drawn from
    the model is KL(model || base) of whole answers, cut at the budget, without bias (chain rule); it varies
    less than the sum of log-ratios, of which it is the conditional expectation, and is never negative.

    Source: the Rao-Blackwell estimator of Amini et al., Better Estimation of the KL Divergence Between
    Language Models (arXiv 2504.10637).
    """
    import torch

    found = list[float]()
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for start in range(0, len(said.texts), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            tokens, answered = said.tokens[rows], said.answered[rows]
            mask = (said.asked[rows] | answered).long()
            places = (mask.cumsum(1) - 1).clamp(min=0)
            ours, theirs = (
                each(input_ids=tokens, attention_mask=mask, position_ids=places)
                .logits[:, :-1]
                .double()
                .log_softmax(-1)
                for each in (model, base)
            )
            steps = (ours.exp() * (ours - theirs)).sum(-1)
            found += (steps * answered[:, 1:]).sum(1).tolist()
    model.train(was_training)
    return found
