"""How well people tell real images from made ones: d′, and intervals of what was counted.

Sources: Green and Swets (1966), Signal Detection Theory and Psychophysics; for the interval of a
share Wilson (1927), Probable Inference, the Law of Succession, and Statistical Inference.
"""

import math
from statistics import NormalDist

from genlearn.metrics.interval import Interval, normal_width

STANDARD = NormalDist()


def d_prime_from_pairs(share: float) -> float:
    """√2 Φ⁻¹(share): d′ of one who picks the real image of a pair; eq-judges-pairs.

    It is counted in standard deviations of one impression; 0 is guessing. A share of 1 gives
    infinity and a share of 0 minus infinity: so say how many pairs there were, and give
    :func:`interval_from_pairs`.

    Args:
        share: of the pairs, the part that was answered rightly, 0 … 1.

    Raises:
        ValueError: if the share is none.
    """
    return math.sqrt(2) * _quantile(share)


def d_prime_from_rates(hit: float, false_alarm: float) -> float:
    """Φ⁻¹(hit) - Φ⁻¹(false alarm): d′ of one who says "real" or "made"; eq-judges-rates.

    Infinite where one rate is 0 or 1. Where both are 0, or both 1, the observer has said one word
    throughout; this tells nothing of d′, and the value is nan.

    Args:
        hit: of the real images, the part called real, 0 … 1.
        false_alarm: of the made images, the part called real, 0 … 1.

    Raises:
        ValueError: if one of them is no share.
    """
    return _quantile(hit) - _quantile(false_alarm)


def criterion_from_rates(hit: float, false_alarm: float) -> float:
    """-(Φ⁻¹(hit) + Φ⁻¹(false alarm)) / 2: how reluctant one is to say "real".

    At 0 one is impartial; above 0 "made" is said more readily, below 0 "real". nan where it is
    undefined: one rate 0 and the other 1. See eq-judges-criterion.

    Args:
        hit, false_alarm: as for :func:`d_prime_from_rates`.

    Raises:
        ValueError: if one of them is no share.
    """
    return 0.0 - (_quantile(hit) + _quantile(false_alarm)) / 2


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Wilson's interval of a share: all p from which the count is not too far, by its own spread.

    It is never empty and never leaves 0 … 1: of 0 in n it reaches from 0 to z² / (n + z²). See
    eq-judges-wilson.

    Args:
        successes: 0 … trials.
        trials: at least 1; independent of each other.
        level: of confidence, between 0 and 1.

    Raises:
        ValueError: if the counts or the level make no sense.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"there must be 0 … trials successes, got {successes} of {trials}")
    z = normal_width(level)
    share = successes / trials
    middle = (successes + z**2 / 2) / (trials + z**2)
    half = z / (trials + z**2) * math.sqrt(trials * share * (1 - share) + z**2 / 4)
    low = 0.0 if successes == 0 else middle - half  # exactly, without rounding
    high = 1.0 if successes == trials else middle + half
    return Interval(share, low, high, level)


def trials_for_width(width: float, share: float = 0.5, level: float = 0.95) -> int:
    """Count the trials after which Wilson's interval is as narrow as wanted; eq-judges-trials.

    Args:
        width: of the whole interval, high - low, between 0 and 1.
        share: that is expected; 0.5 needs most.
        level: of confidence, between 0 and 1.

    Raises:
        ValueError: if one of them makes no sense.
    """
    if not (0 < width < 1 and 0 <= share <= 1):
        raise ValueError(f"width and share must lie between 0 and 1, got {width} and {share}")
    z = normal_width(level)
    # width² (n + z²)² = 4 z² (n share (1 - share) + z² / 4), solved for n
    spread = 2 * share * (1 - share) - width**2
    needed = z**2 * (spread + math.sqrt(spread**2 + width**2 * (1 - width**2))) / width**2
    return max(1, math.ceil(needed - 1e-9))


def interval_from_pairs(right: int, pairs: int, level: float = 0.95) -> Interval:
    """d′ from pairs, with the interval into which it takes Wilson's of the share.

    d′ grows with the share, so its interval holds the true d′ exactly when Wilson's holds the true
    share. With all answers right, value and upper end are infinite, and the lower end is not.

    Args:
        right: answers, 0 … pairs.
        pairs: shown; at least 1.
        level: of confidence, between 0 and 1.

    Raises:
        ValueError: if the counts or the level make no sense.
    """
    share = wilson(right, pairs, level)
    return Interval(*(d_prime_from_pairs(p) for p in share[:3]), level)


def interval_from_rates(
    hits: int, real: int, false_alarms: int, made: int, level: float = 0.95
) -> Interval:
    """d′ from single images, with an interval that combines those of both rates.

    Wilson's intervals of the rates are taken through Φ⁻¹, and their ends squared and added on
    either side (eq-judges-combined), as Newcombe (1998) and Zou and Donner (2008) do for
    differences. Where a rate is 0 or 1, the ends are reckoned from (count + ½) / (images + 1)
    instead (Hautus 1995), and the side that nothing limits is infinite; the value is that of
    :func:`d_prime_from_rates`, so nan if both rates are 0 or both 1.

    Args:
        hits: real images called real, 0 … real.
        real: real images shown; at least 1.
        false_alarms: made images called real, 0 … made.
        made: made images shown; at least 1.
        level: of confidence, between 0 and 1.

    Raises:
        ValueError: if the counts or the level make no sense.
    """
    hit, low_hit, high_hit = _normal_interval(hits, real, level)
    false, low_false, high_false = _normal_interval(false_alarms, made, level)
    middle = hit - false
    return Interval(
        d_prime_from_rates(hits / real, false_alarms / made),
        middle - math.hypot(hit - low_hit, high_false - false),
        middle + math.hypot(high_hit - hit, false - low_false),
        level,
    )


def _normal_interval(count: int, images: int, level: float) -> tuple[float, float, float]:
    """Φ⁻¹ of a rate that is never 0 or 1, and of the ends of Wilson's interval."""
    share = wilson(count, images, level)
    inside = share.value if 0 < count < images else (count + 0.5) / (images + 1)
    return _quantile(inside), _quantile(share.low), _quantile(share.high)


def _quantile(share: float) -> float:
    """Φ⁻¹, with infinities at 0 and 1."""
    if not 0 <= share <= 1:
        raise ValueError(f"a share must lie between 0 and 1, got {share}")
    if share in (0, 1):
        return math.inf if share else -math.inf
    return STANDARD.inv_cdf(share)
