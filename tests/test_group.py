"""A group of processes, as one process can see it: what it draws, averages and starts."""

import os
import signal

import pytest
import torch
from torch import distributed, nn

from genlearn.errors import ProcessError
from genlearn.processes import Group, current_group, devices_here, joined, launch
from genlearn.processes.supervising import Died, _as_can_be_sent, _is_a_consequence
from genlearn.training import Objective, fit


class Rank(Group):
    """One of several processes which sees none of the others: its mean is its own."""

    def __init__(self, rank: int, size: int) -> None:
        super().__init__()
        self.rank, self.size = rank, size

    def average(self, tensors):
        """Leave them as they are."""

    def share(self, tensors):
        """Leave them as they are."""


@pytest.fixture
def as_many(monkeypatch):
    """Make messages as if all of so many processes had said the same."""

    def make(size: int) -> Group:
        monkeypatch.setattr(distributed, "all_reduce", lambda tensor: tensor.mul_(size))
        group = Group()
        group.size = size
        return group

    return make


def test_a_group_of_one_leaves_everything_as_it_is():
    group, tensor = Group(), torch.tensor([1.0, 2.0])
    parameter = nn.Parameter(tensor.clone())
    for call in (group.average, group.add, group.share):
        call([tensor])
    group.average_gradients([parameter])
    assert tensor.tolist() == [1, 2]
    assert parameter.grad is None
    assert group.first(lambda: "mine") == "mine"
    assert [group.any(flag) for flag in (False, True)] == [False, True]


def test_the_mean_of_equal_tensors_is_the_tensor_and_the_sum_is_so_many_times_as_much(as_many):
    for combine, factor in ((as_many(3).average, 1), (as_many(3).add, 3)):
        matrix, number = torch.arange(6.0).view(2, 3).T, torch.tensor(5.0, dtype=torch.float64)
        combine([matrix, number])
        assert torch.equal(matrix, factor * torch.arange(6.0).view(2, 3).T)
        assert (number.item(), number.dtype) == (factor * 5, torch.float64)


def test_a_gradient_that_is_missing_counts_as_zero_in_every_process(as_many):
    some, none = (nn.Parameter(torch.ones(2)) for _ in range(2))
    some.grad = torch.full((2,), 4.0)
    as_many(2).average_gradients([some, none])
    assert (some.grad.tolist(), none.grad.tolist()) == ([4, 4], [0, 0])


def test_processes_together_draw_the_batches_and_the_noise_of_one_that_accumulates(numbered):
    def drawn(group: Group, accumulate: int) -> list[tuple[list[int], float]]:
        module, seen = nn.Linear(1, 1), []

        def loss(step):
            seen.append((step.batch[0].flatten().tolist(), torch.rand(()).item()))
            return module.weight.sum()

        objective = Objective("m", loss, torch.optim.SGD(module.parameters(), lr=0.0), repeat=2)
        fit({"m": module}, [objective], numbered(12, 4), 3, accumulate=accumulate, group=group)
        return seen

    alone = drawn(Group(), 3)
    together = [drawn(Rank(rank, 3), 1) for rank in range(3)]
    assert [draw for turn in zip(*together, strict=True) for draw in turn] == alone
    assert len({noise for _, noise in alone}) == len(alone)


def test_running_statistics_of_batch_norm_are_averaged_with_the_gradients(numbered):
    """Here the mean over the processes is said to be half of what this one has."""

    class Halved(Rank):
        def average(self, tensors):
            for tensor in tensors:
                tensor.detach().mul_(0.5)

    def trained(group: Group) -> nn.BatchNorm2d:
        network = nn.BatchNorm2d(1)
        loss = lambda step: (network(step.batch[0].float()) - 3).square().mean()
        objective = Objective("n", loss, torch.optim.SGD(network.parameters(), lr=1.0))
        fit({"n": network}, [objective], numbered(12, 4), 1, group=group)
        return network

    alone, together = trained(Group()), trained(Halved(0, 2))
    assert alone.bias.item() == pytest.approx(6)  # it began at zero
    assert together.bias.item() == pytest.approx(3)
    assert alone.running_mean > 0.5
    assert together.running_mean.item() == alone.running_mean.item() / 2
    assert together.running_var.item() == alone.running_var.item() / 2


def test_while_the_first_process_works_alone_it_is_its_own_group(monkeypatch):
    class Broadcasting:
        global_rank, world_size, device = 0, 2, torch.device("cpu")

        def broadcast(self, value):
            return value

    group = Group(Broadcasting())
    with joined(group):
        assert current_group() is group
        assert group.first(lambda: current_group().size) == 1
        assert current_group() is group
    assert current_group().size == 1


def test_a_closed_connection_is_told_as_what_it_means(monkeypatch):
    def closed(tensor):
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(distributed, "all_reduce", closed)
    group = Group()
    group.size = 2
    with pytest.raises(ProcessError, match="another process of the group has ended"):
        group.any(True)


def test_of_several_errors_the_cause_is_told_and_no_consequence():
    lost, died, bug = ProcessError("lost"), Died("killed"), ValueError("bug")
    assert min([lost, died], key=_is_a_consequence) is died
    assert min([lost, died, bug], key=_is_a_consequence) is bug


def test_an_error_that_cannot_be_sent_as_it_is_keeps_its_message():
    class Local(Exception):
        """No other process knows this class."""

    sent = _as_can_be_sent(Local("what happened"))
    assert (type(sent), str(sent)) == (RuntimeError, "Local: what happened")
    assert type(_as_can_be_sent(KeyError("a"))) is KeyError


# --- what cannot be ----------------------------------------------------------


def test_one_device_needs_no_other_process():
    assert launch(os.getpid) == os.getpid()


def test_a_device_that_several_processes_cannot_share_is_refused():
    for device in ("mps", "cuda:1", "tpu"):
        with pytest.raises(ProcessError, match=f"^--device {device} is not for several processes"):
            launch(os.getpid, 2, device)


def test_more_devices_than_there_are_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ProcessError, match=r"^--devices 2: there are 1 of CUDA here; ask for "):
        launch(os.getpid, 2)


@pytest.mark.parametrize(("asked", "found"), [(1, 4), (4, 4)])
def test_torchrun_says_how_many_there_are(monkeypatch, asked, found):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert devices_here(asked) == found


def test_another_number_than_torchrun_started_is_refused(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(ProcessError, match=r"^--devices 2 contradicts torchrun, which started 4 "):
        launch(os.getpid, 2)


def test_signals_are_handled_as_before_once_a_launch_is_over():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(AttributeError):  # a local function cannot be pickled: nothing is started
        launch(lambda: None, 2, "cpu")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
