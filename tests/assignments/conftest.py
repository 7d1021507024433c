"""The problem sets as they are released, built once for all tests.

What has nothing to do with the contents of a set is tested with P2: ``built``, ``source`` and
``release`` are of it. What each set must keep to is tested with ``problem_set``, which is each.
"""

import functools
from collections.abc import Callable

import pytest
from answers import ProblemSet

from grading import course


@pytest.fixture(scope="session")
def set_named(tmp_path_factory) -> Callable[[str], ProblemSet]:
    """Build the set of that name, or give what has been built."""
    folder = tmp_path_factory.mktemp("course")
    return functools.cache(lambda name: ProblemSet(course.release(name, built=folder)))


@pytest.fixture(scope="session", params=course.names())
def problem_set(request, set_named) -> ProblemSet:
    return set_named(request.param)


@pytest.fixture(scope="session")
def p2(set_named) -> ProblemSet:
    return set_named("p2_vae")


@pytest.fixture(scope="session")
def built(p2) -> course.Course:
    return p2.built


@pytest.fixture(scope="session")
def source(p2):
    return p2.source


@pytest.fixture(scope="session")
def release(p2):
    return p2.release
