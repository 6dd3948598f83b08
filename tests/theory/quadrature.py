"""Brute force, to hold the closed forms against: midpoint sums over 200,000 quantiles, and 60 digits."""

from decimal import Context, Decimal, localcontext

import numpy as np

from rubricate.theory.stable import Floats

QUANTILES = (np.arange(200_000) + 0.5) / 200_000
DIGITS = Context(prec=60, Emax=10**15, Emin=-(10**15))


def integrated(weights: Floats) -> tuple[float, float]:
    """(win rate, KL) of the law with these weights over the quantiles, up to a factor."""
    density = weights / weights.mean()
    surprise = density * np.log(np.where(density > 0, density, 1.0))
    return float((QUANTILES * density).mean()), float(surprise.mean())


def tilted(proxy: Floats, beta: float) -> tuple[float, float]:
    return integrated(np.exp((proxy - proxy.max()) / beta))


def theorem_1(strength: float) -> tuple[float, float]:
    """(win rate, KL) of Theorem 1 as it is printed, for f(r) = r, in 60 digits."""
    with localcontext(DIGITS):
        s = Decimal(strength)
        e = s.exp()
        kl = ((s - 1) * e + 1) / (e - 1) + s.ln() - (e - 1).ln()
        return float(e / (e - 1) - 1 / s), float(kl)
