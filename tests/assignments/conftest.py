"""The problem set as it is released, built once for all tests."""

import nbformat
import pytest
from answers import Desk

from grading import course


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> course.Course:
    return course.release("p2_vae", built=tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="session")
def source(built):
    """The instructor's notebook."""
    return nbformat.read(built.source, as_version=4)


@pytest.fixture(scope="session")
def release(built):
    """The students' notebook."""
    return nbformat.read(built.release, as_version=4)


@pytest.fixture(scope="session")
def desk(source, release) -> Desk:
    return Desk(source, release)
